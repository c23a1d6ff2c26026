"""A provider of add-ons that agrees to everything: prints the manifest of its service, and serves until manifest.json is gone."""

import json
import os
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider(BaseHTTPRequestHandler):
    def agree(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        said = {"id": str(uuid.uuid4()), "config": {"CELLAR_URL": "cellar://somewhere"}, "message": "Here it is."}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = agree

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(json.dumps({
    "id": "cellar",
    "password": "correct-horse",
    "sso_salt": "battery-staple",
    "config_vars": ["CELLAR_URL"],
    "base_url": "http://127.0.0.1:%d" % server.server_address[1],
    "plans": ["basic", "pro"],
}), flush=True)
# Whoever waits for its output waits for its end otherwise.
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)
threading.Thread(target=server.serve_forever, daemon=True).start()
while os.path.exists("manifest.json"):
    threading.Event().wait(1)
