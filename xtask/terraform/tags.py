#!/usr/bin/env python3
"""Checks that each resource that can be tagged has the deployment's tags, since the module sets no default tags.

The resources are those of the examples' plans. The provider's schema says which types can be tagged.
"""

import json
import subprocess
import sys

import examples
import plan

PROVIDER = "registry.terraform.io/hashicorp/aws"
TAG = "ecsrunner:deployment"


def taggable(schemas: dict) -> set[str]:
    """The types with an argument `tags`."""
    resources = schemas["provider_schemas"][PROVIDER]["resource_schemas"]
    return {kind for kind, schema in resources.items() if schema["block"]["attributes"].get("tags", {}).get("optional")}


def check(planned: dict[str, dict], can_be_tagged: set[str]) -> tuple[list[str], str]:
    mistakes, count = [], 0
    for example, one in planned.items():
        for resource in one["resource_changes"]:
            if resource["mode"] != "managed" or resource["type"] not in can_be_tagged:
                continue
            count += 1
            if TAG not in (resource["change"]["after"].get("tags") or {}):
                mistakes.append(f"{example}: `{resource['address']}` has no tag `{TAG}`: `tags = var.tags` is expected")
    if count == 0:
        raise plan.Unreadable("the examples plan no resource that can be tagged")
    return mistakes, f"{count} resources of the examples can be tagged, and are"


if __name__ == "__main__":
    try:
        schemas = json.loads(plan.in_module("observe", lambda terraform, _: terraform("providers", "schema", "-json")))
        found, done = check(examples.planned(plan.ROOT), taggable(schemas))
    except plan.Unreadable as error:
        sys.exit(f"error: {error}")
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(done)
