"""provium-vsock, one of whose system calls fails, through a session of streams between host and guest.

As test_agent.py. Each time either all streams are as ever, or some end before, or the session of the
front end or the program ends and it has said why. Whatever failed, the next streams are as ever;
it ends when its front end does, and nothing of it is left.

test_vsock.py INJECT PROVIUM-VSOCK STRIDE [CLASS...]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import faults
import tap
from vsock_machine import Ended, Guest, Hung, Machine, NO_MORE_SENT, PATIENCE, Refused

INJECT, VSOCK, STRIDE = sys.argv[1], sys.argv[2], int(sys.argv[3])
CLASSES = sys.argv[4:] or faults.NO_MEDIA
HOST_PORT = 1234
# Where what is inherited is wrong, too.
OWN_FAILURES = {1, 2}
# That who is at the other end has gone is nothing to tell of.
QUIET = {("a stream ended", "EPIPE"), ("a stream ended", "ECONNRESET"),
         ("the session ended", "ECONNRESET")}
# No two parts of it are alike. More than the sockets and the program's buffer take together.
DATA = bytes(range(256)) * 31 + bytes(range(251)) * 4000


class Streams:
    """What goes on between host and guest. Each part is true if it went as ever, and false if a
    stream of it ended before; all that came is right."""

    def __init__(self, test, machine):
        self.test, self.machine, self.guest = test, machine, machine.guest
        self.accepted = machine.listen(HOST_PORT)

    def settle(self):
        """The guest knows of the end of each stream."""
        self.machine.run(lambda: not self.guest.peers, "the streams' ends")

    def open(self, port=Guest.ECHO):
        """A client of the host's; its ended says whether it was refused."""
        client = self.machine.dial()
        client.send(f"CONNECT {port}\n".encode())
        self.machine.run(lambda: b"\n" in client.received or client.ended, "the answer")
        if not client.ended:
            self.test.assertRegex(bytes(client.received), rb"^OK [0-9]+\n$")
        client.received.clear()
        return client

    def wait_end(self, client):
        self.machine.run(lambda: client.ended, "the client's end")
        client.close()
        self.settle()

    def echo(self):
        """From the host; it ends its sending first."""
        client = self.open()
        if not client.ended:
            client.send(DATA[:200000])
            self.machine.run(lambda: client.ended or len(client.received) == 200000, "the echo")
            client.shut()
        self.wait_end(client)
        self.test.assertTrue(DATA[:200000].startswith(client.received))
        return len(client.received) == 200000

    def from_guest(self):
        """To a host that does not read until all buffers are full; the guest ends its sending first."""
        peer = self.guest.connect(HOST_PORT)
        self.machine.run(lambda: self.accepted and peer.established or peer.ended, "the answer")
        if not self.accepted:
            return False
        client = self.accepted.pop()
        client.pause(True)
        self.guest.write(peer, DATA)
        self.machine.run(lambda: peer.ended or peer.credit() == 0, "the buffers are full")
        client.pause(False)
        self.guest.shut(peer, NO_MORE_SENT)
        self.machine.run(lambda: client.ended, "the guest's data")
        client.socket.setblocking(True)
        try:
            client.socket.sendall(b"rest")
        except ConnectionError:
            pass
        client.close()
        self.settle()
        self.test.assertTrue(DATA.startswith(client.received))
        return client.received == DATA and peer.received == b"rest"

    def reset(self):
        """By the guest."""
        client = self.open()
        good = not client.ended
        for peer in list(self.guest.peers.values()):
            self.guest.reset(peer)
        self.wait_end(client)
        return good

    def close_unread(self):
        """By the host, to which more is on the way."""
        client = self.open()
        good = not client.ended
        client.pause(True)
        client.send(DATA)
        self.machine.run(lambda: client.ended or len(client.unsent) < len(DATA) // 2, "some data")
        client.close()
        self.settle()
        return good

    def refused(self):
        """Nobody serves the port, of the guest's or of the host's."""
        client = self.open(1)
        self.test.assertTrue(client.ended)
        peer = self.guest.connect(HOST_PORT + 1)
        self.machine.run(lambda: peer.ended, "the refusal")
        self.wait_end(client)
        return True

    def run(self):
        parts = (self.echo, self.from_guest, self.reset, self.close_unread, self.refused)
        # All are made.
        return all([part() for part in parts])


class Faults(unittest.TestCase):
    def start(self, fault, nth, log):
        def start(arguments, fds):
            return subprocess.Popen([*faults.command(INJECT, fault, nth, VSOCK), *arguments],
                                    pass_fds=fds, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=log)

        return start

    def talk(self, machine, fault, nth):
        """What became of the session: of a round of streams, and another where something may fail."""
        try:
            machine.plug()
            pid = faults.program_pid(machine.process, fault)
            machine.sync()
            fds = faults.count_fds(pid)
            streams = Streams(self, machine)
            good = streams.run()
            if nth > 0:
                # With the first round's number of calls it cannot be both.
                self.assertTrue(streams.run() or good, "what failed once has lasted")
            machine.sync()
            self.assertEqual(faults.count_fds(pid), fds)
            machine.unplug()
            return "all as ever" if good else "a stream ended"
        except Refused:
            return "the device was refused"
        except Ended:
            return "the session ended"

    def one(self, fault, nth):
        """How many calls could have failed, and what became of the program."""
        directory = tempfile.mkdtemp(prefix="provium-")
        log_path = os.path.join(directory, "log")
        with open(log_path, "wb") as log:
            machine = Machine(directory, self.start(fault, nth, log))
        try:
            outcome = self.talk(machine, fault, nth)
            machine.close()
            if outcome not in ("all as ever", "a stream ended"):
                # It may wait for the next front end.
                machine.end_life()
            status = machine.process.wait(PATIENCE)
            with open(log_path, encoding="utf-8", errors="replace") as file:
                log = file.read()
            faults.check(self, fault, log)
            if status == 0:
                self.assertFalse(os.path.exists(machine.path))
            else:
                self.assertIn(status, OWN_FAILURES)
                outcome = "the program ended"
            if outcome != "all as ever" and (outcome, fault) not in QUIET:
                self.assertTrue(faults.said(log), "it has not said why")
            return faults.count(fault, log), outcome
        except (AssertionError, Hung, subprocess.TimeoutExpired) as error:
            with open(log_path, encoding="utf-8", errors="replace") as file:
                raise AssertionError(f"{fault} {nth}: {error!r}\n{file.read()}") from error
        finally:
            machine.process.kill()
            machine.process.wait()
            machine.finish()
            shutil.rmtree(directory)


def add(fault):
    def test(self):
        faults.need(INJECT)
        first = faults.first_own(INJECT, fault, VSOCK, "--version")
        total, outcome = self.one(fault, 0)
        self.assertEqual(outcome, "all as ever")
        faults.sweep(self, fault, range(first, total + 1, STRIDE),
                     lambda nth: self.one(fault, nth)[1])

    setattr(Faults, "test_" + fault, test)


for name in CLASSES:
    add(name)

if __name__ == "__main__":
    tap.main()
