"""READY, PING, INFO, ids, errors, and input that breaks the rules."""

import os
import random
import re
import socket
import struct
import sys
import time
import unittest

import provium_pb2 as pb
import tap
from agent_case import AgentCase, resident_kib, wait_until
from client import MAX_FRAME, Client, frame, new_message
from session import Session

DOCUMENT = sys.argv[2]


def request_bodies():
    fields = pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields
    return {field.number: field for field in fields if field.number < 128}


def minimal(field):
    """A body that passes as far as its required fields go."""
    return field.message_type._concrete_class()


class Ready(AgentCase):
    def test_first_and_unasked(self):
        client = self.connect(ready=False)
        ready = client.wait_event("ready")
        self.assertEqual(ready.id, 0)
        self.assertTrue(ready.IsInitialized())

    def test_fields(self):
        ready = self.connect().ready
        self.assertEqual((ready.protocol_major, ready.protocol_minor), (1, 0))
        self.assertRegex(ready.agent_version, r"^\d+\.\d+\.\d+$")
        self.assertEqual(ready.arch, os.uname().machine)
        self.assertEqual(ready.kernel_release, os.uname().release)
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            self.assertEqual(ready.boot_id, file.read().strip())
        self.assertEqual(ready.max_frame, MAX_FRAME)
        self.assertEqual(ready.pid, self.server)
        self.assertFalse(ready.HasField("restarts"))
        self.assertFalse(ready.HasField("init_error"))
        self.assertFalse(ready.auth_required)
        self.assertEqual(ready.role, pb.ROLE_MAIN)

    def test_serves_what_the_document_says(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            rows = re.findall(r"^\| (\d+) \| (\w+) \|.*\| (yes|no) \|$", file.read(), re.M)
        documented = [int(code) for code, name, served in rows
                      if served == "yes" and int(code) < 128]
        # This agent was not started with --allow-shutdown.
        documented.remove(4)
        self.assertEqual(list(self.connect().ready.requests), documented)

    def test_many_connections(self):
        clients = [self.connect() for _ in range(200)]
        for client in clients:
            self.assertEqual(client.call("ping").kind, "pong")
        info = clients[0].call("info").body
        self.assertEqual(info.connections, 200)


class Ping(AgentCase):
    def test_payloads(self):
        client = self.connect()
        self.assertFalse(client.call("ping").body.HasField("payload"))
        for payload in (b"", b"x", bytes(range(256)), os.urandom(64 << 10)):
            answer = client.call("ping", payload=payload)
            self.assertEqual(answer.body.payload, payload)
            self.assertTrue(answer.body.HasField("payload"))

    def test_too_long(self):
        client = self.connect()
        self.assert_error(client.call("ping", payload=bytes((64 << 10) + 1)), pb.ERROR_LIMIT)
        self.assertEqual(client.call("ping").kind, "pong")

    def test_a_hundred_thousand(self):
        client = self.connect()

        def batch(count):
            client.wait_all([client.start("ping", payload=b"12345678") for _ in range(count)])

        for _ in range(10):
            batch(1000)
        before = resident_kib(self.server)
        fds = self.count_fds()
        for _ in range(90):
            batch(1000)
        self.assertLessEqual(resident_kib(self.server) - before, 64)
        self.assertEqual(self.count_fds(), fds)


class Info(AgentCase):
    def test_fields(self):
        client = self.connect()
        before = client.call("info").body
        with open("/proc/uptime", encoding="utf-8") as file:
            uptime = float(file.read().split()[0])
        self.assertAlmostEqual(before.uptime_ns / 1e9, uptime, delta=1)
        self.assertEqual(before.memory_total,
                         os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self.assertLess(before.memory_free, before.memory_total)
        self.assertAlmostEqual(before.resident_bytes / 1024, resident_kib(self.server), delta=256)
        self.assertEqual(before.open_fds, self.count_fds())
        self.assertEqual((before.connections, before.commands_running), (1, 0))
        self.assertEqual((before.jobs, before.workers, before.restarts), (0, 0, 0))

    def test_counters(self):
        client = self.connect()
        before = client.call("info").body
        sleeper = client.start("exec", argv=[b"sleep", b"100"])
        client.call("ping", payload=bytes(1000))
        after = client.call("info").body
        self.assertEqual(after.frames_received - before.frames_received, 3)
        self.assertEqual(after.frames_sent - before.frames_sent, 2)
        self.assertGreater(after.bytes_received - before.bytes_received, 1000)
        self.assertGreater(after.bytes_sent - before.bytes_sent, 1000)
        self.assertEqual(after.commands_running, 1)
        self.assertEqual(after.commands_started - before.commands_started, 1)
        client.call("cancel", request=sleeper.id)
        client.wait(sleeper)
        self.assertEqual(client.call("info").body.commands_running, 0)


class Ids(AgentCase):
    def test_any_but_zero(self):
        client = self.connect()
        for number in (1, 127, 128, 2**31, 2**32 - 1):
            self.assertEqual(client.wait(client.start("ping", number)).final.id, number)

    def test_zero_ends_the_connection(self):
        client = self.connect()
        client.send_bytes(frame(new_message("ping", 0).SerializeToString()))
        self.assertEqual(client.wait_event("error").error.code, pb.ERROR_INVALID)
        client.wait_end()

    def test_busy(self):
        client = self.connect()
        sleeper = client.start("exec", 77, argv=[b"sleep", b"100"])
        again = client.start("exec", 77, argv=[b"echo"])
        # The ERROR is for the second one, which has taken the first one's place here.
        self.assert_error(client.wait(again), pb.ERROR_BUSY)
        client.requests[77] = sleeper
        self.assertEqual(client.call("cancel", request=77).kind, "ok")
        self.assertEqual(client.wait(sleeper).body.outcome, pb.OUTCOME_CANCELLED)
        self.assert_exited(client.wait(client.start("exec", 77, argv=[b"true"])))


class Unserved(AgentCase):
    def test_known_requests(self):
        client = self.connect()
        served = set(client.ready.requests)
        for code, field in request_bodies().items():
            if code in served:
                continue
            with self.subTest(field.name):
                self.assert_error(client.call(field.name), pb.ERROR_UNSUPPORTED)

    def test_what_only_the_agent_sends(self):
        client = self.connect()
        for field in pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields:
            if field.number >= 128:
                message = pb.Message(id=9)
                body = getattr(message, field.name)
                body.SetInParent()
                for inner in body.DESCRIPTOR.fields:
                    if inner.label == inner.LABEL_REQUIRED and not inner.message_type:
                        value = b"" if inner.type == inner.TYPE_BYTES else (
                            "" if inner.type == inner.TYPE_STRING else 1)
                        setattr(body, inner.name, value)
                if not message.IsInitialized():
                    continue
                with self.subTest(field.name):
                    request = client.start("ping", 9)
                    client.wait(request)
                    client.requests[9] = request
                    request.final = None
                    client.send_bytes(frame(message.SerializeToString()))
                    self.assert_error(client.wait(request), pb.ERROR_UNSUPPORTED)

    def raw(self, client, number, body):
        """Sends encoded bytes, and waits for the answer to this id."""
        request = client.start("ping", number)
        client.wait(request)
        client.requests[number] = request
        request.final = None
        client.send_bytes(frame(body))
        return client.wait(request)

    def test_no_body(self):
        client = self.connect()
        self.assert_error(self.raw(client, 5, pb.Message(id=5).SerializeToString()),
                          pb.ERROR_UNKNOWN_MESSAGE)

    def test_unknown_codes(self):
        client = self.connect()
        for code in (10, 12, 127, 200, 1000):
            with self.subTest(code):
                tag = struct.pack("<B", code << 3 & 0x7f | 2 | 0x80) + bytes([code >> 4])
                if code == 1000:
                    tag = b"\xc2\x3e"
                elif code < 16:
                    tag = bytes([code << 3 | 2])
                data = tag + b"\x00" + pb.Message(id=5).SerializeToString()
                self.assert_error(self.raw(client, 5, data), pb.ERROR_UNKNOWN_MESSAGE)

    def test_unknown_field_of_a_known_request(self):
        client = self.connect()
        # PING with field 9, which a later version might have.
        data = b"\x6a\x02\x48\x01" + pb.Message(id=5).SerializeToString()
        self.assert_error(self.raw(client, 5, data), pb.ERROR_UNSUPPORTED)

    def test_unknown_field_beside_a_known_request(self):
        client = self.connect()
        data = b"\xe0\x03\x01" + new_message("ping", 5).SerializeToString()
        self.assert_error(self.raw(client, 5, data), pb.ERROR_UNSUPPORTED)

    def test_defaults_may_be_there(self):
        client = self.connect()
        self.assertEqual(client.call("read_file", path=b"/dev/null", sparse=False).kind, "ok")


class Malformed(AgentCase):
    """Each ends its own connection with a word of why, and nothing else."""

    def assert_refused(self, data, code=pb.ERROR_INVALID, send_end=False):
        other = self.connect()
        client = self.connect()
        client.send_bytes(data)
        if send_end:
            client.flush()
            client.socket.shutdown(socket.SHUT_WR)
        error = client.wait_event("error").error
        self.assertEqual(error.code, code, error.text)
        self.assertTrue(error.text)
        client.wait_end()
        self.assertEqual(other.call("ping").kind, "pong")

    def test_length_0(self):
        self.assert_refused(bytes(4))

    def test_length_beyond_max(self):
        for length in (MAX_FRAME + 1, 2**31, 2**32 - 1):
            with self.subTest(length):
                self.assert_refused(struct.pack("<I", length))

    def test_length_1(self):
        # Half a tag.
        self.assert_refused(frame(b"\x80"))

    def test_garbage(self):
        for body in (b"\xff" * 100, b"\x6a\x05", b"GET / HTTP/1.1\r\n", bytes(50), b"\x0b\x0c"):
            with self.subTest(body[:8]):
                self.assert_refused(frame(body))

    def test_http(self):
        # As a length that is 542393671.
        self.assert_refused(b"GET / HTTP/1.1\r\nHost: provium\r\n\r\n")

    def test_what_came_before_is_done(self):
        client = self.connect()
        before = client.start("ping", payload=b"before")
        client.send_bytes(bytes(4))
        self.assertEqual(client.wait(before).body.payload, b"before")
        client.wait_event("error")
        client.wait_end()

    def test_cut_at_every_byte(self):
        data = frame(new_message("exec", 1, argv=[b"true"], env=[b"A=B"]).SerializeToString())
        for cut in range(1, len(data)):
            with self.subTest(cut):
                self.assert_refused(data[:cut], send_end=True)

    def test_longest_frame_announced_and_not_sent(self):
        client = self.connect()
        before = resident_kib(self.server)
        client.send_bytes(struct.pack("<I", MAX_FRAME) + bytes(100))
        other = self.connect()
        other.call("ping")
        self.assertLess(resident_kib(self.server) - before, 256)

    def test_longest_frame(self):
        client = self.connect()
        message = new_message("ping", 6, payload=b"")
        message.ping.payload = bytes(MAX_FRAME - len(message.SerializeToString()) - 6)
        data = message.SerializeToString()
        self.assertEqual(len(data), MAX_FRAME)
        request = client.start("ping", 6)
        client.wait(request)
        client.requests[6] = request
        request.final = None
        client.send_bytes(frame(data))
        self.assert_error(client.wait(request), pb.ERROR_LIMIT)
        self.assertEqual(client.call("ping").kind, "pong")

    def test_memory_comes_back(self):
        client = self.connect()
        message = new_message("write_data", 6, data=bytes(MAX_FRAME - 100))
        client.call("ping")
        before = resident_kib(self.server)
        client.send_bytes(frame(message.SerializeToString()))
        client.call("ping", timeout=60)
        wait_until(lambda: resident_kib(self.server) - before < 1024, "memory is given back")

    def test_bomb(self):
        client = self.connect()
        client.call("ping")
        before = resident_kib(self.server)
        bomb = new_message("exec", 5, argv=[b"true"], rlimits=[{} for _ in range(200000)])
        request = client.start("ping", 5)
        client.wait(request)
        client.requests[5] = request
        request.final = None
        client.send_bytes(frame(bomb.SerializeToString()))
        self.assert_error(client.wait(request), pb.ERROR_LIMIT)
        self.assertLess(resident_kib(self.server) - before, 4096)
        # Without an id there is nobody to tell.
        bomb.ClearField("id")
        client.send_bytes(frame(bomb.SerializeToString()))
        self.assertEqual(client.wait_event("error").error.code, pb.ERROR_LIMIT)
        client.wait_end()

    def test_random_streams(self):
        random.seed(1)
        for _ in range(200):
            client = self.connect()
            data = random.randbytes(random.randrange(1, 200))
            if random.random() < 0.7:
                data = frame(data)
            client.send_bytes(data)
            client.close()
            self.clients.remove(client)
        self.assertEqual(self.connect().call("ping").kind, "pong")

    def test_mutated_messages(self):
        random.seed(2)
        seeds = [new_message("ping", 3, payload=b"abc"), new_message("cancel", 3, request=9),
                 new_message("read_file", 3, path=b"/proc/version", offset=1, length=10),
                 new_message("stdin_data", 3, target={"request": 1}, data=b"x", eof=True),
                 new_message("signal", 3, target={"request": 1}, signal=9)]
        for _ in range(300):
            data = bytearray(random.choice(seeds).SerializeToString())
            for _ in range(random.randrange(1, 4)):
                data[random.randrange(len(data))] = random.randrange(256)
            with Client(self.path) as client:
                client.send_bytes(frame(bytes(data)))
                client.socket.shutdown(socket.SHUT_WR)
                client.requests = AnyRequest()
                client.wait_end()


class Order(AgentCase):
    """Each request behind a file that is still being written."""

    IN_TURN = {"write_file", "read_file", "stat", "list_dir", "mkdir", "remove", "rename", "symlink",
               "readlink", "chmod", "chown", "mount", "umount", "tail", "syscall", "ioctl",
               "read_memory", "spawn_worker"}
    ENDED_BY_CANCEL = {"tail", "kernel_log"}

    def requests(self):
        """The first of each that a session has, but what has no answer of its own."""
        first = {}
        for body, fields in Session(self.files).messages:
            first.setdefault(body, fields)
        # A session's has a value that Python cannot encode. It is not allowed here anyway.
        first["shutdown"] = {}
        del first["write_data"]
        return first

    def test_each(self):
        requests = self.requests()
        served = {field.name for number, field in request_bodies().items()
                  if number in self.connect().ready.requests}
        self.assertEqual(set(requests), served - {"write_data"} | {"shutdown"})
        for body, fields in requests.items():
            with self.subTest(body), Client(self.path) as client:
                write = client.start("write_file", path=self.file("held"))
                request = client.start(body, **fields)
                if body in self.IN_TURN:
                    client.call("ping")
                    self.assertIsNone(request.final, "it did not wait")
                    client.add(write, "write_data", last=True)
                    if body == "write_file":
                        client.add(request, "write_data", last=True)
                    client.wait(write)
                if body in self.ENDED_BY_CANCEL:
                    client.call("cancel", request=request.id)
                client.wait(request)
                if body not in self.IN_TURN:
                    self.assertIsNone(write.final)
                    client.add(write, "write_data", last=True)
                    client.wait(write)
                self.assertEqual(write.kind, "ok")


class AnyRequest(dict):
    """Takes whatever id a mutated request has."""

    def get(self, *_):
        return self

    on_message = None
    stream = []

    def __setattr__(self, name, value):
        pass

    def __delitem__(self, key):
        pass


class FlowControl(AgentCase):
    def test_host_that_does_not_read(self):
        """Requests are not read beyond what the queue holds; later all is answered in order."""
        client = self.connect()
        before = resident_kib(self.server)
        requests = [client.start("ping", payload=bytes(60000)) for _ in range(200)]
        time.sleep(0.3)
        self.assertTrue(client.unsent)
        self.assertLess(resident_kib(self.server) - before, 4096)
        with Client(self.path) as other:
            self.assertEqual(other.call("ping").kind, "pong")
            self.assertLess(other.call("info").body.queued_bytes, 2 << 20)
        client.wait_all(requests)

    def test_reset(self):
        client = self.connect()
        for _ in range(100):
            client.start("ping", payload=bytes(60000))
        client.start("exec", argv=[b"sleep", b"100"])
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    tap.main()
