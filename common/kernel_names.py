#!/usr/bin/env python3
"""Names of system calls and errnos, out of the kernel's headers.

    kernel_names.py --errnos|--syscalls DEPFILE OUTPUT HEADERS CC...

HEADERS is the folder that scripts/kernel-headers has made. OUTPUT becomes a C header of lists:

    ERRNO_NAMES(NAME, GAP)       NAME(2, "ENOENT") and GAP(41) for each number from 0 on
    ERRNO_ALIASES(NAME)          NAME(11, "EWOULDBLOCK"): second names
    SYSCALL_NAMES_X86_64(NAME)   NAME(257, "openat"), in the numbers' order; one list for each
                                 architecture, empty where this machine has no headers of it

Another architecture's headers are those of Debian's packages for cross compilers. Without them there is
asm-generic/unistd.h, which is the whole of asm/unistd.h where an architecture has said by macros which
of the calls that it has replaced itself.
"""

import os
import re
import subprocess
import sys

# Name, package of headers, what its asm/unistd.h says to asm-generic/unistd.h (None: has its own list).
ARCHITECTURES = [
    ("X86_64", "x86_64-linux-gnu", None),
    ("AARCH64", "aarch64-linux-gnu", ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS",
                                      "SYS_CLONE3", "MEMFD_SECRET"]),
    ("RISCV64", "riscv64-linux-gnu", ["NEW_STAT", "SET_GET_RLIMIT", "SYS_CLONE3", "MEMFD_SECRET"]),
]


class Preprocessor:
    def __init__(self, compiler, headers):
        self.compiler = compiler
        self.headers = headers
        self.read = set()

    def run(self, text, folder, *options):
        command = [*self.compiler, "-E", "-x", "c", "-nostdinc", "-isystem", folder, *options, "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    def macros(self, text, folder=None):
        """Name and content of each macro of a text; None where a header is not there."""
        folder = folder or self.headers
        result = self.run(text, folder, "-dM")
        if result.returncode != 0:
            return None
        rule = self.run(text, folder, "-M").stdout
        self.read.update(re.findall(r"[^\s\\]+\.h", rule))
        return dict(re.findall(r"^#define (\w+) +(.+?) *$", result.stdout, re.MULTILINE))


def errno_lists(preprocessor):
    macros = preprocessor.macros("#include <asm/errno.h>\n")
    if macros is None:
        raise SystemExit("kernel_names.py: <asm/errno.h> not found (package linux-libc-dev)")
    macros = {name: value for name, value in macros.items() if re.fullmatch(r"E[A-Z0-9]+", name)}
    names = {int(value): name for name, value in macros.items() if value.isdigit()}
    aliases = {name: int(macros[value]) for name, value in macros.items() if value in macros}
    yield "ERRNO_NAMES(NAME, GAP)", [
        f'NAME({number}, "{names[number]}")' if number in names else f"GAP({number})"
        for number in range(max(names) + 1)]
    yield "ERRNO_ALIASES(NAME)", [f'NAME({number}, "{name}")'
                                  for name, number in sorted(aliases.items())]


def syscall_numbers(preprocessor, machine, package, choices):
    text = "#include <asm/unistd.h>\n"
    macros = None
    if machine.startswith(package.split("-", maxsplit=1)[0]):
        macros = preprocessor.macros(text)
    folder = f"/usr/{package}/include"
    if macros is None and os.path.exists(f"{folder}/asm/unistd.h"):
        macros = preprocessor.macros(text, folder)
    if macros is None and choices:
        macros = preprocessor.macros("".join(f"#define __ARCH_WANT_{choice}\n" for choice in choices)
                                     + "#include <asm-generic/unistd.h>\n")
    numbers = {}
    for name, value in (macros or {}).items():
        match = re.fullmatch(r"__NR_(\w+)", name)
        # Some stand for others: __NR_mmap is __NR3264_mmap.
        for _ in range(4):
            value = macros.get(value, value)
        if match and value.isdigit() and match[1] not in ("syscalls", "arch_specific_syscall"):
            numbers[match[1]] = int(value)
    return numbers


def syscall_lists(preprocessor):
    machine = subprocess.run([*preprocessor.compiler, "-dumpmachine"], capture_output=True, text=True,
                             check=True).stdout
    for name, package, choices in ARCHITECTURES:
        numbers = syscall_numbers(preprocessor, machine, package, choices)
        if not numbers:
            print(f"kernel_names.py: no headers for {package}: its system calls have no names",
                  file=sys.stderr)
        yield f"SYSCALL_NAMES_{name}(NAME)", [
            f'NAME({number}, "{call}")'
            for call, number in sorted(numbers.items(), key=lambda item: (item[1], item[0]))]


def main():
    what, depfile, output, headers, *compiler = sys.argv[1:]
    preprocessor = Preprocessor(compiler, headers)
    lists = errno_lists if what == "--errnos" else syscall_lists
    text = "/* Made by common/kernel_names.py. */\n"
    for head, lines in lists(preprocessor):
        text += " \\\n\t".join([f"#define {head}", *lines]) + "\n"
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)
    with open(depfile, "w", encoding="utf-8") as file:
        file.write(f"{output}: {' '.join(sorted(preprocessor.read))}\n")


if __name__ == "__main__":
    main()
