"""A webhook as a small file of `corpus/`, and how to generate webhooks.

A file is JSON: `why`, `headers`, `query` and `body`. The body is a list of
parts. A part is `text` or `base64`, and repeated if it has `times`, so that a
huge body is a small file.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from cases import CONTENT_TYPE, DELIVERY, EVENT, FRAGMENTS, MAX_BODY_BYTES, SIGNATURE, SIGNATURE_LENGTH, is_text

CORPUS = Path(__file__).with_name("corpus")
ACTIONS = ["queued", "waiting", "in_progress", "completed", "other"]
DETAIL_TYPES = ["workflow_job", "ping", "other"]


@dataclass
class Webhook:
    headers: dict
    # Each with how often it is repeated.
    parts: list
    query: dict = field(default_factory=dict)

    @property
    def body(self):
        return b"".join(part * times for part, times in self.parts)

    def to_json(self):
        """The webhook as a file of the corpus, except for the reason."""
        body = [_to_json(part, times) for part, times in self.parts]
        return json.dumps({"headers": self.headers, "query": self.query, "body": body}, indent=2)

    @classmethod
    def read(cls, path):
        stored = json.loads(path.read_text("utf-8"))
        parts = [_from_json(part) for part in stored["body"]]
        return cls(stored["headers"], parts, stored.get("query", {}))


def _to_json(part, times):
    stored = {"text": part.decode()} if is_text(part) else {"base64": base64.b64encode(part).decode()}
    return stored if times == 1 else stored | {"times": times}


def _from_json(stored):
    part = stored["text"].encode() if "text" in stored else base64.b64decode(stored["base64"], validate=True)
    return part, stored.get("times", 1)


# What API Gateway receives has no lone surrogates. Few draws for each text: they are what takes time.
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FRAGMENT = st.sampled_from(FRAGMENTS)
TEXTS = st.one_of(PLAIN, FRAGMENT, st.tuples(FRAGMENT, PLAIN, FRAGMENT).map("".join))
# An escape in JSON can be a lone surrogate.
STRINGS = TEXTS | st.text(st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(STRINGS, values, max_size=4),
    max_leaves=6,
)


@st.composite
def near(draw, words):
    """A known word, alone in half of the cases, with a text beside it or in another spelling; or any text."""
    word = draw(st.sampled_from(words))
    match draw(st.sampled_from(["alone"] * 5 + ["before", "after", "upper case", "spaced", "absent"])):
        case "alone":
            return word
        case "before":
            return word + draw(TEXTS)
        case "after":
            return draw(TEXTS) + word
        case "upper case":
            return word.upper()
        case "spaced":
            return " ".join(word)
        case "absent":
            return draw(TEXTS)


NAMES = [EVENT, DELIVERY, SIGNATURE, CONTENT_TYPE]
# Other spellings, which come beside GitHub's, and names with a meaning to Velocity, Java or Python.
OTHER_NAMES = st.one_of(
    st.sampled_from([*map(str.lower, NAMES), *map(str.upper, NAMES)]),
    st.sampled_from(["get", "keySet", "class", "size", "__class__", "header", "$headers", "Accept"]),
    PLAIN,
).filter(lambda name: name not in NAMES)


# Most have the length of a signature, since only these are passed on. "" is none.
SIGNATURES = st.one_of(
    st.binary(min_size=32, max_size=32).map(lambda digest: "sha256=" + digest.hex()),
    TEXTS.map(lambda text: ("sha256=" + text + "0" * SIGNATURE_LENGTH)[:SIGNATURE_LENGTH]),
    TEXTS.map(lambda text: (text + "0" * SIGNATURE_LENGTH)[:SIGNATURE_LENGTH]),
    TEXTS | st.just(""),
)


@st.composite
def all_headers(draw):
    headers = draw(st.dictionaries(OTHER_NAMES, TEXTS, max_size=2))
    spelled = draw(st.sampled_from([str, str, str.lower, str.upper, str.swapcase]))
    known = {
        EVENT: near(DETAIL_TYPES[:2]),
        DELIVERY: st.uuids().map(str) | TEXTS,
        CONTENT_TYPE: near(["application/json"]),
    }
    if signature := draw(SIGNATURES):
        headers[spelled(SIGNATURE)] = signature
    # Mostly with both, since nothing is passed on without them.
    required = {name: known.pop(name) for name in (EVENT, DELIVERY)} if draw(st.integers(0, 4)) else {}
    sent = draw(st.fixed_dictionaries(required, optional=known))
    return headers | {spelled(name): value for name, value in sent.items()}


@st.composite
def documents(draw):
    """JSON objects, whose keys may be repeated, in any encoding."""
    keys = st.sampled_from(["action", "action", "Action", "$.action", "workflow_job"]) | STRINGS
    known = near(ACTIONS)
    pairs = draw(st.lists(st.tuples(keys, known | VALUES), max_size=3))
    pairs.insert(draw(st.integers(0, len(pairs))), ("action", draw(known)))
    ascii_only = draw(st.booleans())
    comma, colon = draw(st.sampled_from([(",", ":"), (" ,\r\n", "\t: ")]))

    def dump(value):
        return json.dumps(value, ensure_ascii=ascii_only)

    text = "{" + comma.join(dump(key) + colon + dump(value) for key, value in pairs) + "}"
    encoding = draw(st.sampled_from(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "utf-32", "latin-1"]))
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


@st.composite
def mangled(draw):
    """A document, with a part of it replaced."""
    document = draw(documents())
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(document))] * 2)))
    return document[:start] + draw(st.binary(max_size=8) | TEXTS.map(str.encode)) + document[end:]


@st.composite
def huge(draw):
    """Around the largest size that is passed on."""
    head, tail = draw(st.sampled_from([(b'{"action":"queued","x":"', b'"}'), (b'{"action":"', b'"}'), (b"", b"")]))
    piece = draw(st.binary(min_size=1, max_size=4) | TEXTS.filter(bool).map(str.encode))
    return [(head, 1), (piece, draw(st.integers(1, (MAX_BODY_BYTES * 5 // 4) // len(piece)))), (tail, 1)]


@st.composite
def deep(draw):
    """Nested beside the action, or as the action if every parser can read it."""
    opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"action":', b"}")]))
    inside = draw(st.booleans())
    levels = draw(st.integers(1, 400 if inside else 20_000))
    head = b'{"action":' if inside else b'{"action":"queued","x":'
    return [(head, 1), (opened, levels), (b'"queued"', 1), (closed, levels), (b"}", 1)]


PARTS = st.one_of(
    (documents() | mangled() | st.binary(max_size=200) | TEXTS.map(str.encode)).map(lambda body: [(body, 1)]),
    documents().map(lambda body: [(body, 1)]),
    huge(),
    deep(),
)
QUERIES = st.dictionaries(st.sampled_from(NAMES) | OTHER_NAMES, TEXTS, max_size=2)
WEBHOOKS = st.builds(Webhook, all_headers(), PARTS, QUERIES)
