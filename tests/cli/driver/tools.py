"""Where programs come from: Penstock is built, clients are installed by their package managers into folders that git ignores."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def penstock():
    """The binary; PENSTOCK_BIN names one that is there."""
    if named := os.environ.get("PENSTOCK_BIN"):
        return Path(named).resolve()
    subprocess.run(["cargo", "build", "--quiet"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/penstock"


def install(source, name):
    """Installs what `source`'s lockfile names into target/NAME, unless that was done before; gives the folder."""
    if not shutil.which("npm"):
        sys.exit("npm is missing: install Node.js 20 or newer, see https://nodejs.org")
    folder = ROOT / "target" / name
    lock = (source / "package-lock.json").read_bytes()
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, folder / file)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
        installed.write_bytes(lock)
    return folder


def install_python(source, name):
    """The same for what `source`'s requirements.txt names, in an environment of its own."""
    if not importlib.util.find_spec("ensurepip"):
        sys.exit("Python makes no environments of their own here: apt-get install python3-venv")
    folder = ROOT / "target" / name
    wanted = (source / "requirements.txt").read_bytes()
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_bytes() != wanted:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--requirement", source / "requirements.txt"], check=True)
        installed.write_bytes(wanted)
    return folder
