// Starts prism so that it passes on GitHub's redirects as answers. By default
// prism follows a redirect and validates the target's answer:
//
//     node prism.mjs ARGUMENTS-OF-PRISM

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const fetch = createRequire(require.resolve("@stoplight/prism-http"))("node-fetch");
fetch.default = (url, options) => fetch(url, { ...options, redirect: "manual" });
require("@stoplight/prism-cli/dist/index.js");
