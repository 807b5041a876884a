#!/usr/bin/python3
"""chunks.py OUTPUT FILE...: the Lua files as arrays of C (chunks.h)."""

import os
import sys


def main():
    output, *paths = sys.argv[1:]
    lines = ['#include "host/lua/chunks.h"', ""]
    rows = []
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        with open(path, "rb") as file:
            data = file.read()
        lines.append(f"static const char text_{name}[] = {{")
        for i in range(0, len(data), 16):
            lines.append("\t" + " ".join(f"{byte}," for byte in data[i:i + 16]))
        lines.append("\t0,\n};")
        rows.append(f'\t{{ "{name}", text_{name}, sizeof(text_{name}) - 1 }},')
    lines += ["", "const struct lua_chunk lua_chunks[] = {", *rows, "\t{ 0, 0, 0 },", "};"]
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
