"""AUTH: an agent that asks for a token, and the connections that have it, or not."""

import os
import subprocess
import tempfile
import time
import unittest

import provium_pb2 as pb
import tap
from agent_case import AGENT, AgentCase
from client import Client

TOKEN = os.urandom(32)


def request_bodies():
    fields = pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields
    return [field for field in fields if field.number < 128 and field.name != "auth"]


class Auth(AgentCase):
    token = TOKEN

    def stranger(self):
        client = Client(self.path)
        self.clients.append(client)
        return client

    def wrong(self, number):
        wrong = bytearray(TOKEN)
        wrong[number] ^= 1
        return bytes(wrong)

    def test_brief_and_complete(self):
        client = self.stranger()
        brief = client.ready
        self.assertTrue(brief.auth_required)
        self.assertEqual(list(brief.requests), [14])
        self.assertEqual(brief.max_frame, 4096)
        for name in ("boot_id", "restarts", "restart_reason", "init_error", "role", "own_root",
                     "init_started_ns", "listening_ns", "modules_ns"):
            self.assertFalse(brief.HasField(name), name)
        answer = client.call("auth", token=TOKEN)
        self.assertEqual(answer.kind, "ready")
        self.assertFalse(answer.body.auth_required)
        self.assertEqual(answer.body.max_frame, 16 << 20)
        self.assertTrue(answer.body.boot_id)
        self.assertIn(1, answer.body.requests)
        self.assertEqual(client.call("ping").kind, "pong")

    def test_every_request_is_refused(self):
        client = self.stranger()
        for field in request_bodies():
            with self.subTest(field.name):
                if field.name == "write_data":
                    continue
                self.assert_error(client.call(field.name), pb.ERROR_AUTH)
        made = self.file()
        self.assert_error(client.call("write_file", path=made), pb.ERROR_AUTH)
        self.assert_error(client.call("exec", argv=[b"touch", made]), pb.ERROR_AUTH)
        self.assertEqual(client.call("auth", token=TOKEN).kind, "ready")
        self.assertEqual(client.call("info").body.commands_started, 0)
        self.assertFalse(os.path.exists(made))

    def test_three_failures(self):
        client = self.stranger()
        for number, least in enumerate((0.1, 0.4, 1.0)):
            start = time.monotonic()
            self.assert_error(client.call("auth", token=self.wrong(number)), pb.ERROR_AUTH)
            self.assertGreaterEqual(time.monotonic() - start, least)
        self.assertEqual(client.wait_event("error").error.code, pb.ERROR_AUTH)
        client.wait_end()
        # Others have nothing to do with it.
        self.assertEqual(self.connect().call("ping").kind, "pong")

    def test_no_token(self):
        client = self.stranger()
        self.assert_error(client.call("auth"), pb.ERROR_INVALID)
        self.assert_error(client.call("auth", token=b""), pb.ERROR_AUTH)
        self.assert_error(client.call("auth", token=TOKEN[:31]), pb.ERROR_AUTH)
        self.assert_error(client.call("auth", token=TOKEN + b"x"), pb.ERROR_LIMIT)
        self.assertEqual(client.call("auth", token=TOKEN).kind, "ready")

    def test_workers_ask_too(self):
        for kind in (pb.SpawnWorker.FORK, pb.SpawnWorker.THREAD):
            spawner = self.connect()
            worker = spawner.call("spawn_worker", kind=kind).body
            with Client(f"{self.path}_{worker.port}") as client:
                self.assertTrue(client.ready.auth_required)
                self.assert_error(client.call("exec", argv=[b"true"]), pb.ERROR_AUTH)
                answer = client.call("auth", token=TOKEN)
                self.assertEqual(answer.body.role, kind + 1)
                self.assert_exited(client.call("exec", argv=[b"true"]))
            spawner.wait_event("worker_exited")

    def test_token_is_nowhere(self):
        """Not on the command line, in the environment, or in what the agent prints."""
        client = self.connect()
        self.assert_error(self.stranger().call("auth", token=self.wrong(0)), pb.ERROR_AUTH)
        places = [f"/proc/{self.server}/cmdline", f"/proc/{self.server}/environ",
                  f"/proc/{self.process.pid}/cmdline", self.log.name]
        for place in places:
            with open(place, "rb") as file:
                self.assertNotIn(TOKEN[:8], file.read(), place)
        output = client.call("exec", argv=[b"env"]).stdout
        self.assertNotIn(TOKEN[:8], output)


class Files(unittest.TestCase):
    def test_bad_files(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "token")
            for content in (None, b"", b"x" * 31, b"x" * 33):
                if content is not None:
                    with open(path, "wb") as file:
                        file.write(content)
                result = subprocess.run(
                    [AGENT, "--listen", f"unix:{directory}/agent", "--token", path],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                    check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn("does not hold 32 bytes", result.stderr)
                self.assertFalse(os.path.exists(f"{directory}/agent"))


if __name__ == "__main__":
    tap.main()
