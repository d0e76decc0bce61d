"""Holds the request template to its contract for any webhook.

    properties.py [--seed N] [--templates DIR] [FILE ...]

Replays the webhooks of `corpus/`, then generates others. With files, it only
replays these. A failure prints the smallest webhook that was found, as a file
of the corpus, and the seed, which generates it again.
"""

import argparse
import base64
import itertools
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
# Hypothesis keeps its tables of characters there.
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(
    Path(__file__).resolve().parents[2] / "target/xtask/template/hypothesis"
)

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from cases import CONTENT_TYPE, DELIVERY, EVENT, MAX_BODY_BYTES, SIGNATURE, SIGNATURE_LENGTH, is_text  # noqa: E402
from gateway import TEMPLATES, Gateway, refusal  # noqa: E402
from webhooks import ACTIONS, CORPUS, DETAIL_TYPES, WEBHOOKS, Webhook  # noqa: E402

# How long webhooks are generated. A round is generated from one seed, and the last one is finished.
BUDGET_SECS = 30
ROUND = settings(
    max_examples=200,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    derandomize=False,
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
# Less would be no test. A usual machine generates ten times as many.
MIN_WEBHOOKS = 500

BUS = "ecsrunner-template"
SKELETON = r"""{"Entries":[{
"EventBusName":"ecsrunner-template",
"Source":"ecsrunner.webhook",
"DetailType":"%s",
"Detail":"{\"v\":1,\"action\":\"%s\",\"event\":\"%s\",\"delivery\":\"%s\",\"signature\":\"%s\",\"content_type\":\"%s\",\"body\":\"%s\"}"
}]}"""
HEADERS = {"event": EVENT, "delivery": DELIVERY, "signature": SIGNATURE, "content_type": CONTENT_TYPE}

# API Gateway's limit for all headers. EventBridge takes more since 2026, but 256 KB were its limit for years.
MAX_HEADER_BYTES = 20_480
MAX_REQUEST_BYTES = 256 * 1024
# Counts webhooks that are not passed on.
REFUSED = "refused"
# A parser may refuse what is nested deeper.
MAX_DEPTH = 500


def check(gateway, webhook):
    """Checks all properties. Returns the two words in the clear, or that the webhook is not passed on."""
    body, headers = webhook.body, known(webhook.headers)
    rendered = gateway.request(webhook.headers, body, webhook.query)
    if headers is None or must_be_refused(headers, body):
        ensure(rendered.strip() == '{"Entries":[]}', "an event is made of a webhook that cannot be GitHub's")
        ensure(refusal(rendered) is not None, "PutEvents takes the request")
        return (REFUSED,)
    request = strict(rendered, "the request")
    ensure(list(request) == ["Entries"] and len(request["Entries"]) == 1, "not one entry")
    (entry,) = request["Entries"]
    ensure(list(entry) == ["EventBusName", "Source", "DetailType", "Detail"], f"the entry has {list(entry)}")
    ensure(entry["EventBusName"] == BUS, f"the bus is {entry['EventBusName']!r}")
    ensure(entry["Source"] == "ecsrunner.webhook", f"the source is {entry['Source']!r}")
    detail = strict(entry["Detail"], "the detail")
    ensure(list(detail) == ["v", "action", *HEADERS, "body"], f"the detail has {list(detail)}")
    check_words(entry["DetailType"], detail["action"], headers, body)
    for name, header in HEADERS.items():
        ensure(decoded(detail, name) == headers.get(header, "").encode(), f"another {header} arrived")
    check_body(decoded(detail, "body"), body)
    values = [detail[name] for name in (*HEADERS, "body")]
    skeleton = SKELETON % (entry["DetailType"], detail["action"], *values)
    ensure(rendered.strip() == skeleton, "text beside the values and the two words differs")
    check_size(rendered, webhook.headers, body)
    ensure(gateway.request(headers, body).strip() == rendered.strip(), "another header, the spelling or the query has an effect")
    return entry["DetailType"], detail["action"]


def known(sent):
    """The headers that count, in GitHub's spelling. None if one was sent in two spellings."""
    spelled = {header.lower(): header for header in HEADERS.values()}
    found = [(spelled[name.lower()], value) for name, value in sent.items() if name.lower() in spelled]
    return dict(found) if len(dict(found)) == len(found) else None


def must_be_refused(headers, body):
    """By what is missing, and by the length of the signature and of the body as it is passed on, in base64."""
    text = body.decode("utf-8", "replace") or "{}"
    too_large = len(base64.b64encode(text.encode())) > len(base64.b64encode(bytes(MAX_BODY_BYTES)))
    missing = not headers.get(EVENT) or not headers.get(DELIVERY)
    return missing or too_large or len(headers.get(SIGNATURE, "")) != SIGNATURE_LENGTH


def check_words(detail_type, action, headers, body):
    """The words are listed ones, and those of the event's header and the body's action."""
    ensure(detail_type in DETAIL_TYPES, f"the detail type is {detail_type!r}")
    ensure(action in ACTIONS, f"the action is {action!r}")
    sent = headers.get(EVENT)
    ensure(detail_type == (sent if sent in DETAIL_TYPES else "other"), f"{sent!r} has the type {detail_type!r}")
    try:
        document = json.loads(body.decode("utf-8", "replace") or "{}")
    except (ValueError, RecursionError):
        document = None
    sent = document.get("action") if isinstance(document, dict) else None
    expected = sent if isinstance(sent, str) and sent in ACTIONS else "other"
    gave_up = action == "other" and max(body.count(b"["), body.count(b"{")) > MAX_DEPTH
    ensure(action == expected or gave_up, f"{sent!r} has the action {action!r}")


def check_body(arrived, body):
    """API Gateway has no raw body to pass on if there is none or it is not UTF-8."""
    if not body:
        ensure(arrived == b"{}", "an empty body is not {}")
    elif is_text(body):
        ensure(arrived == body, "another body arrived")
    else:
        ensure("\ufffd" in arrived.decode(), "the bytes that are not UTF-8 are not U+FFFD")


def check_size(rendered, headers, body):
    """PutEvents takes the largest webhook that is passed on."""
    sent = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if sent <= MAX_HEADER_BYTES:
        size = len(rendered.encode())
        ensure(size <= MAX_REQUEST_BYTES, f"the request has {size} bytes")


def strict(text, what):
    """Reads JSON without repeated keys."""

    def unique(pairs):
        ensure(len(dict(pairs)) == len(pairs), f"{what} repeats a key")
        return dict(pairs)

    def constant(word):
        raise ValueError(word)

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except ValueError as error:
        raise AssertionError(f"{what} is not JSON: {error}") from error
    ensure(isinstance(value, dict), f"{what} is not an object")
    return value


def decoded(detail, name):
    """The bytes of a value, which has the one spelling of the standard alphabet."""
    try:
        value = base64.b64decode(detail[name], validate=True)
    except ValueError as error:
        raise AssertionError(f"{name} is not base64: {error}") from error
    ensure(base64.b64encode(value).decode() == detail[name], f"{name} has another spelling of base64")
    return value


def ensure(holds, otherwise):
    # `assert` is absent in optimised Python.
    if not holds:
        raise AssertionError(otherwise)


def replay(gateway, paths):
    """Checks stored webhooks. Returns the first failure as text, or None."""
    for path in paths:
        webhook = Webhook.read(path)
        try:
            check(gateway, webhook)
        except Exception as error:
            return f"{path.name}: {told(gateway, webhook, error)}\nto replay it: properties.py {path}"
    return None


def generate(gateway, first_seed, seen):
    """Checks generated webhooks until the time is over. Returns the first failure as text, or None."""
    failed = []

    @ROUND
    @given(WEBHOOKS)
    def any_webhook(webhook):
        try:
            seen.update(check(gateway, webhook))
            seen["webhooks"] += 1
        except Exception:
            failed.append(webhook)
            raise

    end = time.monotonic() + BUDGET_SECS
    for number in itertools.count(first_seed):
        try:
            seed(number)(any_webhook)()
        except Exception as error:
            if not failed:
                raise
            # Hypothesis ends with the smallest one.
            again = f"to generate it again: properties.py --seed {number}"
            return f"seed {number}: {told(gateway, failed[-1], error)}\n{again}"
        if time.monotonic() >= end:
            return None


def told(gateway, webhook, error):
    try:
        rendered = gateway.request(webhook.headers, webhook.body, webhook.query)
    except Exception as failure:
        rendered = f"nothing: {failure}"
    return (
        f"{error}\nthe webhook, as a file of xtask/template/corpus:\n{webhook.to_json()}\n"
        f"was rendered as:\n{rendered[:2_000]}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="generates the same webhooks again")
    parser.add_argument("--templates", type=Path, default=TEMPLATES, help="the directory of the templates")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help="only replays these webhooks")
    options = parser.parse_args()
    gateway = Gateway(BUS, options.templates)
    paths = options.files or sorted(CORPUS.glob("*.json"))
    failure = replay(gateway, paths)
    if failure is None and options.files:
        print(f"replayed {len(paths)} webhooks")
    elif failure is None:
        first_seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
        seen = Counter()
        failure = generate(gateway, first_seed, seen)
        rare = [word for word in (*ACTIONS, *DETAIL_TYPES, REFUSED) if seen[word] == 0]
        if failure is None and (rare or seen["webhooks"] < MIN_WEBHOOKS):
            failure = f"only {seen['webhooks']} webhooks were generated, and none with the words {rare}"
        print(f"replayed {len(paths)} webhooks and generated {seen['webhooks']}, from seed {first_seed}")
    if failure is not None:
        sys.exit(failure)


if __name__ == "__main__":
    main()
