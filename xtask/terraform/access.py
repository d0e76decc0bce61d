#!/usr/bin/env python3
"""Checks that the policies for people grant the actions that the command line calls, and no others without a reason.

    access.py [PLAN.json]        a plan of terraform/modules/access by default

It compares four lists: the table of docs/operate.md, "What an operator may do"; the actions that crates/aws/src/operate
names in its errors; the statements of terraform/modules/access; and that module's granted.md.
"""

import re

import actions
import plan

MODULE = "access"
POLICIES = ("viewer", "operator")
# Documents with another name depend on an input.
DOCUMENTS = {"viewer": "viewer", "viewer_kms": "viewer", "viewer_builds": "viewer", "operator": "operator", "operator_builds": "operator"}
OPERATE = plan.ROOT / "docs/operate.md"
REASONS = plan.ROOT / "terraform/modules/access/granted.md"
SOURCES = plan.ROOT / "crates/aws/src"
HEADING = "What an operator may do"
ACTION = r"[a-z0-9]+:[A-Z][A-Za-z]+"
# What changes something. A viewer gets none of it.
READS = re.compile(r"^[a-z0-9]+:(BatchGet|Decrypt|Describe|Filter|Get|List|Query)")
# The function that may be invoked only reads: terraform/modules/control_plane/questions.tf.
ASKS = {"lambda:InvokeFunction"}


def documented(text: str) -> set[str]:
    section = text.split(f"\n## {HEADING}\n", 1)[-1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return {action for row in rows for action in re.findall(rf"`({ACTION})`", row)}


def named(texts: list[str]) -> set[str]:
    """The actions in the code's string literals."""
    return {action for text in texts for action in re.findall(rf'"({ACTION})"', text)}


def reasons(text: str) -> tuple[set[tuple[str, str]], set[str]]:
    """(policy, action) of the rows with a policy, and the actions that are withheld. Rows without a reason are ignored."""
    granted = re.findall(rf"^\| `({ACTION})` \| ({'|'.join(POLICIES)}) \| +\S.*\|$", text, re.MULTILINE)
    withheld = re.findall(rf"^\| `({ACTION})` \| ([^|\s][^|\n]*) \|$", text, re.MULTILINE)
    return {(policy, action) for action, policy in granted}, {action for action, _ in withheld}


def granted(module: dict) -> set[tuple[str, str]]:
    """(policy, action) of each statement."""
    found = set()
    for name, policy in DOCUMENTS.items():
        address = f"data.aws_iam_policy_document.{name}"
        documents = [resource for resource in module.get("resources", []) if resource["address"] == address]
        if len(documents) != 1:
            raise plan.Unreadable(f"there is no `{address}`")
        written = dict(documents[0]["expressions"])
        # Each of them includes those before it.
        written.pop("source_policy_documents", None)
        found |= {(policy, action) for action in actions.actions({"address": address, "expressions": written})}
    return found


def check(terraform: dict, called: set[str], in_code: set[str], reasons: tuple) -> tuple[list[str], str]:
    have = granted(plan.configuration(terraform, MODULE))
    listed, withheld = reasons
    every = {action for _, action in have}
    unlisted = {(policy, action) for policy, action in have if action not in called}
    mistakes = [f"{action} is called by the code, but not in docs/operate.md" for action in sorted(in_code - called)]
    mistakes += [f"{action} is called, but neither granted nor withheld" for action in sorted(called - every - withheld)]
    mistakes += [f"{action} is granted to `{policy}`, but neither called nor in granted.md" for policy, action in sorted(unlisted - listed)]
    mistakes += [f"{action} is in granted.md for `{policy}`, but is not granted, or is called" for policy, action in sorted(listed - unlisted)]
    mistakes += [f"{action} is withheld, but granted or not called" for action in sorted(withheld & every | withheld - called)]
    mistakes += [f"{action} is granted to the viewer, but is no read" for policy, action in sorted(have) if policy == "viewer" and not READS.match(action) and action not in ASKS]
    mistakes += [f"{action} is granted to `{policy}`: name each action without `*`" for policy, action in sorted(have) if "*" in action]
    return mistakes, f"{len(every)} actions are granted to people, {len(every & called)} of them called by the commands, {len(withheld)} withheld"


if __name__ == "__main__":
    code = [path.read_text() for path in [SOURCES / "operate.rs", *sorted((SOURCES / "operate").glob("*.rs"))]]
    lists = documented(OPERATE.read_text()), named(code), reasons(REASONS.read_text())
    plan.report(MODULE, lambda terraform: check(terraform, *lists))
