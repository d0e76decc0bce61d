#!/usr/bin/env python3
"""Checks the tables of terraform/README.md against the root: inputs and outputs in the same order, and required inputs.

It also adds up the costs, counts alarms and metrics, and checks that the examples have each input, output and move.
"""

import re
import sys

import plan

ROOT = plan.ROOT / "terraform"
# Inputs that examples/minimal does not have checked by modules/inputs.
UNCHECKED = {"deployment", "region", "webhook_secrets"}


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
    """Each input has to reach the module from examples/minimal, by its check: Terraform ignores the others in terraform.tfvars."""
    inputs = list(blocks(variables, "variable"))
    checked = {name for name, variable in re.findall(r"^    (\w+) += var\.(\w+)$", example["inputs.tf"], re.MULTILINE) if name == variable}
    calls = re.findall(r"^  (\w+) += (var|module\.inputs\.checked)\.(\w+)$", example["main.tf"], re.MULTILINE)
    # The example itself has the types of `deployment` and of the Region, which its provider has. A message could show secrets.
    have = {argument for argument, source, name in calls if argument == name and (source != "var" or argument in UNCHECKED)} | {"region"}
    have &= set(blocks(example["variables.tf"], "variable")) & (checked | UNCHECKED)
    missing = [name for name in inputs if name not in have]
    return [f"examples/minimal does not check and pass on {', '.join(missing)}: inputs.tf and main.tf need each input"] if missing else []


def in_examples(outputs: str, root: str, modules: set[str], examples: dict[str, dict[str, str]]) -> list[str]:
    """Each example has each output, and leads each module of a deployment that was applied in `terraform` itself into its own."""
    mistakes = []
    holding = [name for name in blocks(root, "module") if name in modules]
    for example, files in examples.items():
        have = re.findall(r"^  value += module\.ecsrunner\.(\w+)$", files["outputs.tf"], re.MULTILINE)
        if have != list(blocks(outputs, "output")):
            mistakes.append(f"examples/{example}: the outputs are {have}, but the module has {list(blocks(outputs, 'output'))}")
        moves = re.findall(r"^  from = module\.(\w+)\n  to   = module\.ecsrunner\.module\.(\w+)$", files["moved.tf"], re.MULTILINE)
        if moves != [(name, name) for name in holding]:
            mistakes.append(f"examples/{example}: moved.tf has {[name for name, _ in moves]}, but the modules with resources are {holding}")
    return mistakes


def compared(what: str, code: list[str], document: list[str]) -> list[str]:
    return [] if code == document else [f"README.md: the {what} are {document}, but the code has {code}"]


if __name__ == "__main__":
    text = {name: (plan.ROOT / name).read_text() for name in ("README.md", "docs/metrics.md")}
    text |= {name: (ROOT / name).read_text() for name in ("variables.tf", "outputs.tf", "modules/observe/alarms.tf")}
    readme = (ROOT / "README.md").read_text()
    found = check(readme, text["variables.tf"], text["outputs.tf"])
    found += idle_costs(readme, text["README.md"], text["modules/observe/alarms.tf"], text["docs/metrics.md"])
    examples = {
        name: {file.name: file.read_text() for file in (ROOT / "examples" / name).glob("*.tf")} for name in ("minimal", "complete")
    }
    found += passed_on(text["variables.tf"], examples["minimal"])
    holding = {file.parent.name for file in ROOT.glob("modules/*/*.tf") if blocks(file.read_text(), 'resource "[a-z0-9_]+"')}
    found += in_examples(text["outputs.tf"], (ROOT / "main.tf").read_text(), holding, examples)
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("the README's tables match the code")
