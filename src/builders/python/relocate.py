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

# A project that is installed in place is named by where it was built, and may run in another home.
built = str(folder.parent.parent.parent)
home = "__import__('os').environ.get('HOME', '/app')"


def moved(line):
    path = line.strip()
    if path != built and not path.startswith(built + "/"):
        return line
    return "import sys; sys.path.insert(0, %s + %r)\n" % (home, path[len(built):])


for packages in folder.parent.glob("lib/*/site-packages"):
    for links in packages.glob("*.pth"):
        text = links.read_text()
        links.write_text("".join(moved(line) for line in text.splitlines(keepends=True)))
    for finder in packages.glob("__editable__*.py"):
        text = finder.read_text()
        finder.write_text(text.replace("'%s/" % built, home + " + '/"))
