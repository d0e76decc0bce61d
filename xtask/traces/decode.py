#!/usr/bin/env python3
"""Decodes an exported trace with OpenTelemetry's own messages for Python, and checks it.

    decode.py FILE        the body of a request, as the tests of crates/traces write it
"""

import sys
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

# Name, name of the parent, and seconds from the job's start at GitHub until its beginning and end.
EXPECTED = {
    "build": (None, 1, 100),
    "webhook": ("build", 1, 1),
    "decision": ("build", 1, 2),
    "launch": ("build", 2, 3),
    "boot": ("build", 3, 40),
    "provision": ("boot", 3, 13),
    "pull": ("boot", 13, 28),
    "container": ("boot", 28, 30),
    "hand_over": ("boot", 30, 31),
    "agent": ("boot", 31, 32),
    "listener": ("boot", 32, 36),
    "session": ("boot", 36, 37),
    "assignment": ("boot", 37, 40),
    "run": ("build", 40, 100),
    "clean_up": ("build", 100, 130),
}
QUEUED_AT = 1_793_534_400
ATTRIBUTES = {"cicd.pipeline.run.id": "42", "cicd.pipeline.task.run.id": "7", "cicd.pipeline.task.run.result": "success"}


def main(file: str) -> None:
    body = Path(file).read_bytes()
    request = ExportTraceServiceRequest.FromString(body)
    if request.SerializeToString(deterministic=True) != body:
        raise SystemExit("the decoder knows other fields than those that were sent")
    (of_resource,) = request.resource_spans
    resource = {attribute.key: attribute.value.string_value for attribute in of_resource.resource.attributes}
    assert resource["service.name"] == "ecsrunner", resource
    (scope_spans,) = of_resource.scope_spans
    names = {span.span_id: span.name for span in scope_spans.spans}
    found = {}
    for span in scope_spans.spans:
        assert (len(span.trace_id), len(span.span_id), span.kind) == (16, 8, Span.SPAN_KIND_INTERNAL), span
        times = (span.start_time_unix_nano, span.end_time_unix_nano)
        begin, end = (nanos // 1_000_000_000 - QUEUED_AT for nanos in times)
        found[span.name] = (names.get(span.parent_span_id), begin, end)
    assert found == EXPECTED, found
    root = {attribute.key: attribute.value.string_value for attribute in scope_spans.spans[0].attributes}
    assert ATTRIBUTES.items() <= root.items(), root
    print(f"{len(found)} spans are what was meant")


if __name__ == "__main__":
    main(*sys.argv[1:])
