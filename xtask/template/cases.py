"""Webhooks to render: GitHub's own samples, and hostile or malformed requests.

The cases are the same in each run. The rendered text is not checked here but by
the engine's code, in `crates/core/tests/template.rs`.
"""

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field

SECRET = b"It's a Secret to Everybody"
EVENT = "X-GitHub-Event"
DELIVERY = "X-GitHub-Delivery"
SIGNATURE = "X-Hub-Signature-256"
CONTENT_TYPE = "Content-Type"

# The template passes on no signature of another length and no larger body: see `put_events.vtl`.
SIGNATURE_LENGTH = 71
MAX_BODY_BYTES = 128 * 1024

# Text that could end a string, a reference, a directive or a document.
FRAGMENTS = [
    '"', "'", "\\", '\\"', '\\\\"', "\\u0022", '""', "','", '","x":"', 'queued","x":"', 'queued\\",\\"x\\":\\"',
    '"}]}', '\\"}"}]}', '"}]}\n{"Entries":[]}', "</script>", "%22", "&quot;", "+/=", "=" * 4, "`", "{", "}", "[", "]",
    "$", "#", "$$", "##", "# ", "$!", "${", "$}", "#{", "$x", "$!x", "${x}", "$!{x}", "\\$x", "\\#end",
    "$context", "${context}", "$context.identity.sourceIp", "$input.body", "$input.json('$')", "$input.params()",
    "$stageVariables.bus", "$util", "$util.error('x')", "$util.escapeJavaScript($input.body)", "$event", "$verb", "$type",
    "#set($x=1)", "#set($verb = 'queued')", "#set($context.responseOverride.status = 200)", "#if(true)", "#end",
    "#if($x)y#else z#end", "#foreach($i in [1..9])$i#end", "#stop", "#return", "#break", "#evaluate('x')",
    "#parse('x')", "#include('x')", "#macro(m)x#end#m()", "#define($d)x#end", "#[[ ]]#", "#[[", "]]#", "#* *#", "#*", "*#",
    "\u0085", "\u00a0", "\u2028", "\u2029", "\ufeff", "\ufffd", "\uffff", "\u200b", "\u202e", "é", "e\u0301", "İ",
    "日本語", "🚀", "👩\u200d💻", "\U0010ffff", " ", "\t\t", "\r\n", "\n\n", "null", "true", "0", "other", "QUEUED",
    "queued ", " queued", "queued\u0000", "queuedqueued", "in_progress", "in-progress", "ping", "workflow_job",
] + [chr(code) for code in [*range(0x20), 0x7F]]

BODY = b'{"action":"queued","workflow_job":{"id":1,"run_id":2},"repository":{"full_name":"acme/app"}}'

# Unusual bodies.
BODIES = {
    "empty": b"",
    "blank": b" \r\n\t",
    "a newline after it": BODY + b"\n",
    "pretty": json.dumps(json.loads(BODY), indent=2).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "not UTF-8": b"\xff\xfe\x00",
    "Latin-1": '{"action":"queued","name":"é"}'.encode("latin-1"),
    "half a character": b'{"action":"queued","name":"\xe2\x82"}',
    "an overlong quote": b'{"action":"queued","name":"\xc0\xa2"}',
    "a surrogate in UTF-8": b'{"action":"queued","name":"\xed\xa0\x80"}',
    "an escaped lone surrogate": rb'{"action":"\ud800"}',
    "a lone surrogate beside the action": rb'{"action":"queued","name":"\udfff"}',
    "an escaped action": rb'{"action":"\u0071ueued"}',
    "an escaped key": rb'{"\u0061ction":"queued"}',
    "NUL after the action": rb'{"action":"queued\u0000"}',
    "null": b"null",
    "a number": b"1",
    "a string": b'"queued"',
    "an array": b"[]",
    "an array of one": b"[" + BODY + b"]",
    "an object without anything": b"{}",
    "a null action": b'{"action":null}',
    "a true action": b'{"action":true}',
    "a number as action": b'{"action":0}',
    "an array as action": b'{"action":["queued"]}',
    "an object as action": b'{"action":{"action":"queued"}}',
    "a nested action": b'{"workflow_job":{"action":"queued"}}',
    "a dotted key": b'{"$.action":"queued","$":{"action":"queued"}}',
    "the action twice, a known one last": b'{"action":"x\\",\\"y\\":\\"","action":"completed"}',
    "the action twice, a known one first": b'{"action":"completed","action":"x\\",\\"y\\":\\""}',
    "a key in other letters": b'{"Action":"queued","ACTION":"queued"}',
    "a huge action": b'{"action":"' + b"queued" * 20_000 + b'"}',
    "a huge action of quotes": b'{"action":"' + rb"\"" * 50_000 + b'"}',
    "as large as may be": b'{"action":"queued","x":"' + b"x" * (MAX_BODY_BYTES - 26) + b'"}',
    # The limit is one of base64, which has three bytes in a group.
    "a group of bytes too large": b'{"action":"queued","x":"' + b"x" * (MAX_BODY_BYTES - 26 + 3) + b'"}',
    "too large in bytes alone": b'{"action":"queued","x":"' + "日".encode() * 50_000 + b'"}',
    "as large as API Gateway takes": b'{"action":"queued","x":"' + b"x" * (10 * 1024 * 1024 - 26) + b'"}',
    "deeper than a parser goes": b"[" * 5_000 + b"]" * 5_000,
    "an action above the deep": b'{"action":"queued","x":' + b"[" * 90 + b"]" * 90 + b"}",
    "a number of many digits": b'{"action":"queued","id":' + b"9" * 5_000 + b"}",
    "a number that is none": b'{"action":"queued","id":NaN}',
    "half an object": b'{"action":"queued"',
    "two objects": BODY + BODY,
    "a comma too many": b'{"action":"queued",}',
    "single quotes": b"{'action':'queued'}",
    "a comment": b'/* */{"action":"queued"}',
    "a raw control character": b'{"action":"queued","name":"\x01"}',
    "a form": b"payload=%7B%22action%22%3A%22queued%22%7D",
    "a template": b"#set($verb = 'queued')\n$util.error('x')",
}

