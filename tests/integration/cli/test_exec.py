"""provium exec and info with an agent on this machine: all that takes no guest."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import tap
from provium import Case, marked_processes, own_terminal, read_until, terminal

AGENT = os.environ["PROVIUM_AGENT"]


class AgentCase(Case):
    """With an agent that listens on a Unix socket."""

    def setUp(self):
        super().setUp()
        self.socket = self.path("agent")
        self.agent = subprocess.Popen([AGENT, "--listen", f"unix:{self.socket}"],
                                      stdin=subprocess.DEVNULL, env=self.environment())
        self.addCleanup(self.stop_agent)
        self.at = ["--connect", f"agent-unix:{self.socket}"]
        # Its socket is there before it listens. Then so is the process that watches it.
        end = time.monotonic() + 10
        while (told := self.provium("info", *self.at))[0] != 0:
            self.assertIsNone(self.agent.poll())
            self.assertLess(time.monotonic(), end, told[2])
            time.sleep(0.01)
        self.idle = len(marked_processes())

    def stop_agent(self):
        self.agent.terminate()
        self.agent.wait(timeout=30)
        self.assert_nothing_left()

    def assert_command_ended(self):
        """Nothing is left of a command but the agent itself."""
        end = time.monotonic() + 20
        while len(marked_processes()) > self.idle and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(len(marked_processes()), self.idle, marked_processes())

    def execute(self, *command, options=(), **keywords):
        return self.provium("exec", *self.at, *options, "--", *command, **keywords)

    def shell(self, script, **keywords):
        return self.execute("sh", "-c", script, **keywords)


class Token(Case):
    def test_agent_that_asks(self):
        socket, token = self.path("agent"), self.write("token", os.urandom(32))
        agent = subprocess.Popen([AGENT, "--listen", f"unix:{socket}", "--token", token],
                                 stdin=subprocess.DEVNULL, env=self.environment())
        self.addCleanup(agent.wait, timeout=30)
        self.addCleanup(agent.terminate)
        os.chmod(token, 0o600)
        at = ["--connect", f"agent-unix:{socket}"]
        end = time.monotonic() + 10
        while (told := self.provium("info", *at, "--token", token))[0] != 0:
            self.assertIsNone(agent.poll())
            self.assertLess(time.monotonic(), end, told[2])
            time.sleep(0.01)
        # Each of the commands with --connect has it, by the same lines of code.
        self.assertEqual(self.provium("exec", *at, "--token", token, "--", "echo", "in"),
                         (0, b"in\n", ""))
        self.assertEqual(self.provium("job", "list", *at, "--token", token, "--json")[0], 0)
        self.assertEqual(self.provium("worker", "list", *at, "--token", token, "--json")[0], 0)
        self.assertEqual(self.provium("file", "cat", *at, "--token", token, "/dev/null"),
                         (0, b"", ""))

        self.assert_fails(self.provium("exec", *at, "--", "true"), 125, "asks for a token",
                          "--token")
        other = self.write("other", os.urandom(32))
        os.chmod(other, 0o600)
        self.assert_fails(self.provium("exec", *at, "--token", other, "--", "true"), 125,
                          "not the guest's token")

    def test_files(self):
        at = ["--connect", "agent-unix:/nowhere", "--token"]
        token = self.write("token", os.urandom(32))
        os.chmod(token, 0o644)
        for command in (["exec", *at, token, "--", "true"],
                        ["shim", "-o", self.path("shim"), "--token", token]):
            self.assert_fails(self.provium(*command), 125, token, "chmod 600")
        os.chmod(token, 0o600)
        os.symlink(token, self.path("link"))
        self.assert_fails(self.provium("info", *at, self.path("link")), 125, "symbolic link")
        short = self.write("short", b"short")
        os.chmod(short, 0o600)
        self.assert_fails(self.provium("info", *at, short), 125, "5 bytes", "32")
        self.assert_fails(self.provium("info", *at, self.path("none")), 125, "No such file")
        self.assertFalse(os.path.exists(self.path("shim")))


class Status(AgentCase):
    def test_of_the_command(self):
        for status in (0, 1, 7, 124, 125, 255):
            self.assertEqual(self.shell(f"exit {status}"), (status, b"", ""))

    def test_signals(self):
        for name in ("KILL", "TERM", "SEGV", "PIPE"):
            number = getattr(signal, f"SIG{name}")
            self.assertEqual(self.shell(f"kill -{name} $$")[0], 128 + number)

    def test_program_that_is_not_there(self):
        self.assert_fails(self.execute("provium-no-such-program"), 127, "provium-no-such-program")
        self.assert_fails(self.execute("/no/such/program"), 127, "/no/such/program")

    def test_program_that_cannot_be_executed(self):
        plain = self.write("plain", b"text")
        self.assert_fails(self.execute(plain), 126, plain)
        self.assert_fails(self.execute(self.directory), 126, self.directory)

    def test_directory_that_is_not_there(self):
        self.assert_fails(self.execute("true", options=["--cwd", "/no/such"]), 125, "/no/such")

    def test_no_agent(self):
        at = ["exec", "--connect"]
        self.assert_fails(self.provium(*at, f"unix:{self.path('absent')}", "true"), 125,
                          self.path("absent"))
        self.assert_fails(self.provium(*at, f"unix:/{'x' * 107}", "true"), 125, "107")
        self.assert_fails(self.provium(*at, "nonsense", "true"), 125, "nonsense")
        self.assert_fails(self.provium(*at, "vsock:x", "true"), 125, "vsock:x")

    def test_agent_that_ends(self):
        child = self.start("exec", *self.at, "--", "sh", "-c", "echo begun; exec sleep 100")
        self.assertEqual(child.stdout.readline(), b"begun\n")
        self.agent.terminate()
        _, error = child.communicate(timeout=10)
        self.assertEqual(child.returncode, 125)
        self.assertIn(b"provium: ", error)

    def test_timeout(self):
        start = time.monotonic()
        result = self.execute("sleep", "100", options=["--timeout", "0.5"])
        self.assert_fails(result, 124, "timed out after 0.5 s")
        self.assertLess(time.monotonic() - start, 10)
        self.assert_command_ended()


class Usage(Case):
    """Own failures are 125, and say where to look."""

    def test_errors(self):
        for arguments in ([], ["nonsense"], ["--nonsense"], ["run"], ["run", "--nonsense", "x"],
                          ["run", "--memory", "x", "y"], ["run", "--kernel"], ["exec", "ls"],
                          ["push", "--connect", "unix:x", "y"], ["info", "--connect", "unix:x", "y"],
                          ["shim"], ["version", "x"], ["help", "run", "x"]):
            with self.subTest(arguments):
                self.assert_fails(self.provium(*arguments), 125, "--help")

    def test_help_and_version(self):
        overview = self.provium("--help")
        self.assertEqual((overview[0], overview[2]), (0, ""))
        self.assertEqual(self.provium("help"), overview)
        self.assertEqual(self.provium("-h"), overview)
        for name in ("run", "exec", "push", "pull", "info", "shim", "version", "help"):
            self.assertIn(f"\n  {name} ".encode(), overview[1])
            told = self.provium(name, "--help")
            self.assertTrue(told[1].startswith(f"Usage: provium {name}".encode()))
            self.assertEqual((told[0], told[2]), (0, ""))
            self.assertEqual(self.provium("help", name), told)
        version = self.provium("version")
        self.assertRegex(version[1], rb"\Aprovium \d+\.\d+\.\d+\n\Z")
        self.assertEqual(self.provium("--version"), version)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.provium("help", stdout=full)[0], 125)


class Output(AgentCase):
    def test_limit(self):
        """Each stream has its own, and a command that goes on writing is not stopped."""
        result = self.shell("echo err >&2; head -c 300000 /dev/zero; exit 7",
                            options=["--output-limit", "4"])
        self.assertEqual(result, (7, bytes(4), "err\nprovium: standard output had 300000 bytes: "
                                                "those behind --output-limit are left out\n"))
        result = self.shell("printf 1234", options=["--output-limit", "4"])
        self.assertEqual(result, (0, b"1234", ""))

    def test_cleared_environment(self):
        result = self.execute("/usr/bin/env", options=["--clear-env", "--env", "A=1"])
        self.assertEqual(result, (0, b"A=1\n", ""))
        self.assertIn(b"\nPATH=", b"\n" + self.execute("/usr/bin/env", options=["--env", "A=1"])[1])

    def test_streams_are_separate(self):
        self.assertEqual(self.shell("echo out; echo err >&2; exit 7"), (7, b"out\n", "err\n"))

    def test_bytes_are_not_touched(self):
        data = bytes(range(256)) * 4096 + os.urandom(1 << 20)
        name = self.write("data", data)
        self.assertEqual(self.execute("cat", name), (0, data, ""))

    def test_as_it_comes(self):
        child = self.start("exec", *self.at, "--", "sh", "-c",
                           "for i in 1 2 3; do echo $i; sleep 0.5; done")
        times = []
        for number in (b"1\n", b"2\n", b"3\n"):
            self.assertEqual(child.stdout.readline(), number)
            times.append(time.monotonic())
        self.assertGreater(times[1] - times[0], 0.3)
        self.assertGreater(times[2] - times[1], 0.3)

    def test_to_a_file(self):
        data = os.urandom(3 << 20)
        name = self.write("data", data)
        with open(self.path("copy"), "w+b") as copy:
            self.assertEqual(self.execute("cat", name, stdout=copy)[0], 0)
            copy.seek(0)
            self.assertEqual(copy.read(), data)

    def test_reader_that_goes(self):
        """As any program: ended by SIGPIPE, and so is what it had started."""
        child = self.start("exec", *self.at, "--", "yes")
        self.assertEqual(child.stdout.readline(), b"y\n")
        child.stdout.close()
        child.stdout = None
        self.assertEqual(child.wait(timeout=10), -signal.SIGPIPE)
        self.assertEqual(child.stderr.read(), b"")
        self.assert_command_ended()

    def test_reader_that_goes_with_the_signal_ignored(self):
        child = self.start("exec", *self.at, "--", "yes", restore_signals=False,
                           preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
        child.stdout.readline()
        child.stdout.close()
        child.stdout = None
        self.assertEqual(child.wait(timeout=10), 125)
        self.assertIn(b"standard output: Broken pipe", child.stderr.read())
        self.assert_command_ended()

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            status, _, error = self.execute("yes", stdout=full)
        self.assertEqual(status, 125)
        self.assertIn("standard output: No space left on device", error)
        self.assert_command_ended()

    def test_closed(self):
        status, _, error = self.execute("echo", "x", preexec_fn=lambda: os.close(1))
        self.assertEqual(status, 125)
        self.assertIn("standard output: Bad file descriptor", error)

    def test_slow_reader_can_be_interrupted(self):
        """While nobody takes the output a signal still ends the run, and memory stays bounded."""
        child = self.start("exec", *self.at, "--", "yes")
        time.sleep(1)
        with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
            resident = next(line for line in file if line.startswith("VmRSS"))
        self.assertLess(int(resident.split()[1]), 64 << 10, resident)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(timeout=10), -signal.SIGTERM)
        self.assert_command_ended()


class Input(AgentCase):
    def test_pipe(self):
        data = os.urandom(5 << 20)
        self.assertEqual(self.execute("cat", data=data), (0, data, ""))

    def test_file(self):
        data = os.urandom(1 << 20)
        with open(self.write("data", data), "rb") as file:
            self.assertEqual(self.execute("cat", stdin=file), (0, data, ""))

    def test_nothing(self):
        self.assertEqual(self.execute("cat"), (0, b"", ""))
        self.assertEqual(self.execute("cat", stdin=None, preexec_fn=lambda: os.close(0)),
                         (0, b"", ""))

    def test_as_it_comes(self):
        child = self.start("exec", *self.at, "--", "cat", stdin=subprocess.PIPE, bufsize=0)
        for line in (b"one\n", b"two\n"):
            child.stdin.write(line)
            self.assertEqual(read_until(child.stdout.fileno(), line.__eq__, 10), line)
        child.stdin.close()
        child.stdin = None
        self.assertEqual(child.wait(timeout=10), 0)

    def test_command_that_reads_nothing(self):
        """It ends, and so do we, though the other end of our input is open and full."""
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
            self.assertEqual(self.shell("exit 3", stdin=endless.stdout), (3, b"", ""))
            endless.kill()

    def test_command_that_reads_some(self):
        data = b"first\n" + os.urandom(8 << 20)
        self.assertEqual(self.shell("head -c 6; exec 0<&-; sleep 0.3; exit 4", data=data),
                         (4, b"first\n", ""))

    def test_no_more_is_read_than_the_command_reads(self):
        """What is left in a file or pipe is the next program's, less a window."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        child = self.start("exec", *self.at, "--", "sleep", "100", stdin=reading)
        os.close(reading)
        written = 0
        last = time.monotonic()
        while time.monotonic() - last < 1:
            with contextlib.suppress(BlockingIOError):
                written += os.write(writing, bytes(65536))
                last = time.monotonic()
        os.close(writing)
        # Two windows: the protocol's and the command's own pipe, and the pipe here.
        self.assertLess(written, 1 << 20)
        child.terminate()
        self.assertEqual(child.wait(timeout=10), -signal.SIGTERM)

    def test_directory(self):
        directory = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        self.assert_fails(self.execute("cat", stdin=directory), 125, "standard input")

    def test_terminal(self):
        with terminal() as (ours, theirs):
            child = self.start("exec", *self.at, "--", "head", "-n", "1", stdin=theirs)
            os.write(ours, b"typed\n")
            output, _ = child.communicate(timeout=10)
        self.assertEqual((child.returncode, output), (0, b"typed\n"))

    def test_terminal_of_another_job(self):
        """In the background: not stopped, nothing read; in the foreground: what was typed."""
        pid, ours = pty.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self.run_background_job()
            os._exit(99)
        self.addCleanup(os.close, ours)
        read_until(ours, lambda data: b"job runs" in data, 20)
        os.write(ours, b"typed\n")
        read_until(ours, lambda data: b"still runs" in data and b"got typed" in data, 20)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def run_background_job(self):
        """As a shell with job control, whose terminal is our standard input."""
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        child = self.start("exec", *self.at, "--", "sh", "-c", "echo job runs; read x; echo got $x",
                           stdin=0, stdout=1, stderr=2, preexec_fn=lambda: os.setpgid(0, 0))
        # Until the line has been typed, and some turns of theirs.
        while not select_input():
            pass
        time.sleep(2)
        pid, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
        if pid:
            os._exit(98)
        print("still runs", flush=True)
        os.tcsetpgrp(0, child.pid)
        os._exit(child.wait(timeout=10))


