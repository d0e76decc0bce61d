// Starts prism, and makes it hand on a redirect as an answer, as GitHub gives it.
// By itself prism follows it and judges what is behind it:
//
//     node prism.mjs ARGUMENTS-OF-PRISM

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const fetch = createRequire(require.resolve("@stoplight/prism-http"))("node-fetch");
fetch.default = (url, options) => fetch(url, { ...options, redirect: "manual" });
require("@stoplight/prism-cli/dist/index.js");
