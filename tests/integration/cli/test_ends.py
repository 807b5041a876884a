"""A guest that panics, or whose QEMU dies, while a command or a person is in it.

    test_ends.py KERNEL    a directory with vmlinuz and modules/
"""

import os
import shutil
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

# Where an init begins, while the modules are still being loaded; and what it does last.
START = b"""mount -t proc proc /proc; mount -t devtmpfs dev /dev; mkdir /m
until mount -t ext4 /dev/vda /m 2>/dev/null; do sleep 0.1; done
"""
FINISH = b"seq 20000 >/m/late; umount /m\n"

# The shell that is init gets neither signal.
SCRIPT = """#!/bin/sh
. /start
until [ -e /end ]; do sleep 0.1; done
kill -FIRST -1; sleep 2
kill -KILL -1; sleep 2
. /finish
poweroff -f
"""


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

    def own_end(self, command, *options):
        """The guest mounts its disk, and ends by itself when it has written and unmounted it."""
        with open(self.path("disk"), "wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.path("disk")], check=True)
        status, _, error = self.provium(
            "run", "--disk", self.path("disk"), "--module", "ext4", "--module", "virtio_blk",
            "--console", self.path("console"), "--file", f"/start={self.write('start', START)}",
            "--file", f"/finish={self.write('finish', FINISH)}", *options,
            "--", "sh", "-c", f"until [ -d /m/lost+found ]; do sleep 0.1; done; {command}")
        self.assertEqual(status, 125, error)
        self.assertIn("the guest has shut itself down", error)
        with open(self.path("console"), "rb") as file:
            self.assertIn(b"reboot: Power down", file.read())
        content = subprocess.run(["debugfs", "-R", "cat /late", self.path("disk")], check=True,
                                 capture_output=True).stdout
        self.assertEqual(content.decode().split(), [str(i) for i in range(1, 20001)])
        head = subprocess.run(["dumpe2fs", "-h", self.path("disk")], check=True,
                              capture_output=True).stdout
        self.assertNotIn(b"needs_recovery", head)
        self.assert_nothing_left()

    @unittest.skipUnless(shutil.which("debugfs"), "no e2fsprogs")
    def test_init_that_kills_every_process(self):
        """The agent too, before it is done with the disks: nobody kills the guest meanwhile."""
        inittab = self.write("inittab", b"::sysinit:sh /start\n::shutdown:sh /finish\n")
        self.own_end("poweroff; sleep 1000", "--init", "/sbin/init", "--file", f"/etc/inittab={inittab}")
        for first in ("TERM", "KILL"):
            with self.subTest(first=first):
                init = self.write("init", SCRIPT.replace("FIRST", first).encode())
                os.chmod(init, 0o755)
                self.own_end("echo >/end; sleep 1000", "--init", "/begin", "--file", f"/begin={init}")


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    tap.main()
