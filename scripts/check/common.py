"""What every part of ./check uses: tests and their counts, commands, build directories."""

import contextlib
import os
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
CHECK = os.path.join(BUILD, "check")
JOBS = len(os.sched_getaffinity(0))

# Who only computes takes one for each program that it runs at once, so that the VMs, which take one for
# all of them, have it for themselves. When they are done it is the others', too.
processors = threading.BoundedSemaphore(JOBS)

# Of a longer log the beginning and the end are shown: what was found, and what became of it.
LOG_HEAD, LOG_TAIL = 50, 50

# For every program that is built with sanitizers. Not strict_string_checks: libarchive, which is not
# built with them, compares names that end without a NUL, and reads no further than where they differ.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:print_legend=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


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
    defaults = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    child = subprocess.Popen(command, **{**defaults, **options})
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

    def __init__(self, tell=say):
        self.counts = Counts()
        self.tell = tell
        self.lock = threading.Lock()

    def report(self, word, name, seconds, log=""):
        line = f"  {word:4}  {name}" + (f"  {seconds:.1f} s" if seconds >= 0.1 else "")
        self.tell(f"{line}\n{indented(log)}" if log.strip() else line)

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


def run_aside(*command, **options):
    """For what only computes: one of the processors, and there what the VMs leave of it."""
    with processors:
        return run("nice", "-n", "10", *command, **options)


def must(result):
    if result.returncode != 0:
        raise Failure(result.stdout or f"exit status {result.returncode}")
    return result.stdout


# Two builds, each by another compiler with warnings as errors, so that both judge every file; what is
# made serves the suites. gcc's is what users get: optimised and fortified, and booted in the guests.
# clang's has the sanitizers, for the unit tests and the fuzzers: its warnings come from the source and
# not from what an optimiser finds out, and do not change with them; nor does it optimise, which takes
# longer than the tests gain. Not build/ itself, which would be compiled anew whenever ./check and
# others take turns.
BUILDS = {
    "gcc": (os.path.join(CHECK, "gcc"), {"CC": "gcc", "CXX": "g++"}, ["-Dwerror=true"]),
    "clang": (os.path.join(CHECK, "clang"), {"CC": "clang", "CXX": "clang++"},
              ["-Dwerror=true", "-Dfuzz=true", "-Doptimization=0",
               "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "coverage": (os.path.join(CHECK, "coverage"), {"CC": "gcc", "CXX": "g++"},
                 ["-Doptimization=0", "-Db_coverage=true",
                  # Threads and forked processes count at the same time.
                  "-Dc_args=-fprofile-update=atomic"]),
}


def configure(name):
    directory, compilers, options = BUILDS[name]
    must(run("scripts/configure", directory, *options, env={**os.environ, **compilers}))
    # Ninja configures again where build files have changed; Meson's own commands would not.
    must(run("ninja", "-C", directory, "--quiet", "build.ninja"))
    return directory


def build(name, *targets):
    must(run("ninja", "-C", configure(name), "--quiet", *targets))


def build_aside(name, *targets):
    """Builds all of it on the processors that are free, at least one."""
    directory = configure(name)
    with contextlib.ExitStack() as taken:
        jobs = 1
        taken.enter_context(processors)
        while jobs < JOBS and processors.acquire(blocking=False):
            taken.callback(processors.release)
            jobs += 1
        must(run("nice", "-n", "10", "ninja", "-C", directory, "--quiet", "-j", str(jobs), *targets))
