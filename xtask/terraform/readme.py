#!/usr/bin/env python3
"""Checks the tables of terraform/README.md against the root: inputs and outputs in the same order, and required inputs.

It also adds up the costs, counts alarms and metrics, and checks that examples/minimal passes on each input.
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


def idle_costs(readme: str, first: str, alarms: str, metrics: str) -> list[str]:
    """Counts what the costs of an idle month are made of: the module's alarms, and the metrics of docs/metrics.md."""
    amounts = {row[0]: (row[1], row[-1].strip("*")) for row in rows(readme, "What an idle month costs")}
    # The map's entries, and the alarms beside it, which count one each.
    each = re.search(r"^  alarms = {$(.*?)^  }$", alarms, re.MULTILINE | re.DOTALL)[1]
    count = len(re.findall(r"^    [a-z-]+ = {$", each, re.MULTILINE)) + len(blocks(alarms, 'resource "aws_cloudwatch_metric_alarm"')) - 1
    kinds = re.findall(r"^\| `\w+` \| (\w+) \| (.*) \|$", metrics, re.MULTILINE)
    # A count of zero is not sent, and a level is sent with each round.
    idle = sum(kind == "level" and "only sent while" not in meaning for kind, meaning in kinds)
    others = len(kinds) - idle
    mistakes = []
    for item, counted, price in (("Alarms", count, 0.1), ("ecsrunner's metrics that an idle sweep sends", idle, 0.3)):
        if amounts[item] != (str(counted), f"{counted * price:.2f}"):
            mistakes.append(f"README.md: {item}: {amounts[item]}, but the code has {counted}, which cost {counted * price:.2f}")
    others = f"{others * 0.3:.2f} for the other {others} metrics"
    if others not in readme.replace("\n", " "):
        mistakes.append(f"README.md: `{others}` is expected below the table")
    total = f"about {amounts['**total**'][1]} dollars"
    if total not in first.replace("\n", " "):
        mistakes.append(f"the first README.md: an idle month costs `{total}`")
    return mistakes


def passed_on(variables: str, example: dict[str, str]) -> list[str]:
    """Each input has to reach the module from examples/minimal: Terraform ignores the others in terraform.tfvars."""
    inputs = list(blocks(variables, "variable"))
    calls = re.findall(r"^  (\w+) += var\.(\w+)$", example["main.tf"], re.MULTILINE)
    # The example's provider has the Region.
    have = {argument for argument, variable in calls if argument == variable} | {"region"}
    have &= set(blocks(example["variables.tf"], "variable"))
    missing = [name for name in inputs if name not in have]
    return [f"examples/minimal does not pass on {', '.join(missing)}: declare and pass each input"] if missing else []


def compared(what: str, code: list[str], document: list[str]) -> list[str]:
    return [] if code == document else [f"README.md: the {what} are {document}, but the code has {code}"]


if __name__ == "__main__":
    text = {name: (plan.ROOT / name).read_text() for name in ("README.md", "docs/metrics.md")}
    text |= {name: (ROOT / name).read_text() for name in ("variables.tf", "outputs.tf", "modules/observe/alarms.tf")}
    readme = (ROOT / "README.md").read_text()
    found = check(readme, text["variables.tf"], text["outputs.tf"])
    found += idle_costs(readme, text["README.md"], text["modules/observe/alarms.tf"], text["docs/metrics.md"])
    found += passed_on(text["variables.tf"], {name: (ROOT / "examples/minimal" / name).read_text() for name in ("main.tf", "variables.tf")})
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("the README's tables match the code")
