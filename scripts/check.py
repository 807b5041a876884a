#!/usr/bin/python3
"""usage: ./check [PART...]

Builds Provium and runs what must pass; without arguments everything but bench. Installs missing
Debian packages and fetches test kernels, where there are none yet.

    lint         formatting, warnings as errors with gcc and clang, clang-tidy, scripts, the tree
    unit         unit tests under the address and undefined behaviour sanitizers
    static       form and size of the guest's programs
    interop      a client made by another implementation of protobuf
    integration  real kernels in QEMU
    fuzz         every libFuzzer target for 20 seconds
    bench        figures beside floors measured in the same guest

The last line counts the tests of all parts together. The exit status is 1 if any failed.
"""

import ast
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
CHECK = os.path.join(BUILD, "check")
JOBS = len(os.sched_getaffinity(0))

# The release of clang's tools whose judgement counts: each lays out a little differently and knows
# other findings, and nobody can satisfy all of them.
CLANG_TOOLS = 14
FUZZ_SECONDS = 20
# Of a longer log the beginning and the end are shown: what was found, and what became of it.
LOG_HEAD, LOG_TAIL = 30, 50


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text=""):
    print(text, flush=True)


def indented(text):
    lines = text.rstrip().splitlines()
    if len(lines) > LOG_HEAD + LOG_TAIL:
        left_out = len(lines) - LOG_HEAD - LOG_TAIL
        lines = lines[:LOG_HEAD] + [f"[{left_out} lines left out]"] + lines[-LOG_TAIL:]
    return "\n".join("        " + line for line in lines)


# Children that run now. Who interrupts ./check ends them, in the way in which they clean up.
children = set()


