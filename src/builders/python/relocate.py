import os, pathlib, sys

# Kernel and shell both read the first line; the shell runs the second, which Python sees as a string.
SHELL = b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")/python\" \"$0\" \"$@\"\n' '''\n"

folder = pathlib.Path(sys.argv[1]).absolute() / "bin"
for script in folder.iterdir():
    if script.is_symlink() or not script.is_file():
        continue
    text = script.read_bytes()
    first, _, rest = text.partition(b"\n")
    if first.startswith(b"#!" + os.fsencode(folder) + b"/python"):
        mode = script.stat().st_mode
        script.write_bytes(SHELL + rest)
        script.chmod(mode)
