"""A guest's terminal on the host's: keys, size, the ways out, and the mode that it has afterwards."""

import fcntl
import os
import pty
import signal
import struct
import termios
import time

import provium_pb2 as pb
import tap
from fake_agent import FakeAgent
from provium import PROGRAM, Case, default_signals, is_raw, own_terminal, read_until, terminal


def set_size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class TerminalCase(Case):
    def setUp(self):
        super().setUp()
        self.agent = FakeAgent(self.path("agent"))
        self.addCleanup(self.agent.close)

    def wait_for(self, condition, what):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def begin(self, theirs, *options, command="exec", operands=("--", "vi", "file"), **streams):
        """A session on that terminal, up to its EXEC."""
        for name in ("stdin", "stdout", "stderr"):
            streams.setdefault(name, theirs)
        child = self.start(command, *self.agent.at, *options, *operands,
                           preexec_fn=own_terminal(theirs), **streams)
        self.agent.accept()
        return child, self.agent.expect_command()


class Keys(TerminalCase):
    def test_all_go_to_the_guest(self):
        with terminal() as (ours, theirs):
            before = termios.tcgetattr(theirs)
            child, command = self.begin(theirs, "-t")
            self.assertEqual(list(command.argv), [b"vi", b"file"])
            self.assertEqual(command.stdin_kind, pb.STDIN_STREAM)
            self.assertTrue(is_raw(theirs))
            # Ctrl-C, Ctrl-D, Ctrl-Q, Ctrl-S, Ctrl-V, Ctrl-Z, Ctrl-\, Return, delete, no UTF-8.
            keys = b"a\x03\x04\x11\x13\x16\x1a\x1c\r\x7f\xff~."
            os.write(ours, keys)
            self.assertEqual(self.agent.typed(len(keys)), keys)
            self.agent.output(b"\x1b[2Jshown\r\n\xff\n")
            # Nothing was echoed.
            self.assertEqual(read_until(ours, lambda data: data.endswith(b"\xff\n"), 20),
                             b"\x1b[2Jshown\r\n\xff\n")
            self.agent.result(5)
            self.assertEqual(child.wait(timeout=20), 5)
            self.assertEqual(termios.tcgetattr(theirs), before)

    def test_typed_ahead(self):
        """What was typed before the session is the guest's, and what it has not taken waits."""
        with terminal() as (ours, theirs):
            os.write(ours, b"early")
            child, _ = self.begin(theirs, "-t")
            for key in range(100):
                os.write(ours, b"%c" % (65 + key % 26))
            expected = b"early" + bytes(65 + key % 26 for key in range(100))
            self.assertEqual(self.agent.typed(len(expected)), expected)
            self.agent.result()
            self.assertEqual(child.wait(timeout=20), 0)

    def test_tildes(self):
        with terminal() as (ours, theirs):
            child, _ = self.begin(theirs, "-t")
            for keys, received in ((b"~~", b"~"), (b"~.\r", b"~.\r"), (b"~x", b"~x"),
                                   (b"\r~\r", b"\r~\r"), (b"a~?\r", b"a~?\r")):
                os.write(ours, keys)
                self.assertEqual(self.agent.typed(len(received)), received)
            os.write(ours, b"~?")
            read_until(ours, lambda data: b"~^Z" in data and b"end the session" in data, 20)
            self.agent.result()
            self.assertEqual(child.wait(timeout=20), 0)


class Size(TerminalCase):
    def test_followed(self):
        with terminal() as (ours, theirs):
            set_size(ours, 33, 101)
            child, command = self.begin(theirs, "-t", env=self.environment(TERM="vt220"))
            self.assertEqual((command.pty.rows, command.pty.cols), (33, 101))
            self.assertEqual(command.pty.term, b"vt220")
            set_size(ours, 50, 132)
            resize = self.agent.expect("resize")
            self.assertEqual((resize.rows, resize.cols), (50, 132))
            self.assertEqual(resize.target.request, self.agent.command)
            # Not answered for a second: the keyboard is read again all the same.
            os.write(ours, b"x")
            while (message := self.agent.receive()).WhichOneof("body") != "stdin_data":
                self.assertEqual(message.WhichOneof("body"), "cancel")
            self.assertEqual(message.stdin_data.data, b"x")
            self.agent.reply("ok")
            self.agent.result()
            self.assertEqual(child.wait(timeout=20), 0)

    def test_not_known(self):
        """Then the guest's defaults count."""
        with terminal() as (ours, theirs):
            set_size(ours, 0, 0)
            environment = self.environment()
            del environment["TERM"]
            child, command = self.begin(theirs, "-t", env=environment)
            self.assertTrue(command.HasField("pty"))
            for field in ("rows", "cols", "term"):
                self.assertFalse(command.pty.HasField(field), field)
            self.agent.result()
            self.assertEqual(child.wait(timeout=20), 0)


