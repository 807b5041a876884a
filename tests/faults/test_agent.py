"""The agent, one of whose system calls fails, through a session in which every request occurs.

For each way in which calls fail (inject.c) the first call that can is made to fail, then the second,
and so on; STRIDE takes every so-manieth of them. Each time the session comes to its end, by answers or
by the connection's end, a new connection is served, the agent ends when it is told to, nothing of it
is left, and one that could not start has said why.

test_agent.py INJECT AGENT STRIDE [CLASS...]
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import faults
import tap
from client import Client, Ended, Timeout
from session import Session

INJECT, AGENT, STRIDE = sys.argv[1], sys.argv[2], int(sys.argv[3])
CLASSES = sys.argv[4:] or [*faults.CLASSES, "no-process"]
PATIENCE = 20


class Run:
    """An agent under inject, from its start to its end."""

    def __init__(self, fault, nth):
        self.directory = tempfile.mkdtemp(prefix="provium-")
        self.path = os.path.join(self.directory, "agent.sock")
        self.files = os.path.join(self.directory, "files")
        os.mkdir(self.files)
        self.log = open(os.path.join(self.directory, "log"), "w+b")
        self.process = subprocess.Popen(
            [INJECT, fault, str(nth), AGENT, "--listen", f"unix:{self.path}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)

    def read_log(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def connect(self):
        """A connection that has had its READY; None: the agent has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            try:
                return Client(self.path)
            except (FileNotFoundError, ConnectionRefusedError, Ended):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        return None

    def talk(self):
        """The session; how many of its requests were answered. What is not is an error's text."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(PATIENCE)
            seen = []
            try:
                peer.connect(self.path)
                session = Session(self.files)
                peer.sendall(session.bytes)
                return len(session.receive_finals(peer, seen.append)[0])
            except ConnectionError:
                return 0
            except TimeoutError as error:
                finals = {message.id for message in seen}
                raise TimeoutError(f"no answer to {session.ids - finals}") from error

    def stop(self):
        """Its status, when all its processes have ended."""
        for pid in faults.children(self.process.pid):
            os.kill(pid, signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def finish(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory)


class Faults(unittest.TestCase):
    def look(self, run):
        """Whether it serves; why its server was started again, if it was."""
        client = run.connect()
        self.assertIsNotNone(client, "the agent has ended")
        with client:
            self.assertEqual(client.call("ping", payload=b"p").body.payload, b"p")
            # A worker that nobody has connected to waits half a minute.
            for worker in client.call("worker_list").body.workers:
                client.call("worker_kill", worker=worker.worker)
            return client.ready.restart_reason

    def one(self, fault, nth):
        """How many calls could have failed, which one did, and what became of the agent."""
        run = Run(fault, nth)
        try:
            client = run.connect()
            outcome = "did not start"
            if client:
                client.close()
                answered = run.talk()
                try:
                    reason = self.look(run)
                except Ended:
                    # It was this connection that was hit.
                    reason = self.look(run)
                outcome = f"server ended: {reason}" if reason else \
                    "all answered" if answered == len(Session(run.files).ids) else "some answered"
                self.assertEqual(run.stop(), 0)
                self.assertEqual([name for name in os.listdir(run.files)
                                  if name.startswith(".provium")], [])
            else:
                run.process.wait(PATIENCE)
            log = run.read_log()
            faults.check(self, fault, log)
            self.assertNotRegex(outcome, r"signal (4|6|7|8|11)\b")
            if outcome == "did not start":
                self.assertTrue(faults.said(log), "it has not said why")
            return faults.count(fault, log), outcome
        except (AssertionError, Timeout, TimeoutError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"{fault} {nth}: {error!r}\n{run.read_log()}") from error
        finally:
            run.finish()


def add(fault):
    def test(self):
        # The order of things varies, and with it the number of calls.
        total, _ = self.one(fault, 0)
        faults.sweep(self, fault, range(1, total + 1, STRIDE), lambda nth: self.one(fault, nth)[1])

    setattr(Faults, "test_" + fault.replace("-", "_"), test)


for name in CLASSES:
    add(name)

if __name__ == "__main__":
    tap.main()
