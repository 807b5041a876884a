"""A connection that is cut at every byte of a session in which every request occurs, in both
directions. What had begun is ended or left whole, and the next connection is served."""

import os
import shutil
import socket

import provium_pb2 as pb
import tap
from agent_case import AgentCase, children, wait_until
from client import Client
from session import Session


def request_names():
    """Codes under 128 are requests."""
    return {field.name for field in pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields
            if field.number < 128}


class Cuts(AgentCase):
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

    def test_the_session_has_every_request(self):
        session = Session(self.files)
        self.assertEqual({body for body, _ in session.messages}, request_names())
        # And each gets an answer, so that what follows is no series of refusals.
        with self.connect_raw() as peer:
            peer.sendall(session.bytes)
            finals = session.receive_finals(peer)[0]
        self.assertEqual(set(finals), session.ids)
        refused = {session.messages[number - 1][0] for number, body in finals.items()
                   if body == "error"}
        # Cancelled ones, and those that were meant to be; and what there may be none of here: a
        # kernel's log, and then nothing to cancel.
        self.assertLessEqual(refused, {
            "auth", "cancel", "tail", "mount", "umount", "ioctl", "read_memory", "worker_kill", "clock_set",
            "reseed", "kernel_log", "release_init", "shutdown", "stdin_data"})
        with Client(self.path) as watcher:
            self.clean_up(watcher)

    def test_cut_after_each_byte_to_the_agent(self):
        with Client(self.path) as watcher:
            session = Session(self.files)
            print(f"# {len(session.bytes) + 1} cuts")
            for cut in range(len(session.bytes) + 1):
                with self.connect_raw() as peer:
                    peer.sendall(session.bytes[:cut])
                with Client(self.path) as client:
                    self.assertEqual(client.call("ping", payload=b"p").body.payload, b"p")
                self.clean_up(watcher)

    def test_cut_after_each_byte_from_the_agent(self):
        session = Session(self.files)
        with Client(self.path) as watcher:
            with self.connect_raw() as peer:
                peer.sendall(session.bytes)
                total = session.receive_finals(peer)[1]
            self.clean_up(watcher)
            print(f"# {total} cuts")
            for cut in range(total):
                with self.connect_raw() as peer:
                    peer.sendall(session.bytes)
                    # Numbers and times are longer in one session than in the next.
                    session.receive_finals(peer, most=cut)
                with Client(self.path) as client:
                    self.assertEqual(client.call("ping", payload=b"p").body.payload, b"p")
                self.clean_up(watcher)
        wait_until(lambda: not children(self.server), "the agent's children are gone")


if __name__ == "__main__":
    tap.main()