def run(*command, timeout=None, **options):
    """Runs a command to its end; standard output and error come back as one text."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace",
                             **{"cwd": ROOT, **options})
    children.add(child)
    try:
        output = child.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired as error:
        child.terminate()
        raise Failure(f"{child.communicate()[0]}\nstill running after {timeout} s") from error
    finally:
        if child.returncode is not None:
            children.discard(child)
    return subprocess.CompletedProcess(command, child.returncode, output)


class Skip(Exception):
    """A test that cannot run here; the text says why."""


class Failure(Exception):
    """A test that failed; the text is its log."""


class Part:
    """Runs tests, prints a line for each and counts them."""

    def __init__(self):
        self.counts = Counts()
        self.lock = threading.Lock()

    def report(self, word, name, seconds, log=""):
        line = f"  {word:4}  {name}" + (f"  {seconds:.1f} s" if seconds >= 0.1 else "")
        say(f"{line}\n{indented(log)}" if log.strip() else line)

    def passed(self, name, seconds=0.0, log="", number=1):
        with self.lock:
            self.counts.passed += number
            self.report("ok", name, seconds, log)

    def failed(self, name, seconds=0.0, log="", number=1):
        with self.lock:
            self.counts.failed += number
            self.report("FAIL", name, seconds, log)

    def skipped(self, name, reason):
        with self.lock:
            self.counts.skipped += 1
            self.report("skip", name, 0.0, reason)

    def attempt(self, name, test, *arguments):
        """Runs one test, a function that returns a note for its name; true if it passed."""
        start = time.monotonic()
        try:
            note = test(*arguments)
        except Skip as reason:
            self.skipped(name, str(reason))
            return False
        except Failure as log:
            self.failed(name, time.monotonic() - start, str(log))
            return False
        self.passed(f"{name}, {note}" if note else name, time.monotonic() - start)
        return True


def must(result):
    if result.returncode != 0:
        raise Failure(result.stdout or f"exit status {result.returncode}")
    return result.stdout


# Build directories: the one users have, and one for each other way of compiling.

BUILDS = {
    "plain": (BUILD, "cc", []),
    "gcc": (os.path.join(CHECK, "gcc"), "gcc", ["-Dwerror=true"]),
    "clang": (os.path.join(CHECK, "clang"), "clang", ["-Dwerror=true"]),
    "asan": (os.path.join(CHECK, "asan"), "gcc", ["-Db_sanitize=address,undefined"]),
    "fuzz": (os.path.join(CHECK, "fuzz"), "clang",
             ["-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
}


def configure(name):
    directory, compiler, options = BUILDS[name]
    must(run("scripts/configure", directory, *options, env={**os.environ, "CC": compiler}))
    # Ninja configures again where build files have changed; Meson's own commands would not.
    must(run("ninja", "-C", directory, "--quiet", "build.ninja"))
    return directory


def build(name, *targets):
    must(run("ninja", "-C", configure(name), "--quiet", *targets))


# lint


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
    return [name for name in tracked_files() if name.endswith((".c", ".h"))]


def python_files():
    return [name for name in tracked_files()
            if name.endswith(".py") or re.match(rb"#!.*python", content(name, 4096))]


def shell_files():
    return [name for name in tracked_files()
            if name.endswith(".sh") or re.match(rb"#!.*\b(ba|da)?sh\b", content(name, 4096))]


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
    directory = BUILDS["clang"][0]
    with open(os.path.join(directory, "compile_commands.json"), encoding="utf-8") as file:
        compiled = {os.path.realpath(os.path.join(entry["directory"], entry["file"]))
                    for entry in json.load(file)}
    files = [name for name in c_files() if os.path.realpath(os.path.join(ROOT, name)) in compiled]

    def tidy(name):
        return run("clang-tidy", "--quiet", "-p", directory, name)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        logs = [result.stdout for result in pool.map(tidy, files) if result.returncode != 0]
    if logs:
        raise Failure("\n".join(logs))
    return f"{len(files)} files"


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
    part.attempt("gcc, warnings as errors", build, "gcc")
    if part.attempt("clang, warnings as errors", build, "clang"):
        part.attempt("clang-tidy", clang_tidy)
    else:
        part.failed("clang-tidy", log="needs clang's build")


# The suites that Meson knows


def count_output(test, protocols):
    """How many tests one entry of Meson's log stands for: (passed, failed, skip reasons).

    A program that speaks TAP, or that Check runs, tells of each test in it. One that says nothing of
    the kind is one test. Whatever it says, a bad end is at least one failure.
    """
    output = test.get("stdout", "")
    result = test["result"]
    passed, failed, reasons = 0, 0, []
    if protocols.get(test["name"]) == "tap":
        for line in output.splitlines():
            match = re.match(r"(not )?ok\b([^#]*)(?:#\s*(skip|todo)\S*\s*(.*))?", line, re.IGNORECASE)
            if not match:
                continue
            if (match[3] or "").lower() == "skip":
                reasons.append(f"{match[2].strip(' -0123456789')}: {match[4]}")
            elif match[1] and (match[3] or "").lower() != "todo":
                failed += 1
            else:
                passed += 1
    else:
        for match in re.finditer(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", output,
                                 re.MULTILINE):
            bad = int(match[2]) + int(match[3])
            passed += int(match[1]) - bad
            failed += bad

    if result == "SKIP" and not reasons:
        last = (output + test.get("stderr", "")).strip().splitlines()[-1:]
        reasons.append(last[0] if last else "no reason given")
    elif result not in ("OK", "SKIP", "EXPECTEDFAIL"):
        failed = max(failed, 1)
    elif passed + failed + len(reasons) == 0:
        passed = 1
    return passed, failed, reasons


def suite(part, name, build_name, with_output=False, one_by_one=False, environment=None):
    """Runs a suite; one by one, each result is told at once and a VM has the machine for itself."""
    build(build_name)
    directory = BUILDS[build_name][0]
    tests = [test for test in json.loads(must(run("meson", "introspect", "--tests", directory)))
             if f"provium:{name}" in test["suite"]]
    if not tests:
        raise Failure(f"no test is in the suite {name}")
    # As the log names them.
    protocols = {f"{test['suite'][0]} / {test['name']}": test["protocol"] for test in tests}

    for group in [[test] for test in tests] if one_by_one else [tests]:
        base = f"testlog-{name}" + (f"-{group[0]['name'].replace('/', '-')}" if one_by_one else "")
        log = os.path.join(directory, "meson-logs", f"{base}.json")
        if os.path.exists(log):
            os.unlink(log)
        result = run("meson", "test", "-C", directory, "--no-rebuild", "--suite", name,
                     "--logbase", base, *(test["name"] for test in group),
                     env={**os.environ, **(environment or {})})
        results = []
        if os.path.exists(log):
            with open(log, encoding="utf-8") as file:
                results = [json.loads(line) for line in file]
        for test in results:
            suite_result(part, test, protocols, with_output)
        if len(results) < len(group):
            part.failed(f"{len(group) - len(results)} of {len(group)} tests did not run",
                        log=result.stdout)


def suite_result(part, test, protocols, with_output):
    name = test["name"].split(" / ", 1)[-1]
    passed, failed, reasons = count_output(test, protocols)
    output = test.get("stdout", "")
    if test.get("stderr", "").strip():
        output += "\n" + test["stderr"]
    note = f"{name}, {passed} tests" if passed > 1 else name
    for reason in reasons:
        part.skipped(name, reason)
    if failed:
        part.counts.passed += passed
        part.failed(f"{name}: {test['result'].lower()}, {failed} of {passed + failed} failed",
                    test["duration"], f"{' '.join(test['command'])}\n{output}", failed)
    elif passed:
        part.passed(note, test["duration"], output if with_output else "", passed)


SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:"
                    "strict_string_checks=1:print_legend=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def unit(part):
    suite(part, "unit", "asan", environment=SANITIZERS)


def static(part):
    suite(part, "static", "plain", with_output=True)


def interop(part):
    suite(part, "interop", "plain")


def kernels():
    """Silent where they are there; otherwise it shows how far it is."""
    if subprocess.run([os.path.join(ROOT, "scripts/kernels")], stdin=subprocess.DEVNULL,
                      check=False).returncode != 0:
        raise Failure("no kernels to boot")


def integration(part):
    kernels()
    suite(part, "integration", "plain", one_by_one=True)


def bench(part):
    kernels()
    suite(part, "bench", "plain", with_output=True, one_by_one=True)


# fuzz


def fuzz_one(target):
    directory = BUILDS["fuzz"][0]
    name = target[len("fuzz-"):]
    # What a run finds is kept here for the next one; the project's own corpus is only read.
    grown = os.path.join(directory, "corpus", name)
    findings = os.path.join(directory, "findings")
    os.makedirs(grown, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    corpus = os.path.join(ROOT, "tests/fuzz/corpus", name)
    if not os.path.isdir(corpus):
        raise Failure(f"no corpus: tests/fuzz/corpus/{name}/")
    program = os.path.join(directory, "tests/fuzz", target)
    result = run(program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=512",
                 "-print_final_stats=1", f"-artifact_prefix={findings}/{name}-", grown, corpus,
                 env={**os.environ, **SANITIZERS}, timeout=FUZZ_SECONDS * 10)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stdout)
    if result.returncode != 0 or not runs or int(runs[1]) == 0:
        log = re.sub(r"^(#\d+\s|\s*NEW_FUNC|\s*[= ]>?0x\w+: ).*\n", "", result.stdout,
                     flags=re.MULTILINE)
        unit = re.search(r"Test unit written to (\S+)", log)
        raise Failure(log + (f"\nto see it again: {program} {unit[1]}" if unit else ""))
    return f"{runs[1]} runs"


def fuzz(part):
    targets = json.loads(must(run("meson", "introspect", "--targets", configure("fuzz"))))
    names = sorted(target["name"] for target in targets
                   if target["type"] == "executable" and target["name"].startswith("fuzz-"))
    if not names:
        raise Failure("tests/fuzz/meson.build has no target named fuzz-*")
    build("fuzz", *(f"tests/fuzz/{name}" for name in names))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(part.attempt, name, fuzz_one, name) for name in names]:
            future.result()


PARTS = {
    "lint": lint,
    "unit": unit,
    "static": static,
    "interop": interop,
    "integration": integration,
    "fuzz": fuzz,
    "bench": bench,
}


def main(arguments):
    if "-h" in arguments or "--help" in arguments:
        say(__doc__.strip())
        return 0
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        say(f"unknown part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2

    total = Counts()
    begin = time.monotonic()
    for name, function in PARTS.items():
        if name in arguments or (not arguments and name != "bench"):
            start = time.monotonic()
            part = Part()
            say(name)
            try:
                function(part)
            except (Failure, OSError, ValueError) as error:
                part.failed(f"{name} could not be run", log=str(error))
            say(f"{name}: {part.counts}, {time.monotonic() - start:.0f} s\n")
            total.add(part.counts)
    say(f"{time.monotonic() - begin:.0f} s in all")
    say(str(total))
    return 1 if total.failed else 0


def interrupted(number, _frame):
    # What ends now ends because of us and is no result.
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for child in list(children):
        child.terminate()
    for child in list(children):
        try:
            # Without a timeout it would take a lock that the interrupted code may hold.
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
    # At once: threads that wait for children would be waited for.
    os._exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit(main(sys.argv[1:]))
