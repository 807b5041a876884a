"""The agent's server, natively, one of whose allocations fails, through a session in which every
request occurs.

Each request is answered, or the connection ends; what could not be done for want of memory is told.
The server ends with its connection, and nothing of it is left.

test_server.py LIBRARY SERVER STRIDE allocation
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import faults
import tap
from client import frame, new_message
from session import Session

LIBRARY, SERVER, STRIDE = sys.argv[1], sys.argv[2], int(sys.argv[3])
PATIENCE = 20
# In the session: a command that reads its input, and the request that ends that.
COMMAND, INPUT_END = 5, 10


class Server(unittest.TestCase):
    # The requests that are anyway, and why.
    refused = None

    def talk(self, peer, files):
        """What became of the session."""
        session = Session(files)
        messages = []
        peer.settimeout(PATIENCE)

        def on_message(message):
            messages.append(message)
            if message.id == INPUT_END and message.WhichOneof("body") == "error":
                # Without it the command goes on.
                peer.sendall(frame(new_message("stdin_data", INPUT_END, eof=True,
                                               target={"request": COMMAND}).SerializeToString()))

        try:
            peer.sendall(session.bytes)
            finals, _ = session.receive_finals(peer, on_message)
        except ConnectionError:
            finals = {}
        if len(finals) < len(session.ids):
            said = [message for message in messages if message.WhichOneof("body") == "error" and
                    not message.id]
            return "the connection ended, and it was told why" if said else "the connection ended"
        errors = {(message.id, f"{message.error.errno_name} {message.error.text}".replace(files, ""))
                  for message in messages if message.WhichOneof("body") == "error"}
        if self.refused is None:
            self.refused = errors
        fresh = [text for _, text in errors - self.refused]
        if not fresh:
            return "all answered"
        # Others follow from that.
        self.assertRegex("\n".join(fresh), "ENOMEM|no memory")
        return "all answered, one of them that there is no memory"

    def one(self, nth):
        """How many allocations there were, and what became of the server."""
        files = tempfile.mkdtemp(prefix="provium-")
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [*faults.command(LIBRARY, faults.ALLOCATION, nth, SERVER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE)
        try:
            with ours:
                outcome = self.talk(ours, files)
            log = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
            faults.check(self, faults.ALLOCATION, log)
            if process.returncode:
                self.assertEqual(process.returncode, 1, log)
                outcome = "the server did not start"
            if outcome == "the connection ended":
                self.assertTrue(faults.said(log), "it has not said why")
            self.assertEqual([name for name in os.listdir(files) if name.startswith(".provium")],
                             [])
            return faults.count(faults.ALLOCATION, log), outcome
        except (AssertionError, TimeoutError, subprocess.TimeoutExpired) as error:
            process.kill()
            raise AssertionError(f"{nth}: {error!r}\n{process.communicate()[1]}") from error
        finally:
            shutil.rmtree(files)

    def test_allocations(self):
        total, outcome = self.one(0)
        self.assertEqual(outcome, "all answered")
        faults.sweep(self, "allocation", range(1, total + 1, STRIDE),
                     lambda nth: self.one(nth)[1])


if __name__ == "__main__":
    tap.main()
