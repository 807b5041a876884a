#!/usr/bin/python3
"""libprovium.so shows what its headers declare, under the version of libprovium.syms, and no more.

Usage: lib_symbols.py NM LIBRARY SYMS HEADER...
"""

import re
import subprocess
import sys


def declared(headers):
    text = ""
    for header in headers:
        with open(header, encoding="utf-8") as file:
            text += re.sub(r"/\*.*?\*/|^#define.*?[^\\]$", "", file.read(), flags=re.S | re.M)
    # Types of functions are in parentheses: (*provium_output_fn)(...).
    return set(re.findall(r"(?<!\(\*)\b(provium_\w+)\(", text))


def listed(syms):
    with open(syms, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    exported = text[text.index("global:"):text.index("local:")]
    return set(re.findall(r"(\w+);", exported))


def shown(nm, library):
    command = [nm, "--dynamic", "--defined-only", "--with-symbol-versions", library]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    symbols = {}
    for line in output.splitlines():
        name, _, version = line.split()[-1].partition("@")
        # The version itself is an absolute symbol.
        if line.split()[-2] != "A":
            symbols[name] = version.lstrip("@")
    return symbols


def main():
    nm, library, syms, *headers = sys.argv[1:]
    symbols = shown(nm, library)
    cases = [
        ("the list has what the headers declare", listed(syms), declared(headers)),
        ("the library shows what the headers declare", set(symbols), declared(headers)),
        ("every symbol has a version", set(symbols.values()), {"PROVIUM_0"}),
    ]
    print(f"1..{len(cases)}")
    failed = 0
    for number, (name, found, wanted) in enumerate(cases, 1):
        if found == wanted and wanted:
            print(f"ok {number} - {name}")
            continue
        failed += 1
        print(f"not ok {number} - {name}")
        print(f"# missing: {sorted(wanted - found)}, unwanted: {sorted(found - wanted)}")
    return failed > 0


sys.exit(main())