def select_input():
    return select.select([0], [], [], 10)[0]


class Signals(AgentCase):
    def test_each_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                child = self.start("exec", *self.at, "--", "sh", "-c", "echo begun; exec sleep 100")
                self.assertEqual(child.stdout.readline(), b"begun\n")
                child.send_signal(number)
                self.assertEqual(child.wait(timeout=10), -number)
                self.assertEqual(child.stderr.read(), b"")
                self.assert_command_ended()

    def test_ignored_stays_ignored(self):
        child = self.start("exec", *self.at, "--", "sh", "-c", "echo begun; sleep 1; echo done",
                           preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(child.stdout.readline(), b"begun\n")
        child.send_signal(signal.SIGHUP)
        self.assertEqual(child.communicate(timeout=10)[0], b"done\n")
        self.assertEqual(child.returncode, 0)

    def test_ctrl_c(self):
        """As typed: to the whole foreground group of the terminal."""
        with terminal() as (ours, theirs):
            child = self.start("exec", *self.at, "--", "sh", "-c", "echo begun; exec sleep 100",
                               stdin=theirs, preexec_fn=own_terminal(theirs))
            self.assertEqual(child.stdout.readline(), b"begun\n")
            os.write(ours, b"\x03")
            self.assertEqual(child.wait(timeout=10), -signal.SIGINT)
        self.assert_command_ended()


class Terminal(AgentCase):
    """On a terminal of the agent's; what is asked of the host's is test_terminal.py's."""

    def begin(self, ours, theirs, *arguments):
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        child = self.start(arguments[0], *self.at, *arguments[1:], stdin=theirs, stdout=theirs,
                           stderr=theirs, preexec_fn=own_terminal(theirs))
        self.unseen = b""
        return child

    def shown(self, ours, text):
        """Waits until it is, and forgets what was shown up to its end."""
        if text not in self.unseen:
            before = self.unseen
            self.unseen += read_until(ours, lambda data: text in before + data, 20)
        self.unseen = self.unseen[self.unseen.index(text) + len(text):]

    def test_shell(self):
        with terminal() as (ours, theirs):
            before = termios.tcgetattr(theirs)
            child = self.begin(ours, theirs, "shell", "--env", "PS1=ready> ")
            # Some profiles set it to something else.
            os.write(ours, b"PS1='rea''dy> '; echo $TERM; stty size\r")
            self.shown(ours, b"xterm\r\n33 101\r\nready> ")
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
            os.write(ours, b"while ! stty size | grep -q 132; do sleep 0.1; done; stty size\r")
            self.shown(ours, b"50 132\r\nready> ")
            # The signal may come as soon as this is shown: then the shell itself is not in the
            # foreground any more.
            os.write(ours, b"sh -c 'echo be\"\"gun; exec sleep 1000'\r")
            self.shown(ours, b"begun\r\n")
            os.write(ours, b"\x03")
            self.shown(ours, b"ready> ")
            os.write(ours, b"echo status=$?; exit 9\r")
            self.shown(ours, b"status=130\r\n")
            self.assertEqual(child.wait(timeout=20), 9)
            self.assertEqual(termios.tcgetattr(theirs), before)
        self.assert_command_ended()

    def test_agent_that_ends(self):
        with terminal() as (ours, theirs):
            before = termios.tcgetattr(theirs)
            child = self.begin(ours, theirs, "exec", "-t", "--", "sh", "-c", "echo begun; cat")
            self.shown(ours, b"begun\r\n")
            self.agent.terminate()
            self.assertEqual(child.wait(timeout=20), 125)
            self.assertEqual(termios.tcgetattr(theirs), before)

    def test_escape(self):
        with terminal() as (ours, theirs):
            child = self.begin(ours, theirs, "exec", "-t", "--", "sh", "-c",
                               "echo begun; exec sleep 1000")
            self.shown(ours, b"begun\r\n")
            os.write(ours, b"x\r~.")
            self.assertEqual(child.wait(timeout=20), 125)
        self.assert_command_ended()


class Jobs(AgentCase):
    def job(self, command, *arguments, **keywords):
        return self.provium("job", command, *self.at, *arguments, **keywords)

    def begin(self, *arguments):
        status, output, error = self.job("start", *arguments)
        self.assertEqual((status, error), (0, ""))
        return output.decode().strip()

    def test_found_again(self):
        """Whoever has started it or waited for it is gone."""
        number = self.begin("--name", "one", "--input", "sh", "-c",
                            "echo out; echo err >&2; cat; exit 3")
        child = self.start("job", "wait", *self.at, "one")
        child.kill()
        child.wait()
        data = os.urandom(1 << 19)
        self.assertEqual(self.job("send", "--eof", "one", data=data), (0, b"", ""))
        self.assertEqual(self.job("output", "--follow", number), (0, b"out\n" + data, "err\n"))
        self.assertEqual(self.job("wait", "--output", "one"), (3, b"out\n" + data, "err\n"))
        self.assert_fails(self.job("wait", "one"), 125, "one")

    def test_kept_output(self):
        number = self.begin("--keep", "10", "seq", "1000")
        self.assertEqual(self.job("wait", "--output", number),
                         (0, b"\n999\n1000\n",
                          "provium: 3883 bytes of standard output are no longer kept\n"))

    def test_ends(self):
        number = self.begin("sh", "-c", "kill -SEGV $$")
        self.assertEqual(self.job("wait", number)[0], 128 + signal.SIGSEGV)
        number = self.begin("--kill-after", "0.2", "sleep", "1000")
        self.assertEqual(self.job("wait", number)[0], 124)
        number = self.begin("sleep", "1000")
        self.assertEqual(self.job("wait", "--no-wait", number),
                         (124, b"", f"provium: job {number} still runs\n"))
        self.assertEqual(self.job("wait", "--timeout", "0.2", number)[0], 124)
        self.assertEqual(self.job("send", "--signal", "STOP", number)[0], 0)
        self.assertEqual(self.job("kill", "--grace", "0.2", number), (0, b"", ""))
        self.assertEqual(self.job("start", "/no/such/program")[0], 127)
        self.assertEqual(json.loads(self.job("list", "--json")[1]), [])


class Environment(AgentCase):
    def test_variables_and_directory(self):
        result = self.shell('echo "$A|$B|$(pwd)"',
                            options=["--env", "A=1", "--env", "B=x=y z", "--cwd", self.directory])
        self.assertEqual(result, (0, f"1|x=y z|{self.directory}\n".encode(), ""))

    def test_options_of_the_command(self):
        self.assertEqual(self.provium("exec", *self.at, "echo", "--timeout", "--help", "--"),
                         (0, b"--timeout --help --\n", ""))


class Info(AgentCase):
    def test_table(self):
        status, output, error = self.provium("info", *self.at)
        self.assertEqual((status, error), (0, ""))
        lines = dict(line.split(None, 1) for line in output.decode().splitlines()
                     if not line.startswith("Boot id"))
        self.assertIn("protocol 1.", lines["Agent"])
        self.assertEqual(lines["Kernel"], f"{os.uname().release} {os.uname().machine}")
        self.assertEqual(lines["Connections"], "1")
        self.assertEqual(lines["Commands"], "0 running, 0 started")
        # No wrapper has begun it.
        self.assertIn("does not follow", lines["Root"])

    def test_json(self):
        self.execute("true")
        status, output, error = self.provium("info", *self.at, "--json")
        self.assertEqual((status, error), (0, ""))
        told = json.loads(output)
        self.assertEqual(told["kernel_release"], os.uname().release)
        self.assertEqual(told["commands_started"], 1)
        self.assertEqual(told["commands_running"], 0)
        self.assertEqual((told["own_root"], told["init_held"]), (True, False))
        self.assertGreater(told["uptime_ns"], 0)
        self.assertLess(told["memory_free"], told["memory_total"])


if __name__ == "__main__":
    tap.main()
