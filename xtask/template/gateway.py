"""Renders the shipped templates as API Gateway (REST) would.

It has only what the templates use: `$input`, `$util.base64Encode`,
`$stageVariables` and `$context.responseOverride`. The behaviour is that of
AWS's developer guide, "Variables for data transformations", and of the tests
that LocalStack validates against AWS.
"""

import base64
import json
from pathlib import Path

import airspeed

# PutEvents' answer to a request without an entry, in AWS's own words.
NO_ENTRY = {
    "__type": "ValidationException",
    "message": "1 validation error detected: Value '[]' at 'entries' failed to satisfy constraint: "
    "Member must have length greater than or equal to 1",
}

TEMPLATES = Path(__file__).resolve().parents[2] / "terraform/modules/webhook"


def refusal(request):
    """PutEvents' status and body for a request that it does not take as a whole, or None.

    ministack and other stand-ins for EventBridge take a request without an entry.
    """
    if not json.loads(request).get("Entries"):
        return 400, json.dumps(NO_ENTRY).encode()
    return None


class Parameters:
    """A map of Java's: an entry named `get` does not hide the method."""

    def __init__(self, found):
        self._found = found

    def get(self, name):
        return self._found.get(name)

    def keySet(self):
        return list(self._found)


class Input:
    """`$input`. Invalid UTF-8 in a body becomes U+FFFD, and an empty body becomes `{}`."""

    def __init__(self, body, headers, query):
        self.body = body.decode("utf-8", errors="replace") or "{}"
        self._params = {"path": {}, "querystring": query, "header": headers}

    def params(self, name=None):
        """All parameters, or the first of this name in path, query and header."""
        if name is None:
            return {kind: Parameters(found) for kind, found in self._params.items()}
        return next((found[name] for found in self._params.values() if name in found), "")

    def path(self, path):
        """A value of the body, or None.

        AWS may also fail if the body is not JSON. None is the case in which
        there is a rendered template to check.
        """
        if not path.startswith("$."):
            raise ValueError(f"unsupported JSON path: {path}")
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        for key in path.removeprefix("$.").split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


class Util:
    """`$util`."""

    def base64Encode(self, text):
        # Java encodes a lone surrogate, from an escape in JSON, as `?`.
        return base64.b64encode(text.encode("utf-8", errors="replace")).decode("ascii")


class Gateway:
    """The webhook's method with its three templates and the stage variables."""

    def __init__(self, bus, templates=TEMPLATES):
        self._variables = {"bus": bus}
        self._request = load(templates / "put_events.vtl")
        self._published = load(templates / "put_events_response.vtl")
        self._failed = load(templates / "put_events_failed.vtl")

    def request(self, headers, body, query=None):
        """The request to PutEvents. Header names are case-sensitive."""
        rendered, _ = self._render(self._request, Input(body, headers, query or {}))
        return rendered

    def response(self, status, body):
        """Status and body for the sender, from PutEvents' status and body.

        The integration responses are selected by `4\\d{2}` and `5\\d{2}` with 502,
        and by everything else with 200.
        """
        failed = 400 <= status <= 599
        template = self._failed if failed else self._published
        rendered, override = self._render(template, Input(body, {}, {}))
        return override.get("status", 502 if failed else 200), rendered

    def _render(self, template, given):
        override = {}
        names = {
            "input": given,
            "util": Util(),
            "stageVariables": self._variables,
            "context": {"responseOverride": override},
        }
        return template.merge(names), override


def load(path):
    return airspeed.Template(path.read_text("utf-8"))
