"""A running agent for the tests of a class, on a Unix socket of this machine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from client import Client

AGENT = sys.argv[1]
SETTLE = 10


def wait_until(condition, what, timeout=SETTLE):
    """For what nobody tells of: the state of other processes."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.001)


def is_running(pid):
    """Neither gone nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    found = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="utf-8") as file:
            found.update(int(child) for child in file.read().split())
    return found


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class AgentCase(unittest.TestCase):
    """Fails where a test leaves fds, children or connections behind, or ends the server."""

    # What the agent asks for; bytes.
    token = None
    # Called in its process just before it is executed.
    prepare = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="provium-")
        cls.path = os.path.join(cls.directory, "agent.sock")
        cls.log = open(os.path.join(cls.directory, "log"), "w+b")
        command = [AGENT, "--listen", f"unix:{cls.path}", "--log", "info"]
        if cls.token:
            command += ["--token", os.path.join(cls.directory, "token")]
            with open(command[-1], "wb") as file:
                file.write(cls.token)
        cls.process = subprocess.Popen(command,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=cls.log, preexec_fn=cls.prepare)
        # Also where what follows fails.
        cls.addClassCleanup(cls.stop)
        wait_until(cls.listens, "the agent listens")
        with Client(cls.path, token=cls.token) as client:
            cls.server = client.ready.pid
            wait_until(lambda: client.call("info").body.connections == 1, "no other is open")
            # Without this connection.
            cls.fds = cls.count_fds() - 1

    @classmethod
    def listens(cls):
        if cls.process.poll() is not None:
            raise AssertionError(f"the agent ended with status {cls.process.returncode}")
        try:
            Client(cls.path).close()
        except (FileNotFoundError, ConnectionRefusedError):
            # The name is there before the socket listens.
            return False
        return True

    @classmethod
    def stop(cls):
        cls.process.send_signal(signal.SIGTERM)
        try:
            status = cls.process.wait(SETTLE)
        finally:
            cls.process.kill()
            cls.log.close()
            left = os.path.exists(cls.path)
            shutil.rmtree(cls.directory)
        assert status == 0, f"the agent ended with status {status}"
        assert not left, "the agent left its socket behind"

    def setUp(self):
        self.clients = []
        self.files = tempfile.mkdtemp(prefix="provium-")
        # When the agent is done with them.
        self.addCleanup(shutil.rmtree, self.files)

    def tearDown(self):
        for client in self.clients:
            client.close()
        self.assertTrue(is_running(self.server), "the server has ended")
        wait_until(lambda: self.count_fds() == self.fds, "the agent closes its fds")
        wait_until(lambda: not children(self.server), "the agent's children are gone")
        with Client(self.path) as client:
            self.assertEqual(client.ready.pid, self.server)

    @classmethod
    def count_fds(cls):
        return len(os.listdir(f"/proc/{cls.server}/fd"))

    def connect(self, **options):
        client = Client(self.path, token=self.token, **options)
        self.clients.append(client)
        return client

    def file(self, name="file"):
        return os.path.join(self.files, name).encode()

    def assert_error(self, request, code, errno_name=None):
        self.assertEqual(request.kind, "error", request.final)
        error = request.final.error
        self.assertEqual(error.code, code, error.text)
        self.assertTrue(error.text)
        if errno_name is not None:
            self.assertEqual(error.errno_name, errno_name)
            self.assertTrue(error.operation)
        else:
            self.assertFalse(error.HasField("errno_name"))
        return error

    def assert_exited(self, request, status=0):
        self.assertEqual(request.kind, "exec_result", request.final)
        self.assertEqual(request.body.outcome, 1, request.final)
        self.assertEqual(request.body.exit_code, status, request.stderr)
        return request.body
