#!/usr/bin/env python3
"""Extracts the parameters that terraform/modules/parameters would write, for the test of the code that reads them.

    parameters.py FILE [PLAN.json]    writes {name: value} to FILE; crates/aws/tests/planned.rs reads it
"""

import json
import pathlib
import sys

import plan

MODULE = "parameters"


def values(terraform: dict) -> dict[str, str]:
    found = {}
    for parameter in plan.planned(terraform, "aws_ssm_parameter"):
        value = parameter.get("insecure_value") or parameter.get("value")
        if value is None:
            raise plan.Unreadable(f"the value of {parameter['name']} is not known at plan time")
        found[parameter["name"]] = value
    return found


if __name__ == "__main__":
    file = pathlib.Path(sys.argv.pop(1))

    def write(terraform: dict) -> tuple[list[str], str]:
        written = values(terraform)
        file.write_text(json.dumps(written))
        return [], f"{len(written)} parameters planned"

    plan.report(MODULE, write)
