"""A machine for provium-vsock, in place of QEMU: its front end, and a guest in the memory they share.

The guest serves some ports as Virtio 1.2, 5.10, has it: what comes is sent back. One thread does all
of it, woken by the program's notifications and by the sockets of the host's processes.
"""

import array
import collections
import mmap
import os
import selectors
import socket
import struct
import time

GUEST_CID = 42
HOST_CID = 2
GUEST_ADDRESS = 0x40000000
USER_ADDRESS = 0x7f0000000000

# vhost-user
(GET_FEATURES, SET_FEATURES, SET_OWNER) = (1, 2, 3)
SET_MEM_TABLE = 5
(SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE) = (8, 9, 10, 11)
(SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR) = (12, 13, 14)
(GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES) = (15, 16)
SET_VRING_ENABLE = 18
SET_BACKEND_REQ_FD = 21
GET_CONFIG = 24
VERSION, NEED_REPLY = 1, 8

# virtio
FEATURES = 1 << 32 | 1 << 30
DESCRIPTOR_WRITE = 2
HEADER = struct.Struct("<QQIIIHHIII")
(REQUEST, RESPONSE, RST, SHUTDOWN, DATA, CREDIT_UPDATE, CREDIT_REQUEST) = range(1, 8)
NO_MORE_RECEIVED, NO_MORE_SENT = 1, 2
STREAM = 1

# What each stream of the guest takes without telling.
GUEST_BUFFER = 65536
PATIENCE = 20


class Ended(Exception):
    """The front end's session: the program has closed it."""


class Refused(Exception):
    """A request of the front end's."""


class Hung(Exception):
    """What was waited for did not come."""


