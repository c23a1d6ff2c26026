"""An authority for certificates: Pebble, of Let's Encrypt's makers, with its own small DNS server. Both are Debian's package pebble."""

import json
import shutil
import socket
import subprocess

PROGRAMS = ["pebble", "pebble-challtestsrv"]


def port(kind=socket.SOCK_STREAM):
    """One that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Authority:
    """Signs for any name, as long as the proof is at this machine's router."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.api, self.processes = folder, port(), []
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, capture_output=True)

    @staticmethod
    def is_there():
        return all(shutil.which(program) for program in PROGRAMS)

    def arguments(self):
        """What a server is started with that asks this one."""
        return ["--acme-contact", "owner@example.com", "--acme-directory", f"https://localhost:{self.api}/dir",
                "--acme-ca-file", self.folder / "cert.pem"]

    def start(self, router):
        """Proofs are looked for at this port of the router, whatever the name."""
        names = f"127.0.0.1:{port(socket.SOCK_DGRAM)}"
        (self.folder / "config.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.api}", "managementListenAddress": f"127.0.0.1:{port()}", "httpPort": router, "tlsPort": router,
            "certificate": str(self.folder / "cert.pem"), "privateKey": str(self.folder / "key.pem")}}))
        nothing = ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
        self.run(["pebble-challtestsrv", *nothing, "-dns01", names, "-management", f"127.0.0.1:{port()}"])
        self.run(["pebble", "-config", self.folder / "config.json", "-dnsserver", names])

    def run(self, command):
        with open(self.folder / f"{command[0]}.log", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1"}))

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
