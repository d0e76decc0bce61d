#!/usr/bin/env python3
"""Checks that the control plane's permissions are the actions that its tests call, or have a reason.

    actions.py [PLAN.json]        a plan of terraform/modules/control_plane by default

It compares three lists: crates/lambda/tests/chain/actions.txt, which the chain test records; the statements of
terraform/modules/control_plane; and the reasons in its granted.md. The statements are read from the plan's
configuration, so that ARNs need not be known. An action that is not written out there cannot be read and is an error.
"""

import re

import plan

CALLED = plan.ROOT / "crates/lambda/tests/chain/actions.txt"
LISTED = plan.ROOT / "terraform/modules/control_plane/granted.md"
MODULE = "control_plane"
# The functions' role; the other roles are those of their callers.
FUNCTIONS = "functions"

# TransactWriteItems is not an IAM action: it needs the actions of its writes and checks.
TRANSACTION = "dynamodb:TransactWriteItems"
OF_A_TRANSACTION = {f"dynamodb:{name}" for name in ("ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem")}

# Other ways to grant actions, which are not used here and not read.
UNREAD = {"aws_iam_policy", "aws_iam_role_policy_attachment", "aws_iam_policy_attachment", "aws_iam_role_policies_exclusive"}


def called(text: str) -> set[str]:
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def listed(text: str) -> set[tuple[str, str]]:
    """(role, action) of each row of the table; rows without a reason are ignored."""
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| +(\S.*?) *\|$", text, re.MULTILINE)
    return {(role, action) for action, role, _reason in rows}


def granted(module: dict) -> set[tuple[str, str]]:
    """(role, action) of each statement that is attached to a role."""
    resources = module.get("resources", [])
    documents = {resource["address"]: resource for resource in resources if resource["type"] == "aws_iam_policy_document"}
    found = set()
    for resource in resources:
        address = resource["address"]
        if resource["type"] in UNREAD:
            raise plan.Unreadable(f"`{address}` grants in a way that this check cannot read")
        if resource["type"] == "aws_iam_role" and {"inline_policy", "managed_policy_arns"} & resource["expressions"].keys():
            raise plan.Unreadable(f"`{address}` has inline or managed policies, which this check cannot read")
        if resource["type"] != "aws_iam_role_policy":
            continue
        role = reference(resource, "role", "aws_iam_role.").removeprefix("aws_iam_role.")
        document = documents[reference(resource, "policy", "data.aws_iam_policy_document.")]
        found |= {(role, action) for action in actions(document)}
    if not any(role == FUNCTIONS for role, _ in found):
        raise plan.Unreadable(f"`aws_iam_role.{FUNCTIONS}` has no policy: at least one is expected")
    return found


def reference(resource: dict, key: str, prefix: str) -> str:
    """The resource that an expression refers to, without index and attribute."""
    named = resource["expressions"].get(key, {}).get("references", [])
    found = {match.group() for name in named if (match := re.match(re.escape(prefix) + r"\w+", name))}
    if len(found) != 1:
        raise plan.Unreadable(f"`{resource['address']}`: its {key} refers to {sorted(found) or 'nothing known'}: one resource is expected")
    return found.pop()


def actions(document: dict) -> set[str]:
    address, written = document["address"], document["expressions"]
    statements = written.get("statement", [])
    if not statements or {"source_policy_documents", "override_policy_documents"} & written.keys():
        raise plan.Unreadable(f"`{address}` has no statement that is written out")
    found = set()
    for statement in statements:
        sid = statement.get("sid", {}).get("constant_value", "?")
        constant = statement.get("actions", {}).get("constant_value")
        if not constant or "not_actions" in statement:
            raise plan.Unreadable(f"`{address}`, statement `{sid}`: its actions are not written out")
        if statement.get("effect", {}).get("constant_value", "Allow") == "Allow":
            found |= set(constant)
    return found


def check(terraform: dict, called: set[str], listed: set[tuple[str, str]]) -> tuple[list[str], str]:
    have = granted(plan.configuration(terraform, MODULE))
    needed = called - {TRANSACTION} | (OF_A_TRANSACTION if TRANSACTION in called else set())
    recorded = {(FUNCTIONS, action) for action in called - {TRANSACTION}}
    mistakes = [f"{action} is called, but not granted: add it to iam.tf" for action in sorted(needed) if (FUNCTIONS, action) not in have]
    mistakes += [f"{action} is granted to `{role}`, but neither called nor listed in granted.md" for role, action in sorted(have - recorded - listed)]
    mistakes += [f"{action} is listed in granted.md for `{role}`, but not granted" for role, action in sorted(listed - have)]
    mistakes += [f"{action} is listed in granted.md, but called by the tests: remove it from granted.md" for _, action in sorted(listed & recorded)]
    mistakes += [f"{action} is granted to `{role}`: name each action without `*`" for role, action in sorted(have) if "*" in action]
    return mistakes, f"{len(have)} actions are granted, {len(have & recorded)} of them called by the tests, {len(have & listed)} listed with a reason"


if __name__ == "__main__":
    plan.report(MODULE, lambda terraform: check(terraform, called(CALLED.read_text()), listed(LISTED.read_text())))
