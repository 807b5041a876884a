#!/usr/bin/python3
"""check-guest-binary.py BINARY LIMIT_KIB: a guest program stands alone and stays small.

A toolchain that gets one flag wrong makes a dynamic program without a word, and the guest has no
loader: the failure would show only at boot, as a kernel panic.
"""

import os
import subprocess
import sys
import tempfile


def readelf(*args):
    environment = dict(os.environ, LC_ALL="C")
    return subprocess.run(["readelf", "--wide", *args], check=True, text=True, env=environment,
                          stdout=subprocess.PIPE).stdout


def problems(binary):
    segments = [line.split() for line in readelf("--program-headers", binary).splitlines()]
    names = [fields[0] for fields in segments if fields]
    if "LOAD" not in names:
        yield "has no LOAD segment: not a program"
    if "INTERP" in names:
        yield "has an interpreter (INTERP): not static"
    if "(NEEDED)" in readelf("--dynamic", binary):
        yield "needs shared libraries (NEEDED): not static"
    if "EXEC" not in readelf("--file-header", binary):
        yield "is not at a fixed address"
    if "no relocations" not in readelf("--relocs", binary):
        yield "has relocations, which nobody applies"
    stack = [fields for fields in segments if fields and fields[0] == "GNU_STACK"]
    if not stack:
        yield "has no GNU_STACK header: the stack would be executable"
    for fields in stack:
        if "E" in "".join(fields[6:-1]):
            yield "has an executable stack"
    for fields in segments:
        if fields and fields[0] == "LOAD" and "W" in fields[6:-1] and "E" in fields[6:-1]:
            yield "has a segment that is writable and executable"


def stripped_size(binary):
    with tempfile.NamedTemporaryFile() as stripped:
        # As shim/meson.build does it.
        subprocess.run(["strip", "-R", ".comment", "-o", stripped.name, binary], check=True)
        return os.path.getsize(stripped.name)


def main():
    binary, limit = sys.argv[1], int(sys.argv[2]) * 1024
    found = list(problems(binary))
    size = stripped_size(binary)
    if size > limit:
        found.append(f"is {size} bytes stripped, {size - limit} over its limit of {limit}")
    print(f"{os.path.basename(binary)}: static, {size} bytes stripped of {limit} allowed")
    for problem in found:
        print(f"{binary}: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
