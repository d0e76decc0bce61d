#!/usr/bin/env python3
"""Checks that no resource of the previous version loses its address, since Terraform would delete and recreate it.

    addresses.py                    compares with fixtures/previous/terraform.json
    addresses.py FILE CHECKOUT      writes the addresses of a checkout to FILE

A resource with a new address needs a `moved` block, and a resource that was removed on purpose needs a `removed` block.
The addresses are those of the examples, planned by their own tests, so that no account is needed.
"""

import json
import pathlib
import re
import sys

import examples
import plan

PREVIOUS = plan.ROOT / "fixtures/previous/terraform.json"
# The examples' name for the module that they call.
CALLED = "ecsrunner"
# Instances that a release removes on purpose, with the reason: a `removed` block names a whole resource.
ON_PURPOSE = {
    'module.webhook.aws_api_gateway_gateway_response.refusals["BAD_REQUEST_PARAMETERS"]': "the API no longer asks for headers by their spelling",
}


def addresses(planned: dict) -> list[str]:
    """The addresses of the managed resources in a plan."""
    return sorted(change["address"] for change in planned["resource_changes"] if change["mode"] == "managed")


def of_examples(root: pathlib.Path) -> dict[str, list[str]]:
    return {name: addresses(planned) for name, planned in examples.planned(root).items()}


def blocks(text: str) -> list[tuple[str, str | None]]:
    """(from, to) of each `moved` block, and (from, None) of each `removed` block."""
    found = []
    for kind, body in re.findall(r"^(moved|removed) \{$(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
        ends = dict(re.findall(r"^ +(from|to) += +(\S.*?) *$", body, re.MULTILINE))
        found.append((ends["from"], ends["to"] if kind == "moved" else None))
    return found


def written(terraform: pathlib.Path, example: str) -> dict[str, list[tuple[str, str | None]]]:
    """The blocks by the address of the module that they are in: the example is ""."""
    found = {}
    for directory, address in (
        [(terraform / "examples" / example, ""), (terraform, f"module.{CALLED}")]
        + [(module, f"module.{CALLED}.module.{module.name}") for module in sorted(terraform.glob("modules/*"))]
    ):
        for file in sorted(directory.glob("*.tf")):
            found.setdefault(address, []).extend(blocks(file.read_text()))
    return found


def step(address: str, moves: dict[str, list[tuple[str, str | None]]]) -> tuple[bool, str | None]:
    """Whether a block applies to that address, and the resulting address."""
    for module, pairs in moves.items():
        # Each call in the path may have a key.
        path = "".join(rf"{re.escape(call)}(?:\[[^\]]*\])?\." for call in re.findall(r"module\.\w+", module))
        inside = re.fullmatch(rf"({path})(.*)", address)
        if not inside:
            continue
        prefix, rest = inside.groups()
        for source, target in pairs:
            if rest == source or rest.startswith((f"{source}.", f"{source}[")):
                return True, None if target is None else prefix + target + rest[len(source):]
    return False, address


def check(before: dict, now: dict, moves: dict) -> list[str]:
    mistakes = []
    for example, old in before.items():
        for address in sorted(set(old) - set(now[example]) - set(ON_PURPOSE)):
            place, visited = address, set()
            while place is not None and place not in now[example] and place not in visited:
                visited.add(place)
                _, place = step(place, moves[example])
            if place is not None and place not in now[example]:
                mistakes.append(f"{example}: `{address}` no longer exists: a `moved` or `removed` block is expected")
    return mistakes


def main() -> None:
    try:
        if len(sys.argv) == 3:
            lists = of_examples(pathlib.Path(sys.argv[2]).resolve())
            pathlib.Path(sys.argv[1]).write_text(json.dumps(lists, indent=1) + "\n")
            return
        before = json.loads(PREVIOUS.read_text())
        moves = {name: written(plan.ROOT / "terraform", name) for name in examples.NAMES}
        mistakes = check(before, of_examples(plan.ROOT), moves)
    except plan.Unreadable as error:
        sys.exit(f"error: {error}")
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if mistakes:
        sys.exit(1)
    print(f"{sum(map(len, before.values()))} addresses of the previous version are kept or moved")


if __name__ == "__main__":
    main()