class Ring:
    """A split virtqueue with a buffer, of one descriptor, for each of its places."""

    AVAILABLE, USED, BUFFERS = 0x1000, 0x2000, 0x3000

    def __init__(self, memory, base, size, buffer_size):
        self.bytes = memory
        # An index is written and read as a whole.
        self.words = memory.cast("H")
        self.base, self.size, self.buffer_size = base, size, buffer_size
        self.offered = self.seen = 0

    @classmethod
    def space(cls, size, buffer_size):
        return cls.BUFFERS + -(-size * buffer_size // mmap.PAGESIZE) * mmap.PAGESIZE

    def buffer(self, slot):
        start = self.base + self.BUFFERS + slot * self.buffer_size
        return self.bytes[start:start + self.buffer_size]

    def offer(self, slot, length, flags):
        address = GUEST_ADDRESS + self.base + self.BUFFERS + slot * self.buffer_size
        struct.pack_into("<QIHH", self.bytes, self.base + 16 * slot, address, length, flags, 0)
        available = (self.base + self.AVAILABLE) // 2
        self.words[available + 2 + self.offered % self.size] = slot
        self.offered = (self.offered + 1) % 65536
        self.words[available + 1] = self.offered

    def take(self):
        """Those that the device has used since."""
        used = self.base + self.USED
        while self.seen != self.words[used // 2 + 1]:
            yield struct.unpack_from("<I", self.bytes, used + 4 + 8 * (self.seen % self.size))[0]
            self.seen = (self.seen + 1) % 65536

    def addresses(self):
        base = USER_ADDRESS + self.base
        return base, base + self.USED, base + self.AVAILABLE


class Peer:
    """The guest's end of a stream."""

    def __init__(self, host_port, guest_port):
        self.host_port, self.guest_port = host_port, guest_port
        self.established = self.ended = False
        self.echoes = False
        self.received = bytearray()
        self.unsent = bytearray()
        self.told = self.sent = 0
        self.host_buffer = self.host_taken = 0
        self.shutdown_received = self.shutdown_sent = self.shutdown_wanted = 0

    def credit(self):
        return self.host_buffer - (self.sent - self.host_taken)


class Guest:
    """The driver, and who serves the ports."""

    ECHO = 7
    RECEIVE, TRANSMIT = 0, 1
    PLACES = ((64, HEADER.size + 4096), (16, HEADER.size + 65536))

    def __init__(self):
        spaces = [Ring.space(*place) for place in self.PLACES]
        self.size = sum(spaces)
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, self.size)
        memory = memoryview(mmap.mmap(self.fd, self.size))
        self.rings = [Ring(memory, base, *place)
                      for base, place in zip((0, spaces[0]), self.PLACES)]
        self.free = list(range(self.PLACES[self.TRANSMIT][0]))
        # Of (header's fields, payload).
        self.queue = collections.deque()
        self.peers = {}
        self.next_port = 50000
        for slot in range(self.PLACES[self.RECEIVE][0]):
            self.offer(slot)

    def offer(self, slot):
        size = self.PLACES[self.RECEIVE][1]
        self.rings[self.RECEIVE].offer(slot, size, DESCRIPTOR_WRITE)

    def close(self):
        os.close(self.fd)

    def send(self, peer, op, payload=b"", flags=0):
        peer.told = len(peer.received)
        peer.shutdown_sent |= flags
        self.queue.append((HEADER.pack(
            GUEST_CID, HOST_CID, peer.guest_port, peer.host_port, len(payload), STREAM, op, flags,
            GUEST_BUFFER, peer.told), payload))

    def connect(self, port):
        peer = Peer(port, self.next_port)
        self.next_port += 1
        self.peers[peer.host_port, peer.guest_port] = peer
        self.send(peer, REQUEST)
        return peer

    def write(self, peer, data):
        peer.unsent += data

    def shut(self, peer, flags):
        """When all is sent."""
        peer.shutdown_wanted |= flags

    def reset(self, peer):
        self.send(peer, RST)
        self.end(peer)

    def end(self, peer):
        peer.ended = True
        del self.peers[peer.host_port, peer.guest_port]

    def on_packet(self, packet):
        (_, _, host_port, guest_port, length, _, op, flags, room, taken) = \
            HEADER.unpack_from(packet)
        peer = self.peers.get((host_port, guest_port))
        if op == REQUEST:
            peer = self.peers[host_port, guest_port] = Peer(host_port, guest_port)
            peer.echoes = True
            if guest_port != self.ECHO:
                self.reset(peer)
                return
            self.send(peer, RESPONSE)
        elif not peer:
            if op != RST:
                self.send(Peer(host_port, guest_port), RST)
            return
        peer.host_buffer, peer.host_taken = room, taken
        peer.established |= op in (REQUEST, RESPONSE)
        if op == RST:
            self.end(peer)
        elif op == DATA:
            data = packet[HEADER.size:HEADER.size + length]
            peer.received += data
            if peer.echoes:
                peer.unsent += data
            if len(peer.received) - peer.told >= GUEST_BUFFER // 2:
                self.send(peer, CREDIT_UPDATE)
        elif op == CREDIT_REQUEST:
            self.send(peer, CREDIT_UPDATE)
        elif op == SHUTDOWN:
            peer.shutdown_received |= flags
            if peer.shutdown_received == NO_MORE_RECEIVED | NO_MORE_SENT:
                self.reset(peer)
            elif peer.echoes and flags & NO_MORE_SENT:
                self.shut(peer, NO_MORE_SENT)

    def send_data(self, peer):
        while peer.unsent and peer.credit() > 0 and not peer.shutdown_received & NO_MORE_RECEIVED:
            part = bytes(peer.unsent[:min(peer.credit(), 65536)])
            del peer.unsent[:len(part)]
            self.send(peer, DATA, part)
            peer.sent += len(part)
        if peer.unsent and peer.shutdown_received & NO_MORE_RECEIVED:
            # As a process that is told so by EPIPE, and ends.
            peer.unsent.clear()
            self.shut(peer, NO_MORE_RECEIVED | NO_MORE_SENT)
        left = peer.shutdown_wanted & ~peer.shutdown_sent
        if left and not peer.unsent:
            self.send(peer, SHUTDOWN, flags=left)

    def turn(self):
        """Does what there is to do. Which rings have new buffers."""
        kicks = set()
        receive, transmit = self.rings
        for slot in receive.take():
            self.on_packet(bytes(receive.buffer(slot)))
            self.offer(slot)
            kicks.add(self.RECEIVE)
        self.free += transmit.take()
        for peer in list(self.peers.values()):
            if peer.established:
                self.send_data(peer)
        while self.queue and self.free:
            slot = self.free.pop()
            packet = b"".join(self.queue.popleft())
            transmit.buffer(slot)[:len(packet)] = packet
            transmit.offer(slot, len(packet), 0)
            kicks.add(self.TRANSMIT)
        return kicks


class Client:
    """A process of the host's, at its end of a stream."""

    def __init__(self, machine, peer):
        self.machine, self.socket = machine, peer
        self.socket.setblocking(False)
        self.received = bytearray()
        self.unsent = bytearray()
        # Reads nothing meanwhile.
        self.paused = False
        self.ended = False
        self.watched = 0
        self.watch()

    def watch(self):
        wanted = (0 if self.paused or self.ended else selectors.EVENT_READ) | \
            (selectors.EVENT_WRITE if self.unsent else 0)
        if self.watched:
            self.machine.selector.unregister(self.socket)
        if wanted:
            self.machine.selector.register(self.socket, wanted, self.on_ready)
        self.watched = wanted

    def on_ready(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                del self.unsent[:self.socket.send(self.unsent)]
            if events & selectors.EVENT_READ:
                data = self.socket.recv(1 << 20)
                self.received += data
                self.ended |= not data
        except BlockingIOError:
            pass
        except ConnectionError:
            self.ended = True
        if self.ended:
            self.unsent.clear()
        self.watch()

    def send(self, data):
        self.unsent += data
        self.watch()

    def pause(self, paused):
        self.paused = paused
        self.watch()

    def shut(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            # Ended by now.
            pass

    def close(self):
        self.paused = True
        self.unsent.clear()
        self.watch()
        self.socket.close()


class Machine:
    """start(arguments, fds) starts the program."""

    def __init__(self, directory, start):
        self.path = os.path.join(directory, "vsock")
        self.selector = selectors.DefaultSelector()
        self.guest = Guest()
        self.open = []
        self.session_ended = False
        life, self.life = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(os.path.join(directory, "vhost"))
            listener.listen()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
                # Left behind by an earlier program.
                stale.bind(self.path)
            self.process = start(
                [f"--guest-cid={GUEST_CID}", f"--socket-fd={listener.fileno()}",
                 f"--uds-path={self.path}", f"--life-fd={life}"], [listener.fileno(), life])
            os.close(life)
            self.front_end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.front_end.settimeout(PATIENCE)
            self.front_end.connect(listener.getsockname())
        self.kicks = [os.eventfd(0, os.EFD_NONBLOCK) for _ in self.guest.rings]
        self.calls = [os.eventfd(0, os.EFD_NONBLOCK) for _ in self.guest.rings]
        self.error = os.eventfd(0, os.EFD_NONBLOCK)
        for fd in self.calls:
            self.selector.register(fd, selectors.EVENT_READ,
                                   lambda _, fd=fd: os.eventfd_read(fd))
        self.selector.register(self.front_end, selectors.EVENT_READ, self.on_front_end)

    def on_front_end(self, _):
        # Nothing was asked.
        self.session_ended = True
        self.selector.unregister(self.front_end)

    # The front end

    def receive(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.front_end.recv(size - len(data))
            except TimeoutError as error:
                raise Hung("no answer to the front end") from error
            except ConnectionError:
                more = b""
            if not more:
                raise Ended()
            data += more
        return data

    def tell(self, number, payload=b"", flags=VERSION, fd=None):
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                         array.array("i", [fd]))]
        try:
            self.front_end.sendmsg([struct.pack("<III", number, flags, len(payload)), payload],
                                   rights)
        except ConnectionError as error:
            raise Ended() from error

    def ask(self, number, payload=b""):
        self.tell(number, payload)
        answered, _, size = struct.unpack("<III", self.receive(12))
        if answered != number:
            raise ValueError(f"an answer to {answered} instead of {number}")
        return self.receive(size)

    def order(self, number, payload=b"", fd=None):
        self.tell(number, payload, VERSION | NEED_REPLY, fd)
        self.receive(12)
        if self.receive(8) != bytes(8):
            raise Refused(number)

    def plug(self):
        """As QEMU does with a device, up to the moment when its driver is there."""
        features, = struct.unpack("<Q", self.ask(GET_FEATURES))
        if features & FEATURES != FEATURES:
            raise ValueError(f"features {features:#x}")
        self.tell(SET_PROTOCOL_FEATURES, self.ask(GET_PROTOCOL_FEATURES))
        self.channel, channel = socket.socketpair()
        with channel:
            self.order(SET_BACKEND_REQ_FD, fd=channel.fileno())
        self.order(SET_OWNER)
        if self.ask(GET_CONFIG, struct.pack("<IIIQ", 0, 8, 0, 0))[12:] != \
                struct.pack("<Q", GUEST_CID):
            raise ValueError("another CID")
        self.order(SET_FEATURES, struct.pack("<Q", FEATURES))
        self.order(SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, GUEST_ADDRESS, self.guest.size,
                                              USER_ADDRESS, 0), self.guest.fd)
        for index, ring in enumerate(self.guest.rings):
            number = struct.pack("<Q", index)
            self.order(SET_VRING_NUM, struct.pack("<II", index, ring.size))
            self.order(SET_VRING_BASE, struct.pack("<II", index, 0))
            self.order(SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, *ring.addresses(), 0))
            self.order(SET_VRING_KICK, number, self.kicks[index])
            self.order(SET_VRING_CALL, number, self.calls[index])
            self.order(SET_VRING_ERR, number, self.error)
        for index, _ in enumerate(self.guest.rings):
            self.order(SET_VRING_ENABLE, struct.pack("<II", index, 1))

    def unplug(self):
        """The driver is done, and the device taken out."""
        for index, _ in enumerate(self.guest.rings):
            self.ask(GET_VRING_BASE, struct.pack("<II", index, 0))
        self.channel.close()

    def sync(self):
        """What happened before was taken notice of."""
        self.ask(GET_FEATURES)

    # Streams

    def run(self, until, what):
        deadline = time.monotonic() + PATIENCE
        while True:
            for index in self.guest.turn():
                os.eventfd_write(self.kicks[index], 1)
            if self.session_ended:
                raise Ended()
            if until():
                return
            left = deadline - time.monotonic()
            ready = self.selector.select(left) if left > 0 else []
            if not ready:
                raise Hung(what)
            for key, events in ready:
                key.data(events)

    def dial(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.open.append(peer)
        try:
            peer.connect(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            # With the session, of which the front end hears by itself.
            self.run(lambda: False, "the end of a program that does not listen")
        return Client(self, peer)

    def listen(self, port):
        """A host's process that is to be connected to: a list, into which its Client comes."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.open.append(listener)
        listener.bind(f"{self.path}_{port}")
        listener.listen()
        accepted = []

        def on_ready(_):
            peer = listener.accept()[0]
            self.open.append(peer)
            accepted.append(Client(self, peer))

        self.selector.register(listener, selectors.EVENT_READ, on_ready)
        return accepted

    def close(self):
        """The front end goes, and with it the program if it was served."""
        self.front_end.close()

    def end_life(self):
        """Whoever started the program goes."""
        os.close(self.life)
        self.life = -1

    def finish(self):
        self.close()
        for peer in self.open:
            peer.close()
        self.selector.close()
        if self.life >= 0:
            self.end_life()
        for fd in (*self.kicks, *self.calls, self.error):
            os.close(fd)
        self.guest.close()
