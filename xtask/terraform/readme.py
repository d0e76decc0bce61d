#!/usr/bin/env python3
"""Checks the tables of terraform/README.md against the root: inputs and outputs in the same order, and required inputs.

It also adds up the costs.
"""

import re
import sys

import plan

ROOT = plan.ROOT / "terraform"


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = text.split(f"\n## {heading}\n", 1)[-1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")][1:]


def blocks(text: str, kind: str) -> dict[str, str]:
    """The blocks of that kind in a file, by name, in order."""
    found = re.split(rf'^{kind} "(\w+)" {{$', text, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2]))


def check(readme: str, variables: str, outputs: str) -> list[str]:
    inputs = blocks(variables, "variable")
    required = [name for name, body in inputs.items() if not re.search(r"^  default\s+=", body, re.MULTILINE)]
    have = rows(readme, "Inputs")
    mistakes = compared("inputs", list(inputs), [row[0].strip("`") for row in have])
    mistakes += compared("required inputs", required, [row[0].strip("`") for row in have if row[1] == "required"])
    mistakes += compared("outputs", list(blocks(outputs, "output")), [row[0].strip("`") for row in rows(readme, "Outputs")])
    costs = [row[-1] for row in rows(readme, "What an idle month costs")]
    total, together = sum(round(100 * float(cost)) for cost in costs[:-1]), round(100 * float(costs[-1].strip("*")))
    if total != together:
        mistakes.append(f"README.md: the costs add up to {total / 100:.2f}, but the table has {together / 100:.2f}")
    return mistakes


def compared(what: str, code: list[str], document: list[str]) -> list[str]:
    return [] if code == document else [f"README.md: the {what} are {document}, but the code has {code}"]


if __name__ == "__main__":
    found = check(*((ROOT / name).read_text() for name in ("README.md", "variables.tf", "outputs.tf")))
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("the README's tables match the code")
