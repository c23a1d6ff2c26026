"""A page of commands and of what they print: read, run in order, and compared or written anew.

In a ```console block, a line that begins with `$ ` is a command; what follows is what it prints on standard output, then, each line
after `! `, on standard error, and `[exit 2]` if it did not end with 0."""

import difflib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass

from .redact import redact
from .server import Gate

# Nothing that the CLI does here takes so long, unless it hangs.
COMMAND_SECONDS = 90
BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Outcome:
    name: str
    commands: int
    seconds: float
    problems: list


def split(block):
    """The commands of a console block, each a line, or several where one ends with a backslash."""
    commands, lines = [], iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command += "\n" + next(lines, "")
            commands.append(command)
    return commands


class Scenario:
    def __init__(self, page):
        self.page, self.name = page, page.stem
        self.text = page.read_text()

    def commands(self):
        return sum(len(split(body)) for kind, body in BLOCK.findall(self.text) if kind == "console")

    def run(self, server, programs, update):
        """Runs the page on the server. What it prints is the page's, or the difference is the outcome's."""
        begun = time.monotonic()
        self.server, self.problems = server, []
        self.folder = server.folder / self.name
        (self.folder / "work").mkdir(parents=True)
        email = f"{self.name}@example.com"
        self.gate = Gate()
        self.token = server.account(email)
        self.environment = server.environment(self.folder, self.gate, programs)
        (self.folder / "rc").write_text(server.preamble(self.token) + f"export ME={email}\n")
        self.names = {
            f"http://{server.api}": "<api>", f"https://{server.api}": "<https-api>", server.api: "<api-host>",
            f"localhost:{server.router}": "localhost:<router>", str(self.folder / "work"): "<work>", str(self.folder): "<folder>",
            str(server.data): "<data>", self.token: "<token>",
        }
        after = BLOCK.sub(self.block, self.text)
        self.gate.close()
        if after != self.text:
            if update:
                self.page.write_text(after)
            else:
                lines = difflib.unified_diff(self.text.splitlines(), after.splitlines(), f"{self.page.name}: expected", "printed", lineterm="")
                self.problems.append("\n".join(lines))
        return Outcome(self.name, self.commands(), time.monotonic() - begun, self.problems)

    def block(self, match):
        kind, body = match.groups()
        if kind == "sh":
            # What it exports, and where it goes, holds for what follows.
            status, _, err = self.execute(f"set -e\n{body}\n{{ export -p; echo cd \"'$PWD'\"; }} >>{self.folder}/rc")
            if status != 0:
                self.problems.append(f"{self.page.name}: a preparation ended with {status}:\n{body}\n{err}")
            return match.group(0)
        printed = "".join(self.transcript(command) for command in split(body))
        return f"```console\n{printed}```"

    def transcript(self, command):
        status, out, err = self.execute(command)
        text = f"$ {command}\n"
        if out:
            text += out + "\n"
        if err:
            text += "".join(f"! {line}".rstrip() + "\n" for line in err.split("\n"))
        if status != 0:
            text += f"[exit {status}]\n"
        return text

    def execute(self, command):
        """Runs a command as a person would, and ends what is left of it. Gives its status and what it has printed, redacted."""
        process = subprocess.Popen(
            ["bash", "-c", f"source {self.folder}/rc\n{command}"], cwd=self.folder / "work", env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        asked = len(self.gate.asked)
        try:
            out, err = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            self.problems.append(f"{self.page.name}: this did not end within {COMMAND_SECONDS} s: {command}")
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if let_out := self.gate.asked[asked:]:
            self.problems.append(f"{self.page.name}: while this ran, somebody asked for {', '.join(let_out)}: {command}")
        if b"ENOTFOUND" in out + err:
            self.problems.append(f"{self.page.name}: while this ran, somebody looked up a host: {command}")
        said = [redact(text.decode(errors="replace"), self.names) for text in (out, err)]
        return process.returncode, *said
