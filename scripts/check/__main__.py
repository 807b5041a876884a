"""usage: ./check [PART...]
       ./check bench --json FILE

Builds Provium and runs what must pass; without arguments everything but coverage, endurance, matrix
and bench, which take long. Installs missing Debian packages and fetches test kernels, where there are none yet.

    lint         formatting, scripts, the tree; and compilers
    static       form and size of the guest's programs
    interop      a client made by another implementation of protobuf
    integration  real kernels in QEMU; beside them, if they are asked for:
    cli          the command against agents on this machine
    compilers    warnings as errors with gcc and with clang, clang-tidy
    fuzz         every libFuzzer target for 20 seconds
    unit         unit tests under the address and undefined behaviour sanitizers
    coverage     lines of the pure files that the unit tests execute: at least 90 %
    endurance    the same at full length: many commands, large files, more on the older kernel
    matrix       many kernels, configured in many ways; inits; 200 shutdowns; an idle agent;
                 a guest that is disturbed for two minutes; 100000 requests
    bench        figures beside floors measured in the same guest; --json FILE: all of them in one
                 file, each with its name, unit, value, floor, ratio, quartiles, goal and whether it
                 is met

The last line counts the tests of all parts together. The exit status is 1 if any failed.
"""

import functools
import os
import signal
import subprocess
import sys
import threading
import time

import suites
from common import Counts, Failure, Part, children, processors, say
from coverage import coverage
from fuzz import fuzz
from lint import compilers, lint

# In the order in which they run.
PARTS = {
    "lint": lint,
    "static": suites.static,
    "interop": suites.interop,
    "integration": suites.integration,
    "compilers": compilers,
    "cli": suites.cli,
    "fuzz": fuzz,
    "unit": suites.unit,
    "coverage": coverage,
    "endurance": suites.endurance,
    "matrix": suites.matrix,
    "bench": suites.bench,
}
# Run only where they are named.
LONG = {"coverage", "endurance", "matrix", "bench"}

WITH_KERNELS = {"integration", "endurance", "matrix", "bench"}

# A VM under TCG keeps little more than one processor busy, and these need no time of their own to be
# right: they compute, or wait for what is to happen.
BESIDE_INTEGRATION = {"compilers", "cli", "fuzz", "interop", "unit"}


def run_part(name, function, tell=say):
    start = time.monotonic()
    part = Part(tell)
    tell(name)
    try:
        function(part)
    except (Failure, OSError, ValueError) as error:
        part.failed(f"{name} could not be run", log=str(error))
    tell(f"{name}: {part.counts}, {time.monotonic() - start:.0f} s\n")
    return part.counts


def run_integration(function, others):
    """Runs a part that keeps one processor busy, and others, in turn, on the rest; these tell later."""
    told, part = [], Part()
    counts = [part.counts]
    if not part.attempt("integration: what it needs is built", suites.build_integration):
        return counts

    def run_others():
        for other in others:
            counts.append(run_part(other, PARTS[other], told.append))

    thread = threading.Thread(target=run_others)
    with processors:
        thread.start()
        counts.append(run_part("integration", function))
    thread.join()
    for line in told:
        say(line)
    return counts


def run_parts(names, figures):
    """Yields counts. figures: the file for those of bench, or None."""
    functions = {**PARTS, "bench": functools.partial(suites.bench, target=figures)}
    beside = []
    if WITH_KERNELS & set(names):
        kernels = suites.fetch_kernels(*["--all"] if "matrix" in names else [])
        for name in WITH_KERNELS:
            functions[name] = functools.partial(functions[name], kernels=kernels)
    if "integration" in names:
        beside = [name for name in names if name in BESIDE_INTEGRATION]
    for name in names:
        if name == "integration":
            yield from run_integration(functions[name], beside)
        elif name not in beside:
            yield run_part(name, functions[name])


def take_figures(arguments):
    """Takes --json and its file out of the arguments; None: it is not there."""
    if "--json" not in arguments:
        return None
    at = arguments.index("--json")
    if arguments[at + 1:] == [] or "bench" not in arguments[:at] + arguments[at + 2:]:
        raise ValueError("--json goes with bench, and names a file")
    figures = os.path.abspath(arguments[at + 1])
    if not os.path.isdir(os.path.dirname(figures)):
        raise ValueError(f"{os.path.dirname(figures)}: no such directory")
    del arguments[at:at + 2]
    return figures


def main(arguments):
    if "-h" in arguments or "--help" in arguments:
        say(__doc__.strip())
        return 0
    try:
        figures = take_figures(arguments)
    except ValueError as error:
        say(str(error))
        return 2
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        say(f"unknown part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2

    wanted = set(arguments) or set(PARTS) - LONG
    # What belongs to them, but can run beside VMs.
    if "lint" in wanted:
        wanted.add("compilers")
    if "integration" in wanted:
        wanted.add("cli")

    total = Counts()
    begin = time.monotonic()
    for counts in run_parts([name for name in PARTS if name in wanted], figures):
        total.add(counts)
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
