"""A connection that is cut at every byte of a session in which every request occurs, in both
directions. What had begun is ended or left whole, and the next connection is served."""

import os
import shutil
import socket
import struct

import provium_pb2 as pb
import tap
from agent_case import AgentCase, children, wait_until
from client import STREAMED, Client, frame, new_message

# Those that would act on this machine as a whole are sent so that they are refused.
NR_GETPID = 39
NR_NANOSLEEP = 35


def request_names():
    """Codes under 128 are requests."""
    return {field.name for field in pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields
            if field.number < 128}


class Cuts(AgentCase):
    def session(self):
        """(body, fields) of each message; ids count from 1."""
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

    def session_bytes(self):
        """The frames. WRITE_DATA bears its WRITE_FILE's id."""
        frames = []
        for i, (body, fields) in enumerate(self.session(), 1):
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

    def clean_up(self, watcher):
        """Jobs and workers outlive a connection by design; all else must end by itself."""
        def is_quiet():
            for job in watcher.call("job_list").body.jobs:
                watcher.call("job_kill", ref={"job": job.job})
            for worker in watcher.call("worker_list").body.workers:
                watcher.call("worker_kill", worker=worker.worker)
            info = watcher.call("info").body
            return (info.connections == 1 and info.commands_running == 0 and info.workers == 0
                    and info.jobs == 0)

        wait_until(is_quiet, "what the cut connection had begun has ended")
        wait_until(lambda: not [name for name in os.listdir(self.files)
                                if name.startswith(".provium")], "no half file is left")
        shutil.rmtree(self.files)
        os.mkdir(self.files)

    def connect_raw(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(30)
        peer.connect(self.path)
        return peer

    @staticmethod
    def receive(peer, size):
        data = b""
        while len(data) < size:
            more = peer.recv(size - len(data))
            if not more:
                break
            data += more
        return data

    def receive_finals(self, peer):
        """The kind of each request's final reply, and how many bytes came in all."""
        wanted = set(range(1, len(self.session()) + 1)) - {17, 18}
        finals = {}
        total = 0
        while wanted - set(finals):
            header = self.receive(peer, 4)
            body = self.receive(peer, struct.unpack("<I", header)[0])
            total += 4 + len(body)
            message = pb.Message.FromString(body)
            if message.id and message.WhichOneof("body") not in STREAMED:
                finals[message.id] = message.WhichOneof("body")
        return finals, total

    def test_the_session_has_every_request(self):
        self.assertEqual({body for body, _ in self.session()}, request_names())
        # And each gets an answer, so that what follows is no series of refusals.
        with self.connect_raw() as peer:
            peer.sendall(self.session_bytes())
            finals = self.receive_finals(peer)[0]
        refused = {self.session()[number - 1][0] for number, body in finals.items()
                   if body == "error"}
        # Cancelled ones, and those that were meant to be.
        self.assertLessEqual(refused, {
            "auth", "tail", "mount", "umount", "ioctl", "read_memory", "worker_kill", "clock_set",
            "reseed", "kernel_log", "release_init", "shutdown", "stdin_data"})
        with Client(self.path) as watcher:
            self.clean_up(watcher)

    def test_cut_after_each_byte_to_the_agent(self):
        with Client(self.path) as watcher:
            session = self.session_bytes()
            print(f"# {len(session) + 1} cuts")
            for cut in range(len(session) + 1):
                with self.connect_raw() as peer:
                    peer.sendall(session[:cut])
                with Client(self.path) as client:
                    self.assertEqual(client.call("ping", payload=b"p").body.payload, b"p")
                self.clean_up(watcher)

    def test_cut_after_each_byte_from_the_agent(self):
        session = self.session_bytes()
        with Client(self.path) as watcher:
            with self.connect_raw() as peer:
                peer.sendall(session)
                total = self.receive_finals(peer)[1]
            self.clean_up(watcher)
            print(f"# {total} cuts")
            for cut in range(total):
                with self.connect_raw() as peer:
                    peer.sendall(session)
                    self.receive(peer, cut)
                with Client(self.path) as client:
                    self.assertEqual(client.call("ping", payload=b"p").body.payload, b"p")
                self.clean_up(watcher)
        wait_until(lambda: not children(self.server), "the agent's children are gone")


if __name__ == "__main__":
    tap.main()
