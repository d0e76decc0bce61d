#!/usr/bin/env python3
"""Checks that no resource of the previous version loses its address, since Terraform would delete and recreate it.

    addresses.py                    compares with fixtures/previous/terraform.json
    addresses.py FILE CHECKOUT      writes the addresses of a checkout to FILE

A resource with a new address needs a `moved` block, and a resource that was removed on purpose needs a `removed` block.
The addresses are those of the examples, planned by their own tests, so that no account is needed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import plan

EXAMPLES = ("minimal", "complete")
PREVIOUS = plan.ROOT / "fixtures/previous/terraform.json"


def planned(root: pathlib.Path) -> dict[str, list[str]]:
    """The addresses of the managed resources of each example."""
    return {example: _planned(root / "terraform", example) for example in EXAMPLES}


def _planned(directory: pathlib.Path, example: str) -> list[str]:
    tests, variables = f"-test-directory=examples/{example}", f"-var-file=examples/{example}/terraform.tfvars"
    lock = directory / plan.LOCK
    had_lock = lock.exists()
    with tempfile.TemporaryDirectory() as data:
        environment = {**os.environ, "TF_DATA_DIR": data, "TF_IN_AUTOMATION": "1"}

        def terraform(*arguments: str) -> str:
            command = ["terraform", f"-chdir={directory}", *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise plan.Unreadable(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        try:
            terraform("init", "-backend=false", "-input=false", "-no-color", tests)
            return addresses(terraform("test", "-json", "-verbose", "-no-color", tests, variables).splitlines())
        finally:
            if not had_lock:
                lock.unlink(missing_ok=True)


def addresses(messages: list[str]) -> list[str]:
    """The addresses in the one plan among the messages of `terraform test`."""
    read = [json.loads(message) for message in messages]
    plans = [message["test_plan"] for message in read if message["type"] == "test_plan"]
    if len(plans) != 1:
        raise plan.Unreadable(f"the example's tests made {len(plans)} plans: one is expected")
    return sorted(change["address"] for change in plans[0]["resource_changes"] if change["mode"] == "managed")


def blocks(text: str) -> list[tuple[str, str | None]]:
    """(from, to) of each `moved` block, and (from, None) of each `removed` block."""
    found = []
    for kind, body in re.findall(r"^(moved|removed) \{$(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
        ends = dict(re.findall(r"^ +(from|to) += +(\S.*?) *$", body, re.MULTILINE))
        found.append((ends["from"], ends["to"] if kind == "moved" else None))
    return found


def written(terraform: pathlib.Path) -> dict[str, list[tuple[str, str | None]]]:
    """The blocks by module name, those of the root by ""."""
    found = {}
    for file in sorted(terraform.glob("*.tf")) + sorted(terraform.glob("modules/*/*.tf")):
        module = "" if file.parent == terraform else file.parent.name
        found.setdefault(module, []).extend(blocks(file.read_text()))
    return found


def step(address: str, moves: dict[str, list[tuple[str, str | None]]]) -> tuple[bool, str | None]:
    """Whether a block applies to that address, and the resulting address."""
    for module, pairs in moves.items():
        inside = re.fullmatch(rf"(module\.{module}(?:\[[^\]]*\])?\.)(.*)", address) if module else None
        if module and not inside:
            continue
        prefix, rest = inside.groups() if inside else ("", address)
        for source, target in pairs:
            if rest == source or rest.startswith((f"{source}.", f"{source}[")):
                return True, None if target is None else prefix + target + rest[len(source):]
    return False, address


def check(before: dict, now: dict, moves: dict) -> list[str]:
    mistakes = []
    for example, old in before.items():
        for address in sorted(set(old) - set(now[example])):
            place, visited = address, set()
            while place is not None and place not in now[example] and place not in visited:
                visited.add(place)
                _, place = step(place, moves)
            if place is not None and place not in now[example]:
                mistakes.append(f"{example}: `{address}` no longer exists: a `moved` or `removed` block is expected")
    return mistakes


def main() -> None:
    try:
        if len(sys.argv) == 3:
            lists = planned(pathlib.Path(sys.argv[2]).resolve())
            pathlib.Path(sys.argv[1]).write_text(json.dumps(lists, indent=1) + "\n")
            return
        before = json.loads(PREVIOUS.read_text())
        mistakes = check(before, planned(plan.ROOT), written(plan.ROOT / "terraform"))
    except plan.Unreadable as error:
        sys.exit(f"error: {error}")
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if mistakes:
        sys.exit(1)
    print(f"{sum(map(len, before.values()))} addresses of the previous version are kept or moved")


if __name__ == "__main__":
    main()
