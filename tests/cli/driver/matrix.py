"""What the scenarios have shown of each command of the CLI: commands.txt, and what the documentation says, which is made from it."""

import json
import re
from collections import defaultdict

from .scenario import BLOCK
from .tools import ROOT

# The topics that are no server's business.
NO_SERVER = ["autocomplete", "mcp", "repl", "version"]
# Those that are Heroku's hosting and nothing else, and why. What some of them say stands in elsewhere.md.
NEVER = {
    "accounts": "kept for api.heroku.com alone by the CLI",
    "ci": "no test runs here: CI reports release statuses",
    "container": "needs a registry of images; there is no Docker here",
    "data": "Heroku's own databases",
    "pg": "Heroku's own databases",
    "redis": "Heroku's own databases",
    "spaces": "there are no private spaces",
}
# Of those, what there is here all the same.
THERE_YET = ["ci:config", "ci:config:get", "ci:config:set", "ci:config:unset", "ci:migrate-manifest", "spaces"]
VERSION = "11.10.0"
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
        topic = name.split(":")[0]
        if (topic in NEVER and name not in THERE_YET) or topic in NO_SERVER:
            yield "local" if topic in NO_SERVER else "never", name
        elif name in found:
            yield "works" if found[name] else "refused", name
        else:
            yield "untried", name


def by_topic(judged):
    topics = defaultdict(lambda: defaultdict(list))
    for status, name in judged:
        topic, _, rest = name.partition(":")
        topics[topic][status].append(rest)
    return sorted(topics.items())


def table(judged):
    """The page on compatibility: a row a topic, with each command that works."""
    rows = ["| | |", "| --- | --- |"]
    for topic, by in by_topic(judged):
        if names := by["works"]:
            rows.append(f"| `{topic}` | {', '.join(f'`:{name}`' if name else '`' + topic + '`' for name in names)} |")
    return "\n".join([*rows, "", rest(judged)]) + "\n"


def rest(judged):
    """What does not work, or needs no server."""
    refused = [name for status, name in judged if status == "refused"]
    never = defaultdict(list)
    for topic, by in by_topic(judged):
        if by["never"]:
            never[NEVER[topic]].append(f"`{topic}`")
    return ("What is refused, in a sentence: " + ", ".join(f"`{name}`" for name in refused) + ".\n\n"
            "What asks no server works as ever: " + ", ".join(f"`{topic}`" for topic in NO_SERVER) + ".\n\n"
            "What is not there: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in never.items()) + ".")


def summary(judged):
    """The README: how many, and of which topics."""
    works = sum(status == "works" for status, _ in judged)
    refused = [f"`{name}`" for status, name in judged if status == "refused"]
    topics = [f"`{topic}`" for topic, by in by_topic(judged) if by["works"] and not by["never"]]
    topics += [f"`{name}`" for status, name in judged if status == "works" and name in THERE_YET]
    never = [f"{'the rest of ' if by['works'] else ''}`{topic}`" for topic, by in by_topic(judged) if by["never"]]
    return "\n".join([
        f"Of the {len(judged)} commands of `heroku` {VERSION}, as it is published, `make test-cli` runs {works} against a server, with their effect:\n",
        "| | |", "| --- | --- |",
        f"| there | {', '.join(topics)} |",
        f"| refused, in a sentence | {', '.join(refused)} |",
        f"| not there | {', '.join(never)} |"]) + "\n"


def check(here, cli, pages, update):
    """Holds commands.txt to the pages, and the documentation to it; the number of problems."""
    judged = list(lines(cli, pages))
    problems = 0
    marked = [(ROOT / "README.md", summary(judged)), (ROOT / "assets/docs/compatibility.md", table(judged))]
    kept = [(file, between(file.read_text(), made)) for file, made in marked]
    kept.append((here / "commands.txt", "".join(f"{status:8}{name}\n" for status, name in judged)))
    for file, should in kept:
        if file.exists() and file.read_text() == should:
            continue
        if update:
            file.write_text(should)
        else:
            problems += 1
            print(f"{file.name} does not say what the scenarios show; UPDATE_GOLDEN=1 writes it")
    if untried := [name for status, name in judged if status == "untried"]:
        problems += 1
        print(f"no scenario runs {', '.join(untried)}")
    return problems


def between(text, made):
    """The text with what is made in the place between its marks."""
    before, rest = text.split("<!-- cli -->\n")
    _, after = rest.split("<!-- end cli -->\n")
    return f"{before}<!-- cli -->\n{made}<!-- end cli -->\n{after}"
