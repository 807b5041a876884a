"""A shell on a guest's terminal, as a person has it: what the screen shows, size, and special keys.

    test_shell.py KERNEL...    directories with vmlinuz and modules/
"""

import fcntl
import os
import select
import struct
import sys
import termios
import time
import unittest

import pyte

import tap
from provium import TIMEOUT, Case, on_kernel, own_terminal, terminal

KERNELS = sys.argv[1:]

# Seconds for what takes a blink where nothing else runs.
PATIENCE = 60


class Terminal:
    """What a person sees of a terminal (its screen, by an emulator) and types."""

    def __init__(self, ours, rows, cols):
        self.ours = ours
        self.screen = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(rows, cols)

    def resize(self, rows, cols):
        self.screen.resize(rows, cols)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def type(self, text):
        os.write(self.ours, text.encode())

    def wait(self, ready, what):
        """Until the screen is so."""
        end = time.monotonic() + PATIENCE
        while not ready(self.lines()):
            if not select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{what}; the screen:\n" + "\n".join(self.lines()))
            self.stream.feed(os.read(self.ours, 65536))

    def wait_line(self, text):
        self.wait(lambda lines: text in lines, f"no line {text!r}")


def text_line(number):
    return f"line {number} of the file"


def shows_end(lines):
    """Whether these are an editor's lines around the end of the file."""
    if "new text" not in lines:
        return False
    end = lines.index("new text")
    return (lines[:end] == [text_line(n) for n in range(101 - end, 101)] and
            all(line == "~" for line in lines[end + 1:]))


class Shell(Case):
    def on_a_guest(self, kernel, use):
        environment = self.environment(**on_kernel(kernel), TERM="linux")
        with terminal() as (ours, theirs):
            before = termios.tcgetattr(theirs)
            person = Terminal(ours, 24, 80)
            child = self.start("shell", "--env", "PS1=ready> ", stdin=theirs, stdout=theirs,
                               stderr=theirs, env=environment, preexec_fn=own_terminal(theirs))
            person.wait(lambda lines: any(line.startswith("ready>") for line in lines),
                        "no prompt")
            use(person)
            person.type("clear; exit 5\r")
            self.assertEqual(child.wait(timeout=TIMEOUT), 5)
            self.assertEqual(termios.tcgetattr(theirs), before)
        self.assert_nothing_left()

    def use(self, person):
        with self.subTest("size"):
            person.type("clear; stty size\r")
            person.wait_line("24 80")
        with self.subTest("a prompt without echo"):
            person.type("clear; stty -echo; printf 'Password: '; read word; stty echo; "
                        "echo; echo \"it was $word\"\r")
            person.wait_line("Password:")
            person.type("secret\r")
            person.wait_line("it was secret")
            self.assertNotIn("Password: secret", person.lines())
        with self.subTest("Ctrl-C"):
            person.type("clear; sh -c 'echo sleeps; exec sleep 1000'; echo \"ends $?\"\r")
            person.wait_line("sleeps")
            # Once: at the prompt it would leave this shell's terminal in the editor's mode.
            person.type("\x03")
            person.wait(self.has_prompt, "no prompt")
            person.type("echo \"status $?\"\r")
            person.wait_line("status 130")
        with self.subTest("Ctrl-Z"):
            person.type("clear; sh -c 'echo stays; exec sleep 1000'\r")
            person.wait_line("stays")
            person.type("\x1a")
            person.wait(lambda lines: any("Stopped" in line for line in lines), "nothing stopped")
            person.type("clear; jobs | wc -l; kill %1; fg; echo \"woken $?\"\r")
            person.wait(lambda lines: any(line.startswith("woken ") for line in lines),
                        "the job does not end")
            self.assertIn("1", person.lines())
        with self.subTest("an editor that is resized"):
            self.edit(person)

    @staticmethod
    def has_prompt(lines):
        return any(line.startswith("ready>") for line in lines[1:])

    def edit(self, person):
        person.type("clear; i=0; while [ $((i += 1)) -le 100 ]; do echo \"line $i of the file\"; "
                    "done >/tmp/file; vi /tmp/file\r")
        person.wait(lambda lines: lines[:23] == [text_line(n) for n in range(1, 24)],
                    "vi does not show 23 lines")
        person.resize(40, 100)
        person.wait(lambda lines: lines[:39] == [text_line(n) for n in range(1, 40)],
                    "vi does not show 39 lines")
        person.type("Gonew text\x1b")
        person.wait(lambda lines: shows_end(lines[:39]), "nothing is inserted")
        person.resize(12, 60)
        person.wait(lambda lines: shows_end(lines[:11]), "vi does not show the end in 11 lines")
        person.type(":wq\r")
        person.type("clear; tail -n 1 /tmp/file; stty size\r")
        person.wait_line("12 60")
        self.assertIn("new text", person.lines())

    def test_guests(self):
        for kernel in KERNELS:
            with self.subTest(os.path.basename(kernel)):
                self.on_a_guest(kernel, self.use)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    tap.main()
