"""A host of provium-agent's, written from docs/protocol.md and proto/provium.proto alone.

Nothing of Provium's own code is used: provium_pb2 is what protoc makes of the schema.
"""

import selectors
import socket
import struct
import time

import provium_pb2 as pb

MAX_FRAME = 16 << 20
CHUNK = 256 << 10
WRITE_WINDOW = 1 << 20
STDIN_WINDOW = 256 << 10

# Bodies that come before a request's final reply. Every other body with its id is the final one.
STREAMED = {"output", "file_data", "write_ack", "dir_entries", "call_started", "kernel_log_record"}


class Ended(Exception):
    """The agent has ended the connection."""


class Timeout(Exception):
    """What was waited for did not come."""


def frame(body):
    return struct.pack("<I", len(body)) + body


def new_message(body, request_id, **fields):
    """A Message whose body has these fields; nested messages are dicts."""
    message = pb.Message(id=request_id, **{body: fields})
    getattr(message, body).SetInParent()
    return message


class Request:
    """A request in flight: what has come for it so far."""

    def __init__(self, number, on_message=None):
        self.id = number
        self.stream = []
        self.final = None
        self.on_message = on_message

    @property
    def kind(self):
        return self.final.WhichOneof("body")

    @property
    def body(self):
        return getattr(self.final, self.kind)

    def output(self, stream):
        return b"".join(message.output.data for message in self.stream
                        if message.WhichOneof("body") == "output"
                        and message.output.stream == stream)

    @property
    def stdout(self):
        return self.output(pb.STREAM_STDOUT)

    @property
    def stderr(self):
        return self.output(pb.STREAM_STDERR)

    @property
    def data(self):
        return b"".join(message.file_data.data for message in self.stream)


class Client:
    def __init__(self, path, ready=True, token=None, port=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        if port:
            self.choose(port)
        self.socket.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.socket, selectors.EVENT_READ)
        self.received = bytearray()
        self.unsent = bytearray()
        self.ended = False
        self.requests = {}
        # Messages with id 0: READY, events, errors about the connection.
        self.events = []
        self.next_id = 1
        self.ready = self.wait_event("ready").ready if ready else None
        if token:
            self.ready = self.call("auth", token=token).final.ready

    def choose(self, port):
        """Of a guest's, whose vsock is this socket (the convention of Firecracker and others)."""
        self.socket.sendall(f"CONNECT {port}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise Ended()
            answer += byte
        if not answer.startswith(b"OK "):
            raise ValueError(f"{answer!r} instead of OK")

    def close(self):
        self.selector.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Bytes

    def receive_some(self):
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
        self.received += data

    def send_some(self):
        try:
            del self.unsent[:self.socket.send(self.unsent)]
        except BlockingIOError:
            pass
        except ConnectionError:
            # What the agent still had to say can be read.
            self.unsent.clear()

    def take_messages(self):
        while len(self.received) >= 4:
            length = struct.unpack_from("<I", self.received)[0]
            if not 0 < length <= MAX_FRAME:
                raise ValueError(f"the agent sent a frame of {length} bytes")
            if len(self.received) < 4 + length:
                return
            message = pb.Message.FromString(bytes(self.received[4:4 + length]))
            del self.received[:4 + length]
            self.file(message)

    def file(self, message):
        if message.id == 0:
            self.events.append(message)
            return
        request = self.requests.get(message.id)
        if request is None:
            raise ValueError(f"a message for a request that is not in flight: {message}")
        if request.on_message:
            request.on_message(message)
        if message.WhichOneof("body") in STREAMED:
            request.stream.append(message)
        else:
            request.final = message
            del self.requests[message.id]

    def run(self, until, timeout=30, read=True):
        """Sends and receives until until() holds."""
        deadline = time.monotonic() + timeout
        while not until():
            if self.ended:
                raise Ended()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout()
            events = (selectors.EVENT_READ if read else 0) | (
                selectors.EVENT_WRITE if self.unsent else 0)
            self.selector.modify(self.socket, events)
            for _, ready in self.selector.select(left):
                if ready & selectors.EVENT_WRITE:
                    self.send_some()
                if ready & selectors.EVENT_READ:
                    self.receive_some()
                    self.take_messages()

    def send_bytes(self, data):
        """Queues bytes as they are, and sends what goes at once."""
        self.unsent += data
        self.send_some()

    def flush(self, timeout=30):
        self.run(lambda: not self.unsent, timeout)

    def wait_end(self, timeout=30):
        """Until the agent has ended the connection."""
        try:
            self.run(lambda: False, timeout)
        except Ended:
            pass

    def wait_event(self, body, timeout=30):
        def found():
            return [event for event in self.events if event.WhichOneof("body") == body]
        self.run(found, timeout)
        event = found()[0]
        self.events.remove(event)
        return event

    # Requests

    def start(self, body, request_id=None, on_message=None, **fields):
        if request_id is None:
            request_id = self.next_id
            self.next_id += 1
        request = Request(request_id, on_message)
        self.requests[request_id] = request
        self.send_bytes(frame(new_message(body, request_id, **fields).SerializeToString()))
        return request

    def add(self, request, body, **fields):
        """A further message of a request: WRITE_DATA."""
        self.send_bytes(frame(new_message(body, request.id, **fields).SerializeToString()))

    def wait(self, request, timeout=30):
        self.run(lambda: request.final is not None, timeout)
        return request

    def call(self, body, timeout=30, **fields):
        return self.wait(self.start(body, **fields), timeout)

    def wait_all(self, requests, timeout=60):
        self.run(lambda: all(request.final is not None for request in requests), timeout)

    # What takes more than one message

    def write_file(self, path, pieces, timeout=60, **fields):
        """Writes pieces (bytes, or a number for a hole) and keeps to the window."""
        acked = 0

        def on_message(message):
            nonlocal acked
            if message.WhichOneof("body") == "write_ack":
                acked = message.write_ack.bytes

        request = self.start("write_file", path=path, on_message=on_message, **fields)
        sent = 0
        for piece in pieces:
            if isinstance(piece, int):
                self.add(request, "write_data", hole=piece)
                continue
            sent += len(piece)
            limit = sent - WRITE_WINDOW
            self.run(lambda: acked >= limit or request.final is not None, timeout)
            if request.final is not None:
                return request
            self.add(request, "write_data", data=piece)
        self.add(request, "write_data", last=True)
        return self.wait(request, timeout)

    def write_stdin(self, target, data, eof=True, timeout=60):
        """Writes to a command's standard input and keeps to the window. A Target may be a dict."""
        if isinstance(target, Request):
            target = {"request": target.id}
        unanswered = []
        for at in range(0, len(data), CHUNK // 4):
            self.run(lambda: sum(request.final is None for request in unanswered) < 4, timeout)
            unanswered.append(self.start("stdin_data", target=target,
                                         data=data[at:at + CHUNK // 4]))
        if eof:
            unanswered.append(self.start("stdin_data", target=target, eof=True))
        self.wait_all(unanswered, timeout)
        return unanswered
