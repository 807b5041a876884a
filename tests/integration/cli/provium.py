"""Runs the provium command for the tests, and knows what a run must not leave behind."""

import contextlib
import fcntl
import hashlib
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest
import uuid

PROGRAM = os.environ["PROVIUM"]

# What every process that a test starts has in its environment; so also what provium starts.
MARK = f"PROVIUM_TEST={uuid.uuid4()}"

# Longer than any run here should take, also under TCG on a busy machine, and than the 360 s after which
# provium itself gives up a boot, and says what the guest has said.
TIMEOUT = 400


def marked_processes():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read()
            if MARK.encode() in environment.split(b"\0") and int(pid) != os.getpid():
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    found.append(f"{pid}: {file.read().replace(bytes(1), b' ').decode()}")
    return found


def processes_of(child, name):
    """The pids of the child's own children of that name (proc(5), comm has 15 bytes)."""
    found = []
    with open(f"/proc/{child.pid}/task/{child.pid}/children", encoding="ascii") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read().strip() == name[:15]:
                    found.append(int(pid))
    return found


def on_kernel(directory):
    """For the environment: what runs boots this kernel, unless it is told of another."""
    return {"PROVIUM_KERNEL": os.path.join(directory, "vmlinuz"), "PROVIUM_MODULES": ""}


class Case(unittest.TestCase):
    """A test with a temporary directory, in which everything happens, and nothing left after it."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="cli-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.temporary = self.path("tmp")
        os.mkdir(self.temporary)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def environment(self, **changes):
        name, value = MARK.split("=")
        environment = {**os.environ, name: value, "TMPDIR": self.temporary, "TERM": "xterm"}
        environment.update(changes)
        return environment

    def start(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("env", self.environment())
        prepare = options.pop("preexec_fn", lambda: None)

        def begin():
            default_signals()
            prepare()
        child = subprocess.Popen([PROGRAM, *arguments], preexec_fn=begin, **options)
        self.addCleanup(self.reap, child)
        return child

    def reap(self, child):
        if child.poll() is None:
            child.kill()
        child.wait()
        for file in (child.stdin, child.stdout, child.stderr):
            if file:
                with contextlib.suppress(OSError):
                    file.close()

    def provium(self, *arguments, data=None, **options):
        """Runs it to its end: (status, standard output, standard error); a signal is -N."""
        if data is not None:
            options["stdin"] = subprocess.PIPE
        child = self.start(*arguments, **options)
        output, error = child.communicate(data, timeout=TIMEOUT)
        return child.returncode, output, (error or b"").decode()

    def assert_fails(self, result, status, *texts):
        """Nothing on standard output, the status, and a message with each of the texts."""
        self.assertEqual(result[0], status, result[2])
        self.assertEqual(result[1], b"")
        self.assertIn("provium: ", result[2])
        for text in texts:
            self.assertIn(text, result[2])

    def assert_nothing_left(self, seconds=1):
        """Processes that have been killed are gone in a moment, not at once."""
        end = time.monotonic() + seconds
        while marked_processes() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(marked_processes(), [])
        self.assertEqual(os.listdir(self.temporary), [])


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def read_until(fd, ready, seconds):
    """Reads from fd until ready(what was read); everything that was read."""
    end = time.monotonic() + seconds
    data = b""
    while not ready(data):
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise AssertionError(f"after {seconds} s only {data[-2000:]!r}")
        try:
            piece = os.read(fd, 65536)
        except OSError:  # A terminal whose other end is closed: EIO.
            piece = b""
        if not piece:
            raise AssertionError(f"ended with {data[-2000:]!r}")
        data += piece
    return data


@contextlib.contextmanager
def terminal():
    """(our end, the program's end) of a pseudo-terminal that changes nothing in what is written."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        with contextlib.suppress(OSError):
            os.close(theirs)


def is_raw(fd):
    return not termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def default_signals():
    """
    In a child that is to be sent signals: what ignored them for the tests (nohup, a script that
    started them in its background) is not to have ignored them for the program, too.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def own_terminal(fd):
    """For preexec_fn: a session of its own, with fd as its terminal and standard error."""
    def prepare():
        os.setsid()
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    return prepare