class End(TerminalCase):
    """However it ends, the terminal is as before."""

    def ends(self, act, status, told=b"", **keywords):
        with terminal() as (ours, theirs):
            before = termios.tcgetattr(theirs)
            child, _ = self.begin(theirs, "-t", **keywords)
            self.assertTrue(is_raw(theirs))
            act(child, ours)
            self.assertEqual(child.wait(timeout=20), status)
            self.assertEqual(termios.tcgetattr(theirs), before)
            if told:
                shown = read_until(ours, lambda data: told in data, 20)
                self.assertIn(b"provium: ", shown)

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                       signal.SIGABRT, signal.SIGSEGV, signal.SIGUSR1, signal.SIGALRM):
            with self.subTest(number):
                # AddressSanitizer would make a report and a status of SIGSEGV.
                self.ends(lambda child, ours, number=number: child.send_signal(number), -number,
                          env=self.environment(ASAN_OPTIONS="handle_segv=0"))

    def test_agent_that_goes(self):
        self.ends(lambda child, ours: self.agent.hang_up(), 125, b"connection")

    def test_program_that_is_not_there(self):
        def refuse(_child, _ours):
            self.agent.reply("error", self.agent.command, code=pb.ERROR_OS, os_errno=2,
                             errno_name="ENOENT", operation="execve", text='no "vi"')
        self.ends(refuse, 127, b'no "vi"')

    def test_timeout(self):
        with terminal() as (_, theirs):
            before = termios.tcgetattr(theirs)
            child, _ = self.begin(theirs, "-t", "--timeout", "0.5")
            self.assertEqual(child.wait(timeout=20), 124)
            self.assertEqual(termios.tcgetattr(theirs), before)

    def test_escape(self):
        """Of a guest that takes nothing any more."""
        def escape(_child, ours):
            for _ in range(300):
                os.write(ours, b"x")
            os.write(ours, b"\r~.")
        self.ends(escape, 125, b"the session was ended by ~.")
        last = None
        with self.assertRaises(EOFError):
            while True:
                last = self.agent.receive()
        self.assertEqual(last.cancel.request, self.agent.command)

    def test_escape_at_once(self):
        self.ends(lambda child, ours: os.write(ours, b"~."), 125, b"ended by ~.")

    def test_reader_that_goes(self):
        reading, writing = os.pipe()
        with terminal() as (_, theirs):
            before = termios.tcgetattr(theirs)
            child, _ = self.begin(theirs, "-t", stdout=writing)
            os.close(writing)
            os.close(reading)
            self.agent.output(b"x")
            self.assertEqual(child.wait(timeout=20), -signal.SIGPIPE)
            self.assertEqual(termios.tcgetattr(theirs), before)

    def test_terminal_that_hangs_up(self):
        ours, theirs = pty.openpty()
        child, _ = self.begin(theirs, "-t")
        os.close(theirs)
        os.close(ours)
        self.assertEqual(child.wait(timeout=20), -signal.SIGHUP)


