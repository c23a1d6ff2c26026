"""Greets whoever visits, and says so in the log."""

import http.server
import os


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("%s from %s\n" % (os.environ.get("GREETING", "Hello"), os.environ["DYNO"])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("greeted %s" % self.path, flush=True)

    def log_message(self, *_):
        pass


print("listening", flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
