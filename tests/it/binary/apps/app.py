import base64, hashlib, os, socketserver, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = "{{text}}"


# Whoever asks for /wait is answered once somebody has asked for /go, and /arrived once there is one.
ARRIVED = threading.Event()
GO = threading.Event()


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        print("serving", self.path, flush=True)
        if self.path == "/crash":
            os._exit(3)
        if self.path == "/wait":
            ARRIVED.set()
            GO.wait()
        if self.path == "/arrived":
            ARRIVED.wait()
        if self.path == "/go":
            GO.set()
        if self.path == "/socket":
            return self.socket()
        self.answer("%s says %s on %s\n" % (TEXT, os.environ.get("GREETING"), os.environ["DYNO"]))

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode() + " to " + TEXT)

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def socket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while True:
            kind, length = self.rfile.read(2)
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length & 127)))
            self.wfile.write(bytes([kind, len(text)]) + text.upper())
            if kind == 0x88:
                return

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


server = Server(("0.0.0.0", int(os.environ["PORT"])), Page)
print("listening as", TEXT, flush=True)
server.serve_forever()
