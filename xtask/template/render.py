"""Renders the request template with every case, one JSON line per case.

    render.py SAMPLES OUT

SAMPLES is the index.json of @octokit/webhooks-examples.
"""

import base64
import json
import sys
from pathlib import Path

from cases import all_cases
from gateway import Gateway

# `crates/core/tests/template.rs` expects this name.
BUS = "ecsrunner-template"


def main(samples, out):
    gateway = Gateway(BUS)
    number = 0
    with out.open("w", encoding="utf-8") as lines:
        for number, case in enumerate(all_cases(samples), start=1):
            line = {
                "name": case.name,
                "headers": case.headers,
                "body": base64.b64encode(case.body).decode("ascii"),
                "signed": case.signed,
                "rendered": gateway.request(case.headers, case.body, case.query),
            }
            lines.write(json.dumps(line) + "\n")
    print(f"rendered {number} webhooks")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
