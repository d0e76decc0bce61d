"""Writes the commands of buildspec.yml as one bash script, in the order in which CodeBuild executes them.

    commands.py BUILDSPEC    prints the script; it ends at the first command that fails

It reads only what that file uses: lists of `commands` whose items are blocks or single lines. CodeBuild executes the
commands of all phases in one shell, and none after one that failed.
"""

import pathlib
import sys
import textwrap


def commands(lines):
    inside = None
    block = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        text = line.strip()
        if block is not None and (indent > inside + 2 or not text):
            block.append(line)
            continue
        if block is not None:
            yield textwrap.dedent("\n".join(block))
            block = None
        if text == "commands:":
            inside = indent
        elif inside is not None and text == "- |":
            block = []
        elif inside is not None and text.startswith("- ") and indent == inside + 2:
            yield text[2:]
        elif text and not text.startswith("#") and indent <= (inside or 0):
            inside = None
    if block is not None:
        yield textwrap.dedent("\n".join(block))


found = list(commands(pathlib.Path(sys.argv[1]).read_text().splitlines()))
if not found:
    sys.exit(f"{sys.argv[1]} has no commands")
for command in found:
    print(f"{command.strip()}\n[ $? = 0 ] || exit 1")
