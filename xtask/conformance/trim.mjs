// Reduces GitHub's description of its REST API to the operations in use, so
// that prism starts within seconds:
//
//     node trim.mjs DESCRIPTION OPERATIONS TRIMMED

import { readFileSync, writeFileSync } from "node:fs";

const [description, operations, trimmed] = process.argv.slice(2);
const github = JSON.parse(readFileSync(description, "utf8"));
const inUse = JSON.parse(readFileSync(operations, "utf8"));

// GitHub does not list most refusals among an operation's replies, but describes
// the schema that they share.
const REFUSAL = {
  description: "A refusal",
  content: { "application/json": { schema: { $ref: "#/components/schemas/basic-error" } } },
};
const REFUSALS = ["401", "403", "404", "422", "429"];

// Only this operation requires an App's account to be both a user and an
// enterprise; everywhere else GitHub requires either.
github.paths["/app/installations"].get.responses["200"].content["application/json"].schema.items = {
  $ref: "#/components/schemas/installation",
};

const paths = {};
for (const operation of inUse) {
  const [method, path] = operation.split(" ");
  const described = github.paths[path]?.[method.toLowerCase()];
  if (!described) {
    throw new Error(`GitHub describes no operation ${operation}`);
  }
  for (const status of REFUSALS) {
    described.responses[status] ??= REFUSAL;
  }
  paths[path] ??= {};
  paths[path][method.toLowerCase()] = described;
}

// Collects the components that the operations refer to, directly or indirectly.
const components = {};
const pending = [paths];
while (pending.length > 0) {
  const node = pending.pop();
  if (node === null || typeof node !== "object") {
    continue;
  }
  delete node.examples;
  for (const [key, value] of Object.entries(node)) {
    if (key === "$ref") {
      const [, , kind, name] = value.split("/");
      if (!components[kind]?.[name]) {
        components[kind] ??= {};
        components[kind][name] = github.components[kind][name];
        pending.push(components[kind][name]);
      }
    } else {
      pending.push(value);
    }
  }
}

const { openapi, info } = github;
writeFileSync(trimmed, JSON.stringify({ openapi, info, paths, components }));
