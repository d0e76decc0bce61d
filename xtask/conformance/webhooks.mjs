// Validates webhook bodies against GitHub's own schemas:
//
//     node webhooks.mjs DESCRIPTION DIRECTORY
//
// Each file in the directory is {"event": "workflow_job", "body": {…}}. Prints
// each body that violates its schema, and then exits with 1.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [description, directory] = process.argv.slice(2);
const github = JSON.parse(readFileSync(description, "utf8"));

const ajv = new Ajv2020({ allErrors: true, strict: false, validateSchema: false });
addFormats(ajv);
ajv.addSchema({ components: github.components }, "github");

const counts = new Map();
let broken = 0;
for (const file of readdirSync(directory).sort()) {
  const { event, body } = JSON.parse(readFileSync(join(directory, file), "utf8"));
  const name = [event, body.action].filter(Boolean).join("-").replaceAll("_", "-");
  const reference = github.webhooks[name]?.post.requestBody.content["application/json"].schema.$ref;
  if (!reference) {
    console.error(`${file}: GitHub describes no webhook ${name}`);
    broken += 1;
    continue;
  }
  const validate = ajv.getSchema(`github${reference}`);
  if (!validate(body)) {
    broken += 1;
    for (const { instancePath, message, params } of validate.errors) {
      console.error(`${file}: ${name}: ${instancePath || "/"} ${message} ${JSON.stringify(params)}`);
    }
  }
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

for (const [name, count] of [...counts].sort()) {
  console.log(`${name}: ${count}`);
}
if (counts.size === 0) {
  console.error(`no webhooks in ${directory}`);
}
process.exitCode = broken > 0 || counts.size === 0 ? 1 : 0;
