"""What the scenarios have shown of each command of the CLI: commands.txt, and the README's table that is made from it."""

import json
import re
from collections import defaultdict

from .scenario import BLOCK
from .tools import ROOT

# The topics that are Heroku's hosting and nothing else, or no server's business, and why. What some of them say stands in elsewhere.md.
NEVER = {
    "accounts": "kept for api.heroku.com alone by the CLI",
    "autocomplete": "asks no server",
    "ci": "no test runs here: CI reports release statuses",
    "container": "needs a registry of images; there is no Docker here",
    "data": "Heroku's own databases",
    "mcp": "asks no server",
    "pg": "Heroku's own databases",
    "redis": "Heroku's own databases",
    "repl": "asks no server",
    "spaces": "there are no private spaces",
    "version": "asks no server",
}
SEEN = re.compile(r"\bheroku ([a-z0-9][a-z0-9:-]*)")


def manifest(cli):
    return json.loads((cli / "node_modules/heroku/oclif.manifest.json").read_text())["commands"]


def shown(pages, names):
    """Of each command that a page runs, whether it has ended with 0 there. `names` leads from each name to the command's own."""
    found = {}
    for page in pages:
        for kind, body in BLOCK.findall(page):
            if kind != "console":
                continue
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, printed = part.partition("\n")
                fine = not re.search(r"^\[exit -?\d+\]$", printed, re.MULTILINE)
                for name in SEEN.findall(line):
                    if name in names:
                        found[names[name]] = found.get(names[name], False) or fine
    return found


def lines(cli, pages):
    """A line a command: what is so of it, and its name."""
    commands = {name: command for name, command in manifest(cli).items() if not command.get("hidden")}
    names = {alias: name for name, command in commands.items() for alias in [name, *command.get("aliases", []), *command.get("hiddenAliases", [])]}
    found = shown(pages, names)
    for name in sorted(commands):
        if name.split(":")[0] in NEVER:
            yield "never", name
        elif name in found:
            yield "works" if found[name] else "refused", name
        else:
            yield "untried", name


def table(judged):
    """The README's lines: a row a topic."""
    topics = defaultdict(lambda: defaultdict(list))
    for status, name in judged:
        topic, _, rest = name.partition(":")
        topics[topic][status].append(rest)
    works = sum(status == "works" for status, _ in judged)
    rows = [f"Of the {len(judged)} commands of `heroku` 11.10.0, as it is published, {works} are run against a server by `make test-cli`, with their effect:\n",
            "| | |", "| --- | --- |"]
    for topic, by in sorted(topics.items()):
        if names := by["works"]:
            rows.append(f"| `{topic}` | {', '.join(f'`:{name}`' if name else '`' + topic + '`' for name in names)} |")
    refused = [name for status, name in judged if status == "refused"]
    rows.append("\nWhat is refused, in a sentence: " + ", ".join(f"`{name}`" for name in refused) + ".")
    never = defaultdict(list)
    for topic, by in sorted(topics.items()):
        if by["never"]:
            never[NEVER[topic]].append(f"`{topic}`")
    rows.append("What is not there: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in never.items()) + ".")
    return "\n".join(rows) + "\n"


def check(here, cli, pages, update):
    """Holds commands.txt to the pages and the README to it; the number of problems."""
    judged = list(lines(cli, pages))
    problems = 0
    readme = (ROOT / "README.md").read_text()
    before, rest = readme.split("<!-- cli -->\n")
    kept, after = rest.split("<!-- end cli -->\n")
    kept_list, text = here / "commands.txt", "".join(f"{status:8}{name}\n" for status, name in judged)
    for file, is_so, should in [(kept_list, kept_list.exists() and kept_list.read_text(), text),
                                (ROOT / "README.md", kept, table(judged))]:
        if is_so == should:
            continue
        if update:
            file.write_text(text if file == kept_list else f"{before}<!-- cli -->\n{should}<!-- end cli -->\n{after}")
        else:
            problems += 1
            print(f"{file.name} does not say what the scenarios show; UPDATE_GOLDEN=1 writes it")
    if untried := [name for status, name in judged if status == "untried"]:
        problems += 1
        print(f"no scenario runs {', '.join(untried)}")
    return problems
