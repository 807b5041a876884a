"""What the tests share in which one thing fails: how it is made to, and what is told of it."""

import collections
import os
import re

# The ways in which inject.c lets system calls fail.
NO_MEDIA = ["EMFILE", "ENOMEM", "EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "short"]
CLASSES = [*NO_MEDIA, "ENOSPC", "EIO"]


def count(log):
    """How many calls could have failed."""
    return int(re.search(r"inject: (\d+) calls", log)[1])


def said(log):
    """By the program itself."""
    return re.sub(r"(?m)^inject: .*\n?", "", log).strip()


def check(test, log):
    test.assertNotRegex(log, r"killed by signal|Sanitizer")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def sweep(test, name, numbers, one):
    """Lets one(nth) run for each number and tells how often it came to what."""
    outcomes = collections.Counter()
    for nth in numbers:
        with test.subTest(fault=name, nth=nth):
            outcomes[one(nth)] += 1
    print(f"# {name}: {sum(outcomes.values())} calls were made to fail: "
          + ", ".join(f"{outcome}: {times}" for outcome, times in outcomes.most_common()))


def count_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
