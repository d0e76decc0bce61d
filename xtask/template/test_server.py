"""Tests the stand-in for API Gateway with a PutEvents whose answers the test sets.

The shipped response templates render the server's answers.
"""

import base64
import json
import subprocess
import sys
import threading
import unittest
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BUS = "ecsrunner-test"
SIGNATURE = "sha256=" + "0" * 64
SIGNED = {"X-GitHub-Event": "workflow_job", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": SIGNATURE}
TAKEN = (200, '{"FailedEntryCount":0,"Entries":[{"EventId":"11710aed-b79e-4468-a20b-bb3c0c3b4860"}]}')
THROTTLED = (
    200,
    '{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"arn:aws:events:eu"}]}',
)
TOO_LARGE = (400, '{"__type":"ValidationException","message":"Total size of the entries in arn:aws:events:eu"}')


class PutEvents(BaseHTTPRequestHandler):
    """Sends the server's `answer` and stores the request."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((headers, json.loads(body)))
        status, text = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class ServerTest(unittest.TestCase):
    def setUp(self):
        self.events = ThreadingHTTPServer(("127.0.0.1", 0), PutEvents)
        self.events.asked = []
        self.events.answer = TAKEN
        threading.Thread(target=self.events.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.stop_events)
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("server.py"), "--bus", BUS]
            + ["--endpoint", f"http://127.0.0.1:{self.events.server_port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.addCleanup(self.stop_server)
        said = self.server.stdout.readline()
        self.assertRegex(said, r"^listening on http://127\.0\.0\.1:\d+\n$")
        self.connection = HTTPConnection("127.0.0.1", int(said.rsplit(":", 1)[1]), timeout=10)
        self.addCleanup(self.connection.close)

    def stop_events(self):
        self.events.shutdown()
        self.events.server_close()

    def stop_server(self):
        self.server.terminate()
        self.server.wait(timeout=10)
        self.server.stdout.close()

    def post(self, path="/webhook", body=b'{"action":"queued"}', **headers):
        self.connection.request("POST", path, body, headers or SIGNED)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def answered(self, status, text):
        """The sender's answer when PutEvents gives this answer."""
        self.events.answer = (status, text)
        seen = self.post()
        self.assertEqual(len(self.events.asked), 1)
        return seen

    def assert_failed(self, seen):
        status, answer = seen
        self.assertEqual((status, answer["outcome"]), (502, "failed"))
        # The answer contains nothing of PutEvents' own message.
        self.assertNotRegex(json.dumps(answer), "arn:|Exception|Entries|ErrorCode")

    def test_an_event_that_was_taken_is_a_200(self):
        status, answer = self.answered(*TAKEN)
        self.assertEqual((status, answer["outcome"]), (200, "published"))
        self.assertNotIn("EventId", json.dumps(answer))

    def test_an_event_that_failed_within_a_200_is_a_502(self):
        self.assert_failed(self.answered(*THROTTLED))

    def test_a_200_that_does_not_say_how_many_failed_is_a_502(self):
        self.assert_failed(self.answered(200, "{}"))

    def test_a_refused_request_is_a_502(self):
        self.assert_failed(self.answered(*TOO_LARGE))

    def test_a_failing_bus_is_a_502(self):
        self.assert_failed(self.answered(503, ""))

    def test_what_cannot_be_githubs_is_a_400_and_costs_no_event(self):
        large = b'"' + b"x" * (128 * 1024 - 1) + b'"'
        shortened = SIGNED | {"X-Hub-Signature-256": SIGNATURE[:-1]}
        for body, headers in ((large + b"  ", SIGNED), (b"{}", shortened)):
            status, answer = self.post(body=body, **headers)
            self.assertEqual((status, answer["outcome"]), (400, "refused"))
            self.assertNotRegex(json.dumps(answer), "entries|Exception|Value")
        self.assertEqual(self.events.asked, [])
        self.assertEqual(self.post(body=large[1:])[0], 200)
        self.assertEqual(len(self.events.asked), 1)

    def test_a_header_of_githubs_that_is_missing_is_a_400_and_costs_no_event(self):
        for name in SIGNED:
            self.assertEqual(self.post(**{other: value for other, value in SIGNED.items() if other != name})[0], 400)
        self.assertEqual(self.events.asked, [])

    def test_a_header_in_two_spellings_is_a_400_and_costs_no_event(self):
        for name, value in SIGNED.items():
            self.assertEqual(self.post(**SIGNED, **{name.lower(): value})[0], 400)
        self.assertEqual(self.events.asked, [])

    def test_a_bus_out_of_reach_is_a_504(self):
        self.stop_events()
        self.assertEqual(self.post()[0], 504)

    def test_a_form_is_a_415_and_goes_nowhere(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.post(body=b"payload=%7B%7D", **form)[0], 415)
        self.assertEqual(self.post(path="/other")[0], 403)
        self.assertEqual(self.events.asked, [])

    def test_put_events_gets_its_headers_the_bus_and_the_webhook_however_its_headers_are_spelled(self):
        spellings = (str, str.lower, str.upper, str.title)
        for spelled in spellings:
            self.assertEqual(self.post(**{spelled(name): value for name, value in SIGNED.items()})[0], 200)
        for headers, request in self.events.asked:
            self.assertEqual(headers["x-amz-target"], "AWSEvents.PutEvents")
            self.assertEqual(headers["content-type"], "application/x-amz-json-1.1")
            self.assertIn("AWS4-HMAC-SHA256", headers["authorization"])
            (entry,) = request["Entries"]
            self.assertEqual((entry["EventBusName"], entry["DetailType"]), (BUS, "workflow_job"))
            detail = json.loads(entry["Detail"])
            self.assertEqual(base64.b64decode(detail["signature"]), SIGNATURE.encode())
            self.assertEqual(base64.b64decode(detail["body"]), b'{"action":"queued"}')
        self.assertEqual(len(self.events.asked), len(spellings))


if __name__ == "__main__":
    unittest.main()
