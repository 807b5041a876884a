"""An agent that does what a test says, on a Unix socket: what no real one can be made to do at will.

provium_pb2 is what protoc makes of the schema.
"""

import socket
import struct

import provium_pb2 as pb

PATIENCE = 20


class FakeAgent:
    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        self.at = ["--connect", f"agent-unix:{path}"]
        self.socket = None
        self.id = 0
        self.command = 0
        self.offsets = {}

    def close(self):
        self.hang_up()
        self.listener.close()

    def hang_up(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    def accept(self):
        self.hang_up()
        self.socket = self.listener.accept()[0]
        self.socket.settimeout(PATIENCE)
        self.offsets = {pb.STREAM_STDOUT: 0, pb.STREAM_STDERR: 0}
        self.send(pb.Message(ready=pb.Ready(
            protocol_major=1, protocol_minor=0, agent_version="0.1.0", arch="x86_64",
            kernel_release="fake", pid=1, max_frame=16 << 20)))

    def send(self, message):
        self.send_bytes(message.SerializeToString())

    def send_bytes(self, body):
        """A message, whatever it is made of."""
        self.socket.sendall(struct.pack("<I", len(body)) + body)

    def receive_bytes(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def receive(self):
        """The next message; EOFError where the host has hung up."""
        length = struct.unpack("<I", self.receive_bytes(4))[0]
        message = pb.Message.FromString(self.receive_bytes(length))
        self.id = message.id
        return message

    def expect(self, body):
        message = self.receive()
        if message.WhichOneof("body") != body:
            raise AssertionError(f"{body} expected, came {message}")
        return getattr(message, body)

    def expect_command(self):
        """An EXEC; output() and result() are about it from then on."""
        command = self.expect("exec")
        self.command = self.id
        return command

    def reply(self, body, request_id=None, **fields):
        message = pb.Message(id=request_id or self.id, **{body: fields})
        getattr(message, body).SetInParent()
        self.send(message)

    def typed(self, count):
        """So many bytes of standard input, each answered as it comes."""
        data = b""
        while len(data) < count:
            data += self.expect("stdin_data").data
            self.reply("ok")
        return data

    def output(self, data, stream=pb.STREAM_STDOUT):
        self.reply("output", self.command, stream=stream, data=data, offset=self.offsets[stream])
        self.offsets[stream] += len(data)

    def result_fields(self, code=0):
        return {"outcome": pb.OUTCOME_EXITED, "exit_code": code, "pid": 7, "wall_ns": 1,
                "rusage": pb.Rusage(user_us=0, system_us=0, max_rss_kib=0, minor_faults=0,
                                    major_faults=0, voluntary_switches=0, involuntary_switches=0),
                "stdout_bytes": self.offsets[pb.STREAM_STDOUT],
                "stderr_bytes": self.offsets[pb.STREAM_STDERR]}

    def result(self, code=0):
        self.reply("exec_result", self.command, **self.result_fields(code))
