#!/usr/bin/python3
"""Writes the seeds of the vsock targets: vsock_corpus.py CORPUS-DIRECTORY.

A session as QEMU has it, and a guest that opens streams, sends and closes: what the fuzzer would
be long in finding. Formats: vsock_messages.c and vsock_virtqueue.c.
"""

import os
import struct
import sys

EVENT, MEMORY = 1, 0  # kinds of fds


def message(request, payload=b"", fds=(), flags=0x9):
    return bytes([request, flags, len(payload), len(fds), *fds]) + payload


def session():
    base = 1 << 20
    region = struct.pack("<IIQQQQ", 1, 0, 0, 65536, base, 0)
    state, integer = struct.Struct("<II"), struct.Struct("<Q")
    yield message(1)
    yield message(15)
    yield message(16, integer.pack(0x2229), flags=1)
    yield message(17)
    yield message(21, fds=[2])
    yield message(3)
    yield message(24, struct.pack("<III", 0, 8, 0) + bytes(8))
    yield message(2, integer.pack(1 << 32 | 1 << 30))
    yield message(5, region, fds=[MEMORY])
    for ring in (0, 1):
        parts = base + ring * 16384
        yield message(8, state.pack(ring, 64))
        yield message(10, state.pack(ring, 0))
        yield message(9, struct.pack("<IIQQQQ", ring, 0, parts, parts + 8192, parts + 4096, 0))
        yield message(12, integer.pack(ring), fds=[EVENT])
        yield message(13, integer.pack(ring), fds=[EVENT])
        yield message(14, integer.pack(ring), fds=[EVENT])
    for ring in (0, 1):
        yield message(18, state.pack(ring, 1))
    yield b"\xff"
    yield message(5, region, fds=[MEMORY])
    yield b"\xff"
    for ring in (0, 1):
        yield message(18, state.pack(ring, 0))
        yield message(11, state.pack(ring, 0))
    yield b"\xfe"
    yield message(34)


RING_SIZE = 16
BUFFERS = 8192 - 2048  # in the guest's memory; below are the rings, 1024 bytes for each part
REQUEST, RESPONSE, RST, SHUTDOWN, RW, UPDATE, CREDIT_REQUEST = range(1, 8)


def write(offset, data):
    return b"".join(struct.pack("<BHB", 0, offset + at, len(data[at:at + 200])) + data[at:at + 200]
                    for at in range(0, len(data), 200))


def receive_buffers():
    """All receive buffers: descriptors 2n and 2n + 1 are one, half of them across the regions."""
    table = available = b""
    for slot in range(RING_SIZE // 2):
        address = BUFFERS + slot * 300
        table += struct.pack("<QIHH", address, 44, 3, 2 * slot + 1)
        table += struct.pack("<QIHH", address + 44, 200, 2, 0)
        available += struct.pack("<H", 2 * slot)
    return write(0, table) + write(1028, available) + bytes([1, 0, RING_SIZE // 2])


def packet(number, op, port=1000, host_port=4, payload=b"", flags=0, length=None):
    """Sends the guest's packet; number counts them."""
    slot = number % (RING_SIZE // 2)
    address = 12000 + slot * 300
    header = struct.pack("<QQIIIHHIII", 3, 2, port, host_port,
                         len(payload) if length is None else length, 1, op, flags, 65536, 0)
    table = struct.pack("<QIHH", address, 44, 1 if payload else 0, 2 * slot + 1)
    table += struct.pack("<QIHH", address + 44, len(payload), 0, 0)
    return (write(address, header + payload) + write(3072 + 32 * slot, table) +
            write(4096 + 4 + 2 * (number % RING_SIZE), struct.pack("<H", 2 * slot)) +
            bytes([1, 1, 1, 2]))


def streams():
    start = bytes([4]) + receive_buffers()
    connect, process = bytes([3, 7]), bytes([2])
    first_port = 1 << 30
    yield "guest-opens", start + packet(0, REQUEST) + packet(1, RW, payload=b"x" * 100) + \
        packet(2, SHUTDOWN, flags=3)
    yield "guest-opens-later", start + packet(0, REQUEST, host_port=5) + bytes([8, 0, 2]) + \
        packet(1, CREDIT_REQUEST, host_port=5) + packet(2, RST, host_port=5)
    yield "host-opens", start + connect + process + \
        packet(0, RESPONSE, port=7, host_port=first_port) + bytes([4, 0, 5]) + process + \
        packet(1, RW, port=7, host_port=first_port, payload=b"y" * 200) + bytes([5, 0]) + process + \
        packet(2, UPDATE, port=7, host_port=first_port) + bytes([7, 0]) + process + \
        packet(3, RST, port=7, host_port=first_port)
    yield "host-slow", start + packet(0, REQUEST) + \
        b"".join(packet(n, RW, payload=b"z" * 200) for n in range(1, 10)) + bytes([6, 0, 200]) + \
        packet(10, SHUTDOWN, flags=2) + bytes([5, 0]) + process + bytes([8, 0]) + process
    yield "nobody", start + packet(0, RW, payload=b"?") + packet(1, 9) + connect + process + \
        packet(2, RST, port=7, host_port=first_port)
    yield "restart", start + packet(0, REQUEST) + bytes([10]) + bytes([9, 0, 9, 1]) + process + \
        packet(1, RW, payload=b"x")
    yield "too-long", start + packet(0, REQUEST) + packet(1, RW, payload=b"x", length=1 << 31)


def main():
    for name, data in [("session", b"".join(session()))]:
        put("vsock-messages", name, data)
    for name, data in streams():
        put("vsock-virtqueue", name, data)


def put(target, name, data):
    directory = os.path.join(sys.argv[1], target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as seed:
        seed.write(data)


if __name__ == "__main__":
    main()
