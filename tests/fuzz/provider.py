"""A provider of add-ons that agrees to everything. Prints the manifest of its service, and serves until it is ended."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider(BaseHTTPRequestHandler):
    def agree(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        said = {"id": "fuzz-1", "config": {"FUZZ_URL": "fuzz://somewhere"}, "message": "Here it is."}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = agree

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
manifest = {
    "id": "fuzz",
    "password": "correct-horse",
    "sso_salt": "battery-staple",
    "config_vars": ["FUZZ_URL"],
    "base_url": "http://127.0.0.1:%d" % server.server_address[1],
    "plans": ["basic", "pro"],
}
print(json.dumps(manifest), flush=True)
server.serve_forever()
