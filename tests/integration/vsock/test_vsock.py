"""provium-vsock under QEMU with real guests.

    test_vsock.py PROVIUM-VSOCK GUEST short|full KERNEL-DIRECTORY...    full: a GiB each way

Bulk data with every byte checked, 200 streams at once, half closes, slow readers, ends that vanish,
guests that are paused, devices that come and go. Throughput and round trip are told as notes: the
machine's speed swings, so they are compared with the guest's own loopback.
"""

import errno
import os
import signal
import socket
import sys
import time
import unittest

import tap
from machine import Failure, Machine, read_all

MIB = 1 << 20
ECHO, SINK, STALL, RESUME, SOURCE, HALF, DIAL, DEAF, VANISH, STATUS, LOOPBACK = \
    7, 9, 11, 12, 19, 20, 30, 31, 40, 41, 50

PROGRAM, GUEST, LENGTH, *KERNELS = sys.argv[1:]


def make_pattern(period=65521):
    """What guest.c calls the pattern, often enough that any MiB of it is in one piece."""
    state, pattern = 1, bytearray()
    for _ in range(period):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        pattern.append(state >> 16 & 0xFF)
    return period, bytes(pattern) * (MIB // period + 2)


PERIOD, PATTERN = make_pattern()


def piece(offset, length):
    return memoryview(PATTERN)[offset % PERIOD:offset % PERIOD + length]


def send_pattern(stream, length, offset=0):
    while offset < length:
        part = min(MIB, length - offset)
        stream.sendall(piece(offset, part))
        offset += part


def read_pattern(stream, length=None, offset=0):
    """Reads up to an offset, or to the end, and checks every byte; where it got to."""
    buffer = memoryview(bytearray(MIB))
    while length is None or offset < length:
        count = stream.recv_into(buffer if length is None else buffer[:min(MIB, length - offset)])
        if count == 0:
            break
        if buffer[:count] != piece(offset, count):
            raise Failure("wrong bytes between %d and %d" % (offset, offset + count))
        offset += count
    return offset


def note(text):
    print("# " + text, flush=True)


class Streams:
    """The tests; a class for each kernel follows."""

    bulk = 1024 * MIB if LENGTH == "full" else 128 * MIB

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(cls.kernel, GUEST, PROGRAM)
        cls.resident, cls.fds = cls.machine.program_status()

    @classmethod
    def tearDownClass(cls):
        cls.machine.close()

    def setUp(self):
        # What was there when the test ended badly.
        self.addCleanup(self.show_log)

    def show_log(self):
        for line in self.machine.log_text().splitlines():
            note(line)

    def await_no_processes(self):
        """In the guest every connection has a process: all have to notice their ends."""
        self.machine.wait_for(lambda: self.machine.ask(STATUS)[0] == "0", "an idle guest", 20)

    def echo(self, length=100000):
        with self.machine.connect(ECHO) as stream:
            stream.sendall(piece(0, length))
            self.assertEqual(read_pattern(stream, length), length)

    def test_bulk_from_the_guest(self):
        start = time.monotonic()
        with self.machine.connect(SOURCE) as stream:
            stream.sendall(b"%d\n" % self.bulk)
            self.assertEqual(read_pattern(stream), self.bulk)
        seconds = time.monotonic() - start
        microseconds, good = self.machine.ask(LOOPBACK, b"%d\n" % (64 * MIB))
        self.assertEqual(good, "good")
        note("%d MiB from the guest: %.1f MiB/s; the guest's loopback: %.1f MiB/s" %
             (self.bulk // MIB, self.bulk / MIB / seconds, 64e6 / int(microseconds)))

    def test_bulk_to_the_guest(self):
        start = time.monotonic()
        with self.machine.connect(SINK) as stream:
            send_pattern(stream, self.bulk)
            stream.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(stream), b"%d good\n" % self.bulk)
        note("%d MiB to the guest: %.1f MiB/s" %
             (self.bulk // MIB, self.bulk / MIB / (time.monotonic() - start)))

    def test_round_trips(self):
        times = []
        with self.machine.connect(ECHO) as stream:
            for _ in range(1000):
                start = time.perf_counter()
                stream.sendall(b"x" * 64)
                self.assertEqual(len(stream.recv(64, socket.MSG_WAITALL)), 64)
                times.append(time.perf_counter() - start)
        connects = []
        for _ in range(200):
            start = time.perf_counter()
            self.machine.connect(ECHO).close()
            connects.append(time.perf_counter() - start)
        note("64 bytes there and back: %.3f ms; connect: %.3f ms (medians)" %
             (sorted(times)[500] * 1e3, sorted(connects)[100] * 1e3))
        self.await_no_processes()

    def test_many_at_once(self):
        streams = [self.machine.connect(ECHO) for _ in range(200)]
        for number, stream in enumerate(streams):
            stream.sendall(piece(number, 10000))
        for number, stream in enumerate(streams):
            self.assertEqual(read_pattern(stream, number + 10000, number), number + 10000)
            stream.close()
        self.await_no_processes()

    def test_host_half_closes(self):
        with self.machine.connect(ECHO) as stream:
            stream.sendall(piece(0, 150000))
            stream.shutdown(socket.SHUT_WR)
            self.assertEqual(read_pattern(stream), 150000)

    def test_guest_half_closes(self):
        with self.machine.connect(HALF) as stream:
            stream.sendall(b"300000\n")
            self.assertEqual(read_pattern(stream), 300000)
            send_pattern(stream, 5 * MIB)
        self.await_no_processes()
        self.assertEqual(self.machine.ask(STATUS)[1:], [str(5 * MIB), "good"])

    def test_guest_ends_its_receiving(self):
        with self.machine.connect(DEAF) as stream:
            stream.sendall(b"%d\n" % MIB)
            # Not an error of another kind: the time-out would be one, too.
            with self.assertRaises(BrokenPipeError):
                while True:
                    stream.sendall(bytes(65536))
            self.assertEqual(read_pattern(stream), MIB)

    def test_slow_guest(self):
        with self.machine.connect(STALL) as stalled:
            stalled.settimeout(1)
            sent = 0
            with self.assertRaises(TimeoutError):
                while True:
                    sent += stalled.send(piece(sent, 65536))
            start = time.monotonic()
            for _ in range(20):
                self.echo()
            self.assertLess(time.monotonic() - start, 20)
            self.machine.connect(RESUME).close()
            stalled.settimeout(30)
            send_pattern(stalled, 8 * MIB, sent)
            stalled.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(stalled), b"%d good\n" % (8 * MIB))

    def test_slow_host(self):
        with self.machine.connect(SOURCE) as stalled:
            stalled.sendall(b"%d\n" % (8 * MIB))
            time.sleep(0.3)
            for _ in range(20):
                self.echo()
            before = self.machine.program_seconds()
            time.sleep(0.5)
            self.assertLess(self.machine.program_seconds() - before, 0.05)
            self.assertEqual(read_pattern(stalled), 8 * MIB)

    def test_guest_vanishes(self):
        with self.machine.connect(VANISH) as stream:
            self.assertEqual(read_pattern(stream), MIB)

    def test_host_vanishes(self):
        for _ in range(10):
            with self.machine.connect(SOURCE) as stream:
                stream.sendall(b"%d\n" % (1 << 40))
                read_pattern(stream, MIB)
            with self.machine.connect(ECHO) as stream:
                stream.sendall(bytes(200000))
        self.await_no_processes()

    def test_nobody_listens(self):
        start = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            self.machine.connect(4)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(self.machine.ask(DIAL, b"5001 1\n"),
                         ["0", "errno=%d" % errno.ECONNRESET])

    def test_guest_dials(self):
        path = self.machine.path("vsock_5000")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(20)
            with self.machine.connect(DIAL) as control:
                control.sendall(b"5000 %d\n" % (4 * MIB))
                stream, _ = listener.accept()
                with stream:
                    stream.settimeout(20)
                    self.assertEqual(read_pattern(stream), 4 * MIB)
                    send_pattern(stream, 3 * MIB)
                self.assertEqual(read_all(control), b"%d good\n" % (3 * MIB))
        os.unlink(path)

    def test_paused_guest(self):
        with self.machine.connect(SOURCE) as stream, self.machine.connect(SINK) as sink:
            stream.sendall(b"%d\n" % (24 * MIB))
            read_pattern(stream, MIB)
            for pause in range(3):
                self.machine.command("stop")
                sink.sendall(piece(pause * 30000, 30000))
                time.sleep(0.1)
                self.machine.command("cont")
                read_pattern(stream, (2 + pause) * MIB, (1 + pause) * MIB)
            self.assertEqual(read_pattern(stream, offset=4 * MIB), 24 * MIB)
            sink.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(sink), b"90000 good\n")

    def test_device_is_taken_out_and_put_in(self):
        def deleted(message):
            return (message.get("event") == "DEVICE_DELETED" and
                    message["data"].get("device") == "vs0")

        for _ in range(3):
            with self.machine.connect(ECHO) as stream:
                stream.sendall(b"x")
                self.assertEqual(stream.recv(1), b"x")
                self.machine.command("device_del", event=deleted, id="vs0")
                self.assertEqual(stream.recv(1), b"")
            # A client that is early is held until the guest has its device.
            with socket.socket(socket.AF_UNIX) as early:
                early.settimeout(15)
                early.connect(self.machine.path("vsock"))
                early.sendall(b"CONNECT %d\n" % ECHO)
                self.machine.command("device_add", driver="vhost-user-vsock-pci", id="vs0",
                                     bus="rp0", chardev="c0")
                self.assertTrue(early.recv(32).startswith(b"OK "))
            self.echo()
        self.await_no_processes()

    def test_zz_nothing_is_left(self):
        """After all others but one."""
        self.await_no_processes()
        self.machine.wait_for(lambda: self.machine.program_status()[1] == self.fds, "closed fds")
        resident, _ = self.machine.program_status()
        note("provium-vsock's resident memory: %d KiB, then %d" % (self.resident, resident))
        # The guest's memory that it has touched counts: a few rings of buffers.
        self.assertLess(resident - self.resident, 16 * 1024)
        before = self.machine.program_seconds()
        time.sleep(1)
        self.assertLess(self.machine.program_seconds() - before, 0.05)

    def test_zzz_qemu_dies(self):
        with self.machine.connect(SOURCE) as stream, self.machine.connect(ECHO) as other:
            stream.sendall(b"300000\n")
            time.sleep(1)
            self.machine.qemu.send_signal(signal.SIGKILL)
            # What was held (within the window) is delivered, and then the end.
            self.assertEqual(read_pattern(stream), 300000)
            self.assertEqual(other.recv(1), b"")
        self.assertEqual(self.machine.program.wait(10), 0)
        self.assertFalse(os.path.exists(self.machine.path("vsock")))
        self.assertFalse(os.path.exists(self.machine.path("vhost")))
        self.assertEqual(self.machine.log_text(), "")


for directory in KERNELS:
    name = "Linux_" + os.path.basename(directory).replace(".", "_")
    globals()[name] = type(name, (Streams, unittest.TestCase),
                           {"kernel": directory, "__module__": __name__})

if __name__ == "__main__":
    tap.main()
