"""Serves the agent to official_test.sh, and misbehaves on request. Prints its port and each request until it is killed.

    official_test.py FILE

    /agent          the file                /broken    half of the file, then the connection ends
    /slow           the file, 1 s later     /flaky     503 once, then the file
    /other          another file            /moved     leads to /agent, with the same query
    anything else   404
"""

import http.server
import pathlib
import sys
import time

CONTENT = pathlib.Path(sys.argv[1]).read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    asked = set()

    def do_GET(self):
        print(self.path, flush=True)
        path, _, query = self.path.partition("?")
        first = self.path not in self.asked
        self.asked.add(self.path)
        if path == "/slow":
            time.sleep(1)
        if path == "/moved":
            self.send_response(307)
            self.send_header("Location", f"/agent?{query}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = {"/other": b"#!/bin/sh\necho other\n"}.get(path, CONTENT)
        status = 200 if path in ("/agent", "/slow", "/other", "/broken", "/flaky") else 404
        if path == "/flaky" and first:
            status = 503
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if path == "/broken" else body)
        self.close_connection = True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
