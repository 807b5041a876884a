"""What the tests share in which one thing fails: how it is made to, and what is told of it."""

import collections
import os
import re
import subprocess
import unittest

# The ways in which inject.c lets system calls fail.
NO_MEDIA = ["EMFILE", "ENOMEM", "EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "short"]
CLASSES = [*NO_MEDIA, "ENOSPC", "EIO"]
# With a library in the place of inject, which lets allocations fail (allocations.c).
ALLOCATION = "allocation"
# With valgrind in its place: nothing fails.
VALGRIND = "valgrind"


def need(inject):
    if not inject:
        raise unittest.SkipTest("valgrind is not installed")


def command(inject, fault, nth, program):
    """How to start the program, whose call of that number fails."""
    if fault == ALLOCATION:
        return ["env", f"FAIL_ALLOCATION={nth}", f"LD_PRELOAD={inject}",
                f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0",
                program]
    if fault == VALGRIND:
        return [inject, "--error-exitcode=99", "--leak-check=full", "--track-fds=yes", program]
    return [inject, fault, str(nth), program]


def first_own(inject, fault, program, argument):
    """The first number that is not of the dynamic linker's and the C library's before main()."""
    if fault in (ALLOCATION, VALGRIND):
        return 1
    trial = subprocess.run([*command(inject, fault, 0, program), argument], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return count(fault, trial.stderr.decode()) + 1


def program_pid(process, fault):
    if fault in (ALLOCATION, VALGRIND):
        return process.pid
    child, = children(process.pid)
    return child


def count(fault, log):
    """How many calls could have failed; of several processes, in that with the highest number."""
    if fault == VALGRIND:
        return 0
    return max(map(int, re.findall(r"inject: (\d+) calls", log)))


def said(log):
    """By the program itself."""
    return re.sub(r"(?m)^(inject: |==\d+==|--\d+--).*\n?", "", log).strip()


def check(test, fault, log):
    test.assertNotRegex(log, r"killed by signal|Sanitizer|ERROR SUMMARY: [1-9]")
    if fault == VALGRIND:
        test.assertIn("ERROR SUMMARY: 0", log)
        # Whatever kind it says that they are of.
        test.assertEqual(len(re.findall(r"(?m)^==\d+== Open ", log)),
                         log.count("<inherited from parent>"), log)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def sweep(test, name, numbers, one):
    """Lets one(nth) run for each number and tells how often it came to what."""
    outcomes = collections.Counter()
    for nth in numbers:
        with test.subTest(fault=name, nth=nth):
            outcomes[one(nth)] += 1
    if outcomes:
        print(f"# {name}: {sum(outcomes.values())} calls were made to fail: "
              + ", ".join(f"{outcome}: {times}" for outcome, times in outcomes.most_common()))


def count_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
