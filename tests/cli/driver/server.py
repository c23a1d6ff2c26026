"""A server for the scenarios, and the gate that everything which would leave this machine runs into."""

import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from . import tools
from .authority import Authority


class Gate:
    """A proxy that lets nobody through and remembers who was asked for."""

    def __init__(self):
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.refuse, daemon=True).start()

    def close(self):
        self.listener.close()

    def refuse(self):
        while True:
            try:
                visitor, _ = self.listener.accept()
            except OSError:
                return
            with visitor:
                visitor.settimeout(5)
                try:
                    self.asked.append(visitor.recv(4096).split(b"\r\n")[0].decode(errors="replace"))
                    visitor.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    pass


class Server:
    """Runs `penstock serve` on a directory of its own; nothing of it is left afterwards. `more` is added to what commands see."""

    def __init__(self, more):
        self.more = more

    def __enter__(self):
        self.penstock = tools.penstock()
        self.scratch = tempfile.TemporaryDirectory(prefix="penstock-cli-")
        self.folder = Path(self.scratch.name)
        self.data = self.folder / "data"
        self.log = open(self.folder / "log", "wb")
        arguments = ["--data-dir", self.data, "--listen", "127.0.0.1:0", "--router-listen", "127.0.0.1:0"]
        self.authority = Authority(self.folder / "authority") if Authority.is_there() else None
        if self.authority:
            arguments += self.authority.arguments()
        self.process = subprocess.Popen(
            [self.penstock, "serve", *arguments, "--dynos-end-with-server", "--rate-limit", "false"],
            stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit("the server did not start:\n" + (self.folder / "log").read_text())
        self.ready = json.loads(said)
        self.api = self.ready["api_url"].split("://")[1]
        self.router = self.ready["router_url"].rsplit(":", 1)[1]
        if self.authority:
            self.authority.start(int(self.router))
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if self.authority:
            self.authority.stop()
        self.log.close()
        if os.environ.get("PENSTOCK_CLI_LOG"):
            print((self.folder / "log").read_text())
        self.scratch.cleanup()

    def complaints(self):
        """What the server itself found wrong, each printed; gives how many there are."""
        text = (self.folder / "log").read_text(errors="replace")
        found = [line for line in text.splitlines() if "panicked" in line or "a request failed" in line]
        if self.process.poll() is not None:
            found.append("it has ended: " + text[-5000:])
        for line in found:
            print("the server's log: " + line)
        return len(found)

    def account(self, email):
        """Makes an account, and gives its token."""
        made = subprocess.run([self.penstock, "account", "create", email, "--data-dir", self.data],
                              capture_output=True, text=True, check=True)
        return made.stdout.strip().splitlines()[-1]

    def environment(self, folder, gate, programs):
        """What a command sees: no variable of ours but what it needs, a home of its own, and what `penstock env` prints."""
        home = folder / "home"
        # That the terms of service have changed is said to whoever has not seen it.
        seen = home / ".cache/heroku/terms-of-service"
        seen.parent.mkdir(parents=True)
        seen.write_text("")
        path = [str(program) for program in programs] + [str(self.penstock.parent), os.environ["PATH"]]
        kept = {name: os.environ[name] for name in ("PYENV_ROOT", "PYENV_VERSION", "NVM_DIR") if name in os.environ}
        return kept | {
            "HOME": str(home),
            "PATH": ":".join(path),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "FORCE_COLOR": "0",
            "COLUMNS": "160",
            "PENSTOCK_DATA_DIR": str(self.data),
            "APPS": str(tools.ROOT / "tests/cli/apps"),
            "HTTP_PROXY": gate.url,
            "HTTPS_PROXY": gate.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ann",
            "GIT_AUTHOR_EMAIL": "ann@example.com",
            "GIT_COMMITTER_NAME": "Ann",
            "GIT_COMMITTER_EMAIL": "ann@example.com",
        } | self.more

    def preamble(self, token):
        """What a person types first, and whose key it is."""
        return f'eval "$(penstock env)"; export HEROKU_API_KEY={shlex.quote(token)}\n'
