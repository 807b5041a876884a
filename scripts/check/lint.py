"""Formatting, warnings, static analysis, scripts and the tree itself."""

import ast
import concurrent.futures
import json
import os
import re

from common import (BUILDS, CHECK, JOBS, ROOT, Failure, Skip, build_aside, must, run,
                    run_aside)

# The release of clang's tools whose judgement counts: each lays out a little differently and knows
# other findings, and nobody can satisfy all of them.
CLANG_TOOLS = 14


def tracked_files():
    if not os.path.exists(os.path.join(ROOT, ".git")):
        raise Skip("no git repository: which files are the project's is not known")
    names = must(run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"))
    return [name for name in sorted(set(names.split("\0")))
            if name and os.path.isfile(os.path.join(ROOT, name))]


def content(name, length=-1):
    with open(os.path.join(ROOT, name), "rb") as file:
        return file.read(length)


def c_files():
    return [name for name in tracked_files() if name.endswith((".c", ".h", ".cc"))]


def python_files():
    return [name for name in tracked_files()
            if name.endswith(".py") or re.match(rb"#!.*python", content(name, 4096))]


def shell_files():
    return [name for name in tracked_files()
            if name.endswith((".sh", ".bash")) or re.match(rb"#!.*\b(ba|da)?sh\b", content(name, 4096))]


def must_be_the_one(tool):
    version = re.search(r"version (\d+)", must(run(tool, "--version")))[1]
    if version != str(CLANG_TOOLS):
        raise Skip(f"release {CLANG_TOOLS} judges; this machine has {version}")


def clang_format():
    must_be_the_one("clang-format")
    files = c_files()
    must(run("clang-format", "--dry-run", "-Werror", *files))
    return f"{len(files)} files"


def clang_tidy():
    must_be_the_one("clang-tidy")
    # For the headers that are generated.
    build_aside("clang")
    directory = BUILDS["clang"][0]
    with open(os.path.join(directory, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    # Each file once, though several targets compile it: in a second analysis by the same process
    # clang-tidy takes initialised va_lists for uninitialised.
    ours = {os.path.join(ROOT, name) for name in c_files()}
    once = {}
    for entry in commands:
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path in ours:
            once.setdefault(path, {"directory": entry["directory"], "file": path,
                                   "command": entry["command"].replace(entry["file"], path)})
    work = os.path.join(CHECK, "clang-tidy")
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(list(once.values()), file)

    def tidy(path):
        return run_aside("clang-tidy", "--quiet", "-p", work, path)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        logs = [result.stdout for result in pool.map(tidy, once) if result.returncode != 0]
    if logs:
        # The findings alone; how the analyzer came to them is in the log.
        with open(os.path.join(work, "log"), "w", encoding="utf-8") as file:
            file.writelines(logs)
        found = {line.replace(ROOT + "/", "") for log in logs for line in log.splitlines()
                 if " error: " in line}
        raise Failure("\n".join([*sorted(found), "in full: build/check/clang-tidy/log"]))
    return f"{len(once)} files"


def shellcheck():
    files = shell_files()
    must(run("shellcheck", "--external-sources", *files))
    return f"{len(files)} files"


def python_lint():
    files = python_files()
    for name in files:
        try:
            ast.parse(content(name), name)
        except SyntaxError as error:
            raise Failure(f"{name}:{error.lineno}: {error.msg}") from error
    must(run("pyflakes3", *files))
    return f"{len(files)} files"


def luacheck():
    files = [name for name in tracked_files() if name.endswith((".lua", ".rockspec"))]
    must(run("luacheck", "--no-color", "--quiet", *files))
    return f"{len(files)} files"


def tree():
    """What a build makes, or a machine's own, has no place among the project's files."""
    problems = []
    files = tracked_files()
    for name in must(run("git", "ls-files", "-ci", "--exclude-standard")).splitlines():
        problems.append(f"{name}: committed, though .gitignore lists it")
    for name in files:
        start = content(name, 4096)
        if start.startswith((b"\x7fELF", b"!<arch>")):
            problems.append(f"{name}: compiled")
        elif re.match(rb"(//|/\*|#)[^\n]*\b[Gg]enerated by\b", start):
            problems.append(f"{name}: generated")
        elif re.search(r"\.(pb-c\.[ch]|o|a|so|ko|deb|pyc|cpio|tar(\.\w+)?)$|_pb2\.py$", name):
            problems.append(f"{name}: has the name of something generated")
        elif not name.startswith("tests/") and b"\0" in start:
            problems.append(f"{name}: binary")
    if problems:
        raise Failure("\n".join(problems))


def lint(part):
    part.attempt("no generated files", tree)
    part.attempt("clang-format", clang_format)
    part.attempt("shellcheck", shellcheck)
    part.attempt("pyflakes", python_lint)
    part.attempt("luacheck", luacheck)


def compilers(part):
    part.attempt("gcc, warnings as errors", build_aside, "gcc")
    part.attempt("clang, warnings as errors", build_aside, "clang")
    part.attempt("clang-tidy", clang_tidy)
