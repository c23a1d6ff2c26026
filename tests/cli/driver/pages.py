"""Running the pages of a folder, side by side, on one server. A page may name programs that it needs, and is left out where there are none:
`<!-- needs: pebble -->`."""

import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from .scenario import Scenario
from .server import Server

NEEDS = re.compile(r"^<!-- needs: (\S+) -->$", re.MULTILINE)
# Most of a command is node reading its modules, so a core is busy with one; some wait for dynos meanwhile.
SIDE_BY_SIDE = int(os.environ.get("PENSTOCK_CLI_JOBS", (os.cpu_count() or 2) + 2))


def run_pages(folder, named, programs, more=None):
    """Runs the pages of these names, or all. Gives the number of problems, each of which is printed, and the pages' texts."""
    update = bool(os.environ.get("UPDATE_GOLDEN"))
    pages = sorted(folder.glob("*.md"))
    if unknown := set(named) - {page.stem for page in pages}:
        sys.exit(f"there is no scenario {', '.join(sorted(unknown))} in {folder}")
    # The long ones first, so that none is left over at the end.
    chosen = [Scenario(page) for page in pages if (not named or page.stem in named) and can_run(page)]
    chosen.sort(key=lambda scenario: -scenario.commands())
    failed = 0
    with Server(more or {}) as server, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        runs = [pool.submit(scenario.run, server, programs, update) for scenario in chosen]
        for run in as_completed(runs):
            failed += report(run.result())
        failed += server.complaints()
    return failed, [page.read_text() for page in pages]


def can_run(page):
    missing = [program for program in NEEDS.findall(page.read_text()) if not shutil.which(program)]
    if missing:
        print(f"skipped {page.stem}: it needs {', '.join(missing)}", flush=True)
    return not missing


def report(outcome):
    word = "FAILED" if outcome.problems else "ok"
    print(f"{word:6}  {outcome.name}: {outcome.commands} commands, {outcome.seconds:.0f} s", flush=True)
    for problem in outcome.problems:
        print(problem, file=sys.stderr, flush=True)
    return len(outcome.problems)
