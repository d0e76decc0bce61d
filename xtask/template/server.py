"""A stand-in for API Gateway: turns POST /webhook into a PutEvents request.

    server.py --endpoint URL --bus NAME [--port N]

Listens on 127.0.0.1 and says where, in one line on standard output. It calls
PutEvents of any endpoint that does not check signatures, such as ministack's.
"""

import argparse
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True

from gateway import Gateway, refusal  # noqa: E402

MAX_BODY_BYTES = 10 * 1024 * 1024
TIMEOUT_SECS = 29

PUT_EVENTS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSEvents.PutEvents",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/events/aws4_request,"
    " SignedHeaders=host;x-amz-target, Signature=" + "0" * 64,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Sends an answer as one segment, without delay.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, text = self.answer(body)
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body):
        path, _, _query = self.path.partition("?")
        if path != "/webhook":
            return 403, '{"message":"Missing Authentication Token"}'
        if len(body) > MAX_BODY_BYTES:
            return 413, '{"message":"Request Too Long"}'
        # There is a single template, and `passthrough_behavior = NEVER`.
        if self.headers.get("Content-Type", "application/json").split(";")[0].strip() != "application/json":
            return 415, '{"message":"Unsupported Media Type"}'
        # Names as they were sent. Of a name that is repeated, the last value.
        headers = dict(self.headers.items())
        gateway = self.server.gateway
        try:
            return gateway.response(*self.server.put_events(gateway.request(headers, body)))
        except OSError as error:
            self.log_message("PutEvents cannot be reached: %s", error)
            return 504, '{"message":"Endpoint request timed out"}'

    def log_message(self, format, *args):
        print(format % args, file=sys.stderr)


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port, bus, endpoint):
        super().__init__(("127.0.0.1", port), Handler)
        self.gateway = Gateway(bus)
        self._endpoint = endpoint

    def put_events(self, request):
        if refused := refusal(request):
            return refused
        call = urllib.request.Request(self._endpoint, request.encode(), PUT_EVENTS)
        try:
            with urllib.request.urlopen(call, timeout=TIMEOUT_SECS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="URL of PutEvents")
    parser.add_argument("--bus", required=True, help="the stage variable `bus`")
    parser.add_argument("--port", type=int, default=0, help="0 selects a free port")
    given = parser.parse_args()
    server = Server(given.port, given.bus, given.endpoint)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
