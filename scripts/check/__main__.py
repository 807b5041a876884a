"""usage: ./check [PART...]

Builds Provium and runs what must pass; without arguments everything but endurance and bench, which
take long. Installs missing Debian packages and fetches test kernels, where there are none yet.

    lint         formatting, warnings as errors with gcc and clang, clang-tidy, scripts, the tree
    unit         unit tests under the address and undefined behaviour sanitizers
    static       form and size of the guest's programs
    interop      a client made by another implementation of protobuf
    integration  real kernels in QEMU
    fuzz         every libFuzzer target for 20 seconds
    endurance    tests of the same kinds at full length: many commands, large files
    bench        figures beside floors measured in the same guest

The last line counts the tests of all parts together. The exit status is 1 if any failed.
"""

import os
import signal
import subprocess
import sys
import time

import suites
from common import Counts, Failure, Part, children, say
from fuzz import fuzz
from lint import lint

PARTS = {
    "lint": lint,
    "unit": suites.unit,
    "static": suites.static,
    "interop": suites.interop,
    "integration": suites.integration,
    "fuzz": fuzz,
    "endurance": suites.endurance,
    "bench": suites.bench,
}
# Run only where they are named.
LONG = {"endurance", "bench"}


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
        if name in arguments or (not arguments and name not in LONG):
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
