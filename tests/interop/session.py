"""A session in which every request occurs, for tests of what goes wrong in the midst of it."""

import struct

import provium_pb2 as pb
from client import STREAMED, frame, new_message

# x86-64
NR_GETPID = 39
NR_NANOSLEEP = 35


def receive(peer, size):
    """So many bytes, or fewer: the connection has ended."""
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            break
        data += more
    return data


class Session:
    """Its requests, with paths in a directory. What would act on the machine as a whole is sent so
    that it is refused."""

    def __init__(self, directory):
        self.directory = directory
        self.messages = self.make()
        self.bytes = self.encode()
        # WRITE_DATA has no answer of its own.
        self.ids = {i for i, (body, _) in enumerate(self.messages, 1) if body != "write_data"}

    def file(self, name):
        return f"{self.directory}/{name}".encode()

    def make(self):
        """(body, fields) of each; ids count from 1."""
        file = self.file("file")
        sleep = {"input": struct.pack("<qq", 60, 0)}
        return [
            ("ping", {"payload": b"x"}),
            ("auth", {"token": b"x"}),
            ("info", {}),
            ("exec", {"argv": [b"/bin/true"]}),
            ("exec", {"argv": [b"/bin/cat"], "stdin_kind": pb.STDIN_STREAM}),       # 5
            ("stdin_data", {"target": {"request": 5}, "data": b"in"}),
            ("exec", {"argv": [b"/bin/sleep", b"60"], "pty": {}}),                    # 7
            ("resize", {"target": {"request": 7}, "rows": 2, "cols": 2}),
            ("signal", {"target": {"request": 7}, "signal": 15}),
            ("stdin_data", {"target": {"request": 5}, "eof": True}),
            ("exec_async", {"command": {"argv": [b"/bin/sleep", b"60"]}, "name": b"j"}),
            ("job_list", {}),
            ("job_output", {"ref": {"name": b"j"}}),
            ("job_wait", {"ref": {"name": b"j"}, "timeout_ms": 0}),
            ("job_kill", {"ref": {"name": b"j"}}),
            ("write_file", {"path": file, "create": True, "atomic": True}),           # 16
            ("write_data", {"data": b"da"}),
            ("write_data", {"data": b"ta", "last": True}),
            ("read_file", {"path": file}),
            ("stat", {"path": file}),
            ("chmod", {"path": file, "mode": 0o600}),
            ("chown", {"path": file}),
            ("mkdir", {"path": self.file("d")}),
            ("rename", {"old_path": file, "new_path": self.file("d/f")}),
            ("symlink", {"target": b"f", "path": self.file("d/l")}),
            ("readlink", {"path": self.file("d/l")}),
            ("list_dir", {"path": self.file("d")}),
            ("tail", {"path": self.file("d/f")}),                                     # 28
            ("cancel", {"request": 28}),
            ("remove", {"path": self.file("d"), "recursive": True}),
            ("mount", {"target": self.file("none"), "fstype": b"tmpfs"}),
            ("umount", {"target": self.file("none")}),
            ("syscall", {"numbers": [NR_GETPID], "arg_counts": [0]}),
            ("syscall", {"numbers": [NR_NANOSLEEP], "arg_counts": [2], "args": [0, 0],
                         "buffers": [sleep], "reference_args": [0], "reference_indexes": [0],
                         "reference_kinds": [0], "background": True}),                # 34
            ("cancel", {"request": 34}),
            ("ioctl", {"fd": -1, "command": 0}),
            ("read_memory", {"address": 0, "length": 1}),
            ("spawn_worker", {}),
            ("worker_list", {}),
            ("worker_kill", {"worker": 1 << 40}),
            ("clock_get", {}),
            ("clock_set", {}),
            ("reseed", {}),
            ("kernel_log", {}),                                                       # 44
            ("cancel", {"request": 44}),
            ("release_init", {}),
            # With a field that is wrong: this machine is not to go down.
            ("shutdown", {"mode": 77}),
        ]

    def encode(self):
        """The frames. WRITE_DATA bears its WRITE_FILE's id."""
        frames = []
        for i, (body, fields) in enumerate(self.messages, 1):
            number = 16 if body == "write_data" else i
            if body == "shutdown":
                frames.append(frame(self.bad_shutdown(number)))
            else:
                frames.append(frame(new_message(body, number, **fields).SerializeToString()))
        return b"".join(frames)

    @staticmethod
    def bad_shutdown(number):
        """An enum's value that there is not cannot be put into a message of Python's."""
        message = new_message("shutdown", number).SerializeToString()
        at = message.index(b"\x22\x00")
        return message[:at] + b"\x22\x02\x08\x4d" + message[at + 2:]

    def receive_finals(self, peer, on_message=None, most=1 << 32):
        """The kind of each request's final reply, and how many bytes came in all. Fewer: it ended, or
        so many bytes are the most that were wanted."""
        finals = {}
        total = 0
        while self.ids - set(finals):
            header = receive(peer, min(4, most - total))
            total += len(header)
            if len(header) < 4:
                break
            size = struct.unpack("<I", header)[0]
            body = receive(peer, min(size, most - total))
            total += len(body)
            if len(body) < size:
                break
            message = pb.Message.FromString(body)
            if on_message:
                on_message(message)
            if message.id and message.WhichOneof("body") not in STREAMED:
                finals[message.id] = message.WhichOneof("body")
        return finals, total
