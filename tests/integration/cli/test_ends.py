"""A guest that panics, or whose QEMU dies, while a command or a person is in it.

    test_ends.py KERNEL    a directory with vmlinuz and modules/
"""

import os
import signal
import subprocess
import sys
import termios
import time
import unittest

import tap
from provium import (TIMEOUT, Case, is_raw, on_kernel, own_terminal, processes_of, read_until,
                     terminal)

KERNEL = sys.argv[1]

PANIC = "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger"

# Seconds in which an end is noticed, and what the end of QEMU and our own take on a busy machine.
NOTICED = 0.1
ENDED = 0.25

# A kernel that reboots after a panic takes QEMU with it; with panic=0 QEMU and connection stay.
PANICS = ([], ["--append", "panic=0"])


class Ends(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNEL), **changes})

    def begin(self, theirs, command, *arguments):
        """On that terminal, up to the guest's prompt."""
        child = self.start(command, "--env", "PS1=ready> ", *arguments, stdin=theirs,
                           stdout=theirs, stderr=theirs, preexec_fn=own_terminal(theirs))
        read_until(self.ours, lambda data: b"ready> " in data, TIMEOUT)
        self.assertTrue(is_raw(theirs))
        return child

    def ends(self, act, told, command, *arguments):
        """Act ends the guest, and gives the time at which it did."""
        with terminal() as (self.ours, theirs):
            before = termios.tcgetattr(theirs)
            child = self.begin(theirs, command, *arguments)
            since = act(child)
            self.assertEqual(child.wait(timeout=30), 125)
            self.assertLess(time.monotonic() - since, NOTICED + ENDED)
            self.assertEqual(termios.tcgetattr(theirs), before)
            shown = read_until(self.ours, lambda data: told in data, 1)
            self.assertIn(b"provium: ", shown)
        self.assert_nothing_left()

    def panic(self, child):
        """Until the kernel has told all that it tells; one that reboots takes all with it."""
        os.write(self.ours, PANIC.encode() + b"\r")
        end = time.monotonic() + 30
        told = False
        while not told and child.poll() is None:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)
            with open(self.path("console"), "rb") as file:
                told = b"end Kernel panic" in file.read()
        return time.monotonic()

    @staticmethod
    def kill_qemu(child):
        pids = processes_of(child, "qemu-system-x86_64")
        os.kill(pids[0], signal.SIGKILL)
        return time.monotonic()

    def test_panic_in_a_shell(self):
        for options in PANICS:
            with self.subTest(options):
                self.ends(self.panic, b"panicked", "shell", "--console", self.path("console"),
                          *options)

    def test_panic_on_a_terminal(self):
        self.ends(self.panic, b"panicked", "run", "-t", "--console", self.path("console"),
                  "--append", "panic=0", "sh")

    def test_qemu_killed(self):
        self.ends(self.kill_qemu, b"QEMU was killed by signal 9", "shell")

    def test_panic_without_a_terminal(self):
        for options in PANICS:
            with self.subTest(options):
                status, _, error = self.provium("run", *options, "--", "sh", "-c",
                                                f"{PANIC}; sleep 1000")
                self.assertEqual(status, 125, error)
                self.assertIn("panicked", error)
                self.assert_nothing_left()

    def test_panic_seen_from_outside(self):
        """Who has connected to another's guest hears of its end as the end of the connection."""
        socket = self.path("socket")
        guest = self.start("run", "--socket", socket, "--append", "panic=0", "--", "sh", "-c",
                           f"echo begun; read line; {PANIC}; sleep 1000", stdin=subprocess.PIPE)
        self.assertEqual(guest.stdout.readline(), b"begun\n")

        def panic(_child):
            guest.communicate(b"\n", timeout=30)
            return time.monotonic()
        self.ends(panic, b"connection", "exec", "-t", "--connect", f"unix:{socket}", "sh")
        self.assertEqual(guest.returncode, 125)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    tap.main()
