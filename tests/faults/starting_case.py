"""What has processes of its own, one of whose system calls or allocations fails: either it does what it
does otherwise, or it says what it could not do. It never hangs, and leaves no process and no file
behind.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import faults

PATIENCE = 120
END_PATIENCE = 10
# Jansson 2.14 writes where it should not when it gets no memory for a long word.
DEFECTIVE = "libjansson.so"
# What is made again, and what goes on with the rest: but for open(2), which only waits for a FIFO.
HARMLESS = {"EINTR", "short"}


def processes_with(text):
    """Those that have it in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found


class StartingCase(unittest.TestCase):
    # As tests/faults/faults.py takes it.
    inject = program = None
    # One in so many calls.
    stride = 1
    # Which interrupted calls are not made again.
    interruptible = r"inject: EINTR is the answer to system call (2|257) "
    # Of Provium's own failures; of the dynamic linker's, before main().
    own_failures = {125, 127}

    def setUp(self):
        super().setUp()
        faults.need(self.inject)
        self.directory = tempfile.mkdtemp(prefix="provium-")
        self.addCleanup(shutil.rmtree, self.directory)

    def assert_nothing_left(self, temporary, log):
        deadline = time.monotonic() + END_PATIENCE
        while processes_with(temporary):
            self.assertLess(time.monotonic(), deadline,
                            f"processes are left: {processes_with(temporary)}")
            time.sleep(0.01)
        self.assertEqual(os.listdir(temporary), [], f"files are left\n{log}")

    def assert_told(self, process, temporary):
        """What else must hold of one that has ended."""

    def reason(self, _done, said):
        """Why it has failed; empty where it has not said it."""
        return said

    def run_one(self, fault, nth, arguments, **options):
        """What it has done, what was said, and how many calls could have failed."""
        temporary = tempfile.mkdtemp(dir=self.directory)
        process = subprocess.run(
            [*faults.command(self.inject, fault, nth, self.program), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
            env={**os.environ, "TMPDIR": temporary}, **options)
        log = process.stderr.decode(errors="replace")
        if process.returncode < 0 and re.search(rf"inject: .*\({DEFECTIVE}", log):
            return (process.returncode, process.stdout), log, 0
        faults.check(self, fault, log)
        if process.returncode:
            self.assertIn(process.returncode, self.own_failures, log)
        self.assert_told(process, temporary)
        self.assert_nothing_left(temporary, log)
        return (process.returncode, process.stdout), log, faults.count(fault, log)

    def check(self, classes, arguments, wanted, **options):
        """wanted() has what it has done and said, and whether that is as ever."""
        def one(fault, nth):
            done, log, _ = self.run_one(fault, nth, arguments, **options)
            said = faults.said(log)
            if wanted(done, said):
                return "as ever"
            if done[0] < 0:
                return "a library ended the program"
            if not re.search(self.interruptible, log):
                self.assertNotIn(fault, HARMLESS, log)
            self.assertNotEqual(done[0], 0, log)
            self.assertTrue(self.reason(done, said), f"it has not said why\n{log}{done[1]}")
            return "failed, and said why"

        for fault in classes:
            done, log, total = self.run_one(fault, 0, arguments, **options)
            self.assertTrue(wanted(done, faults.said(log)), log)
            first = faults.first_own(self.inject, fault, self.program, "version")
            faults.sweep(self, fault, range(first, total + 1, self.stride),
                         lambda nth: one(fault, nth))
