#!/usr/bin/env python3
"""Checks that terraform/modules/inputs knows the types of the root's inputs, by which it finds keys that Terraform ignores,
and that a module's message about a wrong value begins with the name that it has in the root.

    inputs.py            compares terraform/modules/inputs/types.json with terraform/variables.tf
    inputs.py --write    writes that file

A path has `*` for any key of a map and any element of a list. Its type ends with `?` if null is allowed.
"""

import json
import re
import sys

import plan
import readme

FILE = plan.ROOT / "terraform/modules/inputs/types.json"
# Secret: a message could show it.
SECRET = {"webhook_secrets"}
# Variables of modules that only get results of other modules: a mistake there is one of the root's wiring.
WIRED = {"architectures", "boot_roles", "facts", "image", "official", "parameter_arns", "state_table", "tasks", "vpc_id"}


def types(variables: str) -> dict[str, str]:
    """The type of each input and of everything in it."""
    found = {}
    for name, body in readme.blocks(variables, "variable").items():
        if name not in SECRET:
            text = re.search(r"^  type\s+= (.*?)^(?:  [a-z]|})", body, re.MULTILINE | re.DOTALL)[1]
            # An input that is null has its default.
            written(name, parsed(text), "?", found)
    return found


def written(path: str, kind: tuple, optional: str, found: dict[str, str]) -> None:
    name, inner = kind
    if name == "optional":
        return written(path, inner, "?", found)
    found[path] = name + optional
    for key, value in inner.items() if name == "object" else [("*", inner)] if inner else []:
        written(f"{path}.{key}", value, "", found)


def parsed(text: str) -> tuple:
    """A type expression as (name, inner): a dictionary in an object, one type in a map, a list or `optional`."""
    words = re.findall(r'"[^"]*"|[\w.-]+|[^\s\w]', text)
    kind = _kind(words)
    if words:
        raise plan.Unreadable(f"the type `{text.strip()}` goes on after its end: {words}")
    return kind


def _kind(words: list[str]) -> tuple:
    name = words.pop(0)
    if name in ("string", "number", "bool"):
        return name, None
    if name not in ("optional", "object", "map", "list"):
        raise plan.Unreadable(f"the type `{name}` is not known here: teach terraform/modules/inputs to check it")
    words.pop(0)
    if name == "object":
        inner = {}
        words.pop(0)
        while words[0] != "}":
            key, _ = words.pop(0), words.pop(0)
            inner[key] = _kind(words)
            if words[0] == ",":
                words.pop(0)
        words.pop(0)
    else:
        inner = _kind(words)
    # The default of `optional`.
    depth = 1
    while depth:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(words.pop(0), 0)
    return name, inner


def check(variables: str, have: dict[str, str], walk: str) -> list[str]:
    expected = types(variables)
    mistakes = []
    if have != expected:
        differ = sorted(path for path in have.keys() | expected if have.get(path) != expected.get(path))
        mistakes.append(f"modules/inputs/types.json differs from variables.tf: {', '.join(differ)}. Run inputs.py --write")
    deepest = max(expected, key=lambda path: path.count("."))
    levels = len(re.findall(r"^  level_\d+ = ", walk, re.MULTILINE))
    if levels != deepest.count(".") + 1:
        mistakes.append(f"modules/inputs has {levels} levels, but `{deepest}` is on level {deepest.count('.') + 1}")
    return mistakes


def named(types: dict[str, str], modules: dict[str, str]) -> list[str]:
    """Names the messages of validations that begin neither with an input's path nor with a variable that is only wired."""
    mistakes = []
    for module, text in modules.items():
        for variable, body in readme.blocks(text, "variable").items():
            for message in re.findall(r'^    error_message = "(.*)"$', body, re.MULTILINE):
                first = re.match(r"[\w.]*", message)[0]
                if first not in types.keys() | SECRET and first.split(".")[0] not in WIRED & {variable}:
                    mistakes.append(f"modules/{module}: the message of `{variable}` begins with `{message[:40]}`: the path of a root's input is expected")
    return mistakes


if __name__ == "__main__":
    root = (plan.ROOT / "terraform/variables.tf").read_text()
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(json.dumps(types(root), indent=2) + "\n")
    have = json.loads(FILE.read_text())
    found = check(root, have, (FILE.parent / "main.tf").read_text())
    modules = [module for module in sorted(FILE.parents[1].iterdir()) if module.is_dir()]
    found += named(have, {module.name: "".join(file.read_text() for file in sorted(module.glob("*.tf"))) for module in modules})
    for mistake in found:
        print(f"error: {mistake}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("the types of the inputs are known, and messages use their names")