# Clients of HTTP/2 and proxies send names in lower case. HTTP gives no spelling a meaning.
SPELLINGS = {
    "GitHub's spelling": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "title case": str.title,
    "swapped case": str.swapcase,
}


@dataclass
class Case:
    """A request, and whether its signature is GitHub's."""

    name: str
    headers: dict
    body: bytes
    signed: bool = True
    query: dict = field(default_factory=dict)

    def __post_init__(self):
        # For these, API Gateway cannot pass on the raw body: see the template.
        self.signed = self.signed and bool(self.body) and is_text(self.body)


def all_cases(samples):
    yield from of_github(samples)
    yield from of_fragments()
    for name, body in BODIES.items():
        yield Case(f"body: {name}", signed_headers("workflow_job", body), body)
    yield from of_headers()


def of_github(samples):
    """Each sample as GitHub sends it, and as it arrives over HTTP/2."""
    for event in json.loads(samples.read_text("utf-8")):
        for number, example in enumerate(event["examples"]):
            body = compact(example)
            headers = signed_headers(event["name"], body)
            yield Case(f"sample: {event['name']} {number}", headers, body)
            lower = {name.lower(): value for name, value in headers.items()}
            yield Case(f"sample in lower case: {event['name']} {number}", lower, body)


def of_fragments():
    for fragment in FRAGMENTS:
        bodies = {
            "body": fragment.encode(),
            "in the body": BODY[:-1] + b"," + fragment.encode() + b"}",
            "action": compact({"action": fragment}),
            "action's end": compact({"action": "queued" + fragment}),
            "action's start": compact({"action": fragment + "queued"}),
            "value": compact({"action": "queued", "name": fragment}),
            "key": compact({fragment: fragment, "action": "completed"}),
        }
        for where, body in bodies.items():
            yield Case(f"{where}: {fragment!r}", signed_headers("workflow_job", body), body)
        headers = signed_headers("workflow_job", BODY)
        for header in (EVENT, DELIVERY, SIGNATURE, CONTENT_TYPE):
            # The last one has the length of a signature.
            for value in (fragment, headers[header] + fragment, (headers[header] + fragment)[-SIGNATURE_LENGTH:]):
                signed = header != SIGNATURE
                yield Case(f"{header}: {value!r}", headers | {header: value}, BODY, signed)
        yield Case(f"another header: {fragment!r}", headers | {"X-Other": fragment}, BODY)


def of_headers():
    """Headers that are missing, wrong, spelled differently or not headers."""
    headers = signed_headers("workflow_job", BODY)
    for header in (EVENT, DELIVERY, SIGNATURE, CONTENT_TYPE):
        rest = {name: value for name, value in headers.items() if name != header}
        signed = header != SIGNATURE
        yield Case(f"without {header}", rest, BODY, signed)
        for how, spelled in SPELLINGS.items():
            yield Case(f"{header} in {how}", rest | {spelled(header): headers[header]}, BODY)
            if spelled(header) != header:
                yield Case(f"{header} twice, also in {how}", headers | {spelled(header): headers[header]}, BODY)
        yield Case(f"{header} in the query", rest, BODY, signed, {header: headers[header]})
        yield Case(f"another {header} in the query", headers, BODY, query={header: '"'})
    for how, spelled in SPELLINGS.items():
        for event in ("workflow_job", "ping"):
            sent = signed_headers(event, BODY)
            yield Case(f"every header in {how}, {event}", {spelled(name): value for name, value in sent.items()}, BODY)
    yield Case("without any header", {}, BODY, signed=False)
    for name, signature in {
        "another secret's": sign(BODY, b"It's a Secret to Nobody"),
        "an empty secret's": sign(BODY, b""),
        "another body's": sign(BODY.upper()),
        "the digest alone": sign(BODY).removeprefix("sha256="),
        "SHA-1": "sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest(),
        "a digit short": sign(BODY)[:-1],
        "two": f"{sign(BODY)},{sign(BODY)}",
    }.items():
        yield Case(f"signature: {name}", headers | {SIGNATURE: signature}, BODY, signed=False)


def signed_headers(event, body):
    """The headers that GitHub sends, with its spelling."""
    return {
        "Accept": "*/*",
        CONTENT_TYPE: "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        DELIVERY: str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(body).hexdigest())),
        EVENT: event,
        "X-GitHub-Hook-ID": "292430182",
        SIGNATURE: sign(body),
    }


def sign(body, secret=SECRET):
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def is_text(body):
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