class JobControl(TerminalCase):
    """In a shell that has it."""

    def setUp(self):
        super().setUp()
        pid, self.ours = pty.fork()
        if pid == 0:
            default_signals()
            os.chdir(self.directory)
            os.execvpe("bash", ["bash", "--norc", "--noediting", "-i"],
                       self.environment(PS1="ready> "))
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, self.ours)
        self.unseen = b""
        self.shown(b"ready> ")
        self.line("stty -g >before", b"ready> ")

    def shown(self, text):
        """Waits until it is, and forgets what was shown up to its end."""
        if text not in self.unseen:
            before = self.unseen
            self.unseen += read_until(self.ours, lambda data: text in before + data, 20)
        self.unseen = self.unseen[self.unseen.index(text) + len(text):]

    def line(self, line, shown=None):
        os.write(self.ours, line.encode() + b"\n")
        if shown:
            self.shown(shown)

    def begin_in_shell(self, behind=""):
        self.line(f"{PROGRAM} exec {' '.join(self.agent.at)} -t -- program {behind}")
        self.agent.accept()
        self.agent.expect_command()

    def finish(self):
        self.agent.result(7)
        self.shown(b"ready> ")
        self.line("echo status=$?; stty -g >after", b"status=7\r\n")
        self.shown(b"ready> ")
        modes = []
        for name in ("before", "after"):
            with open(self.path(name), "rb") as file:
                modes.append(file.read())
        self.assertEqual(modes[0], modes[1])
        self.line("exit")

    def stopped(self):
        self.shown(b"Stopped")
        self.shown(b"ready> ")
        self.line("stty -g | cmp - before && echo sa''me", b"same")
        self.shown(b"ready> ")
        set_size(self.ours, 40, 120)

    def goes_on(self):
        resize = self.agent.expect("resize")
        self.assertEqual((resize.rows, resize.cols), (40, 120))
        self.agent.reply("ok")
        self.wait_for(lambda: is_raw(self.ours), "raw again")
        os.write(self.ours, b"\x03")
        self.assertEqual(self.agent.typed(1), b"\x03")

    def test_suspended_by_its_escape(self):
        self.begin_in_shell()
        os.write(self.ours, b"~\x1a")
        self.stopped()
        self.line("fg")
        self.goes_on()
        self.finish()

    def test_stopped_by_a_signal(self):
        for name in ("TSTP", "STOP"):
            with self.subTest(name):
                self.begin_in_shell()
                os.killpg(os.tcgetpgrp(self.ours), getattr(signal, f"SIG{name}"))
                if name == "TSTP":
                    self.stopped()
                else:
                    # bash puts the terminal in order itself, to its own taste.
                    self.shown(b"Stopped")
                    self.shown(b"ready> ")
                    set_size(self.ours, 40, 120)
                self.line("fg")
                self.goes_on()
                self.agent.result(7)
                self.shown(b"ready> ")
                set_size(self.ours, 24, 80)
        self.line("stty -g | cmp - before && echo sa''me", b"same")
        self.line("exit")

    def test_in_the_background(self):
        """The terminal is the shell's, until it is given to the session."""
        self.begin_in_shell("&")
        self.shown(b"ready> ")
        self.line("stty -g | cmp - before && echo sa''me", b"same")
        self.agent.output(b"from the guest")
        self.shown(b"from the guest")
        set_size(self.ours, 40, 120)
        self.line("fg")
        self.goes_on()
        self.finish()


class Refused(TerminalCase):
    def test_without_a_terminal(self):
        """Before anything is connected to or booted."""
        for arguments in (["exec", *self.agent.at, "-t", "sh"], ["exec", *self.agent.at, "--tty", "sh"],
                          ["shell", *self.agent.at], ["shell"], ["run", "-t", "sh"]):
            with self.subTest(arguments):
                self.assert_fails(self.provium(*arguments), 125,
                                  "standard input is not a terminal: ")

    def test_shell_with_options_of_both_kinds(self):
        with terminal() as (_, theirs):
            for options in (["--kernel", "x"], ["--memory", "1G"], ["--disk", "x"]):
                with self.subTest(options):
                    self.assert_fails(self.provium("shell", *self.agent.at, *options, stdin=theirs),
                                      125, "--connect is for a guest that runs")


class Commands(TerminalCase):
    def test_shell(self):
        with terminal() as (_, theirs):
            child, command = self.begin(theirs, "--user", "7", command="shell", operands=())
            self.assertEqual(list(command.argv), [b"/bin/sh", b"-l"])
            self.assertTrue(command.HasField("pty"))
            self.assertEqual(command.uid, 7)
            self.agent.result(3)
            self.assertEqual(child.wait(timeout=20), 3)

    def test_options(self):
        child = self.start("exec", *self.agent.at, "--user", "1000:100", "--groups", "4,20",
                           "--groups", "24", "--nice", "-5", "--rlimit", "nofile=10:20", "--rlimit",
                           "core=unlimited", "--kill-scope", "cgroup", "--merge-stderr", "--clear-env",
                           "--output-limit", "3K", "program")
        self.agent.accept()
        command = self.agent.expect_command()
        self.assertEqual((command.uid, command.gid), (1000, 100))
        self.assertEqual(list(command.groups.gid), [4, 20, 24])
        self.assertEqual(command.nice, -5)
        self.assertEqual([(limit.resource, limit.soft, limit.hard) for limit in command.rlimits],
                         [(7, 10, 20), (4, 2**64 - 1, 2**64 - 1)])
        self.assertEqual(command.kill_scope, pb.KILL_CGROUP)
        self.assertTrue(command.merge_stderr)
        self.assertTrue(command.clear_env)
        self.assertEqual(command.output_limit, 3072)
        self.assertFalse(command.HasField("pty"))
        self.agent.result()
        self.assertEqual(child.wait(timeout=20), 0)


if __name__ == "__main__":
    tap.main()
