"""READ_FILE, FILE_DATA, WRITE_FILE, WRITE_DATA, WRITE_ACK, and the order of file operations."""

import hashlib
import os
import socket
import stat
import subprocess

import provium_pb2 as pb
import tap
from agent_case import AgentCase, resident_kib, wait_until
from client import CHUNK, WRITE_WINDOW


def content(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


class Read(AgentCase):
    def read(self, client, path, **fields):
        """The bytes, after a look at the pieces they came in."""
        request = client.call("read_file", timeout=60, path=path, **fields)
        self.assertEqual(request.kind, "ok", request.final)
        at = fields.get("offset", 0)
        for message in request.stream:
            self.assertEqual(message.file_data.offset, at)
            self.assertLessEqual(len(message.file_data.data), CHUNK)
            at += len(message.file_data.data)
        self.assertEqual(request.body.bytes, len(request.data))
        return request.data

    def test_sizes(self):
        client = self.connect()
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5, 5 << 20):
            data = os.urandom(size)
            put(self.file(), data)
            self.assertEqual(self.read(client, self.file()), data, size)

    def test_part(self):
        client = self.connect()
        data = os.urandom(1 << 20)
        put(self.file(), data)
        for offset, length in ((0, 10), (5, 10), (CHUNK - 3, 7), ((1 << 20) - 4, 100), (0, 0),
                               (1 << 20, 5), (2 << 20, 5), (10, 2**64 - 1)):
            with self.subTest(f"{offset}, {length}"):
                self.assertEqual(self.read(client, self.file(), offset=offset, length=length),
                                 data[offset:offset + length])
        self.assert_error(client.call("read_file", path=self.file(), offset=2**63),
                          pb.ERROR_INVALID)

    def test_proc_and_sys(self):
        client = self.connect()
        for path in ("/proc/version", "/proc/cpuinfo", "/proc/kallsyms", "/proc/filesystems",
                     "/sys/devices/system/cpu/online"):
            with self.subTest(path):
                if not os.path.exists(path):
                    self.skipTest(f"no {path} here")
                data = self.read(client, path.encode())
                self.assertTrue(data)
                if path != "/proc/cpuinfo":
                    self.assertEqual(data, content(path))

    def test_errors(self):
        client = self.connect()
        for path, errno_name in ((b"/no/such", "ENOENT"), (b"/tmp", "EISDIR"),
                                 (b"/etc/passwd/x", "ENOTDIR"), (b"/" + b"x" * 300, "ENAMETOOLONG"),
                                 (b"/" + b"x/" * 3000, "ENAMETOOLONG")):
            with self.subTest(path[:20]):
                self.assert_error(client.call("read_file", path=path), pb.ERROR_OS, errno_name)
        error = self.assert_error(client.call("read_file", path=b"/no/such"), pb.ERROR_OS, "ENOENT")
        self.assertEqual((error.os_errno, error.operation), (2, "open"))
        self.assertIn("/no/such", error.text)

    def test_refused(self):
        client = self.connect()
        self.assert_error(client.call("read_file"), pb.ERROR_INVALID)
        self.assert_error(client.call("read_file", path=b""), pb.ERROR_INVALID)
        self.assertIn("NUL", self.assert_error(client.call("read_file", path=b"/etc/pass\0wd"),
                                               pb.ERROR_INVALID).text)

    def test_text_of_errors_is_utf8(self):
        # Python refuses a string that is not.
        self.assert_error(self.connect().call("read_file", path=b"/\xff\xfe\n\x1b[31m"),
                          pb.ERROR_OS, "ENOENT")

    def test_relative_path_starts_at_the_root(self):
        put(self.file(), b"data")
        self.assertEqual(self.read(self.connect(), self.file().lstrip(b"/")), b"data")

    def test_name_that_is_not_utf8(self):
        put(self.file() + b"\xff\xfe", b"data")
        self.assertEqual(self.read(self.connect(), self.file() + b"\xff\xfe"), b"data")

    def test_pipe(self):
        client = self.connect()
        os.mkfifo(self.file())
        writer = subprocess.Popen(["sh", "-c", 'exec 3>"$1"; sleep 0.3; echo a >&3; sleep 0.3; '
                                   'echo b >&3', "sh", self.file().decode()])
        # Without a writer it would be at its end already.
        reader = os.open(self.file(), os.O_RDONLY)
        request = client.start("read_file", path=self.file())
        os.close(reader)
        client.run(lambda: request.data == b"a\n")
        self.assertEqual(client.call("ping").kind, "pong")
        client.wait(request)
        self.assertEqual(request.data, b"a\nb\n")
        writer.wait()

    def test_cancel(self):
        client = self.connect()
        os.mkfifo(self.file())
        holder = os.open(self.file(), os.O_RDWR)
        request = client.start("read_file", path=self.file())
        behind = client.start("read_file", path=b"/proc/version")
        self.assertEqual(client.call("ping").kind, "pong")
        self.assertIsNone(behind.final)
        cancel = client.start("cancel", request=request.id)
        self.assert_error(client.wait(request), pb.ERROR_CANCELLED)
        self.assertEqual(client.wait(cancel).kind, "ok")
        self.assertEqual(client.wait(behind).kind, "ok")
        os.close(holder)

    def test_cancel_of_one_that_waits(self):
        client = self.connect()
        os.mkfifo(self.file())
        holder = os.open(self.file(), os.O_RDWR)
        first = client.start("read_file", path=self.file())
        second = client.start("read_file", path=b"/proc/version")
        self.assertEqual(client.call("cancel", request=second.id).kind, "ok")
        self.assert_error(client.wait(second), pb.ERROR_CANCELLED)
        self.assertEqual(second.stream, [])
        client.call("cancel", request=first.id)
        client.wait(first)
        os.close(holder)

    def test_large_by_a_slow_reader(self):
        client = self.connect()
        with open(self.file(), "wb") as file:
            for number in range(256):
                file.write(bytes([number]) * CHUNK)
        before = resident_kib(self.server)
        request = client.start("read_file", path=self.file())
        wait_until(lambda: self.queued() > 1 << 20, "the agent's queue fills")
        self.assertLess(self.queued(), 2 << 20)
        self.assertLess(resident_kib(self.server) - before, 4096)
        client.wait(request, 60)
        self.assertEqual(hashlib.sha256(request.data).digest(),
                         hashlib.sha256(content(self.file())).digest())

    def queued(self):
        other = self.connect()
        try:
            return other.call("info").body.queued_bytes
        finally:
            other.close()
            self.clients.remove(other)


class Write(AgentCase):
    def write(self, client, data, path=None, **fields):
        pieces = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)]
        request = client.write_file(path or self.file(), pieces, **fields)
        if request.kind == "ok":
            self.assertEqual(request.body.bytes, len(data))
        return request

    def test_sizes(self):
        client = self.connect()
        for size in (0, 1, CHUNK, CHUNK + 1, WRITE_WINDOW, WRITE_WINDOW + 1, 9 << 20):
            data = os.urandom(size)
            self.assertEqual(self.write(client, data).kind, "ok")
            self.assertEqual(content(self.file()), data)

    def test_acks(self):
        client = self.connect()
        request = self.write(client, bytes(8 << 20))
        acks = [message.write_ack.bytes for message in request.stream]
        self.assertEqual(acks, sorted(set(acks)))
        self.assertGreaterEqual(acks[-1], 7 << 20)
        self.assertLessEqual(acks[-1], 8 << 20)

    def test_mode_is_exact(self):
        client = self.connect()
        for mode in (None, 0o600, 0o666, 0o777, 0, 0o4755):
            path = self.file(f"mode-{mode}")
            fields = {} if mode is None else {"mode": mode}
            self.assertEqual(self.write(client, b"x", path, **fields).kind, "ok")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode),
                             0o644 if mode is None else mode)
        self.assert_error(client.call("write_file", path=self.file(), mode=0o10000),
                          pb.ERROR_INVALID)

    def test_mode_of_a_file_that_is_there(self):
        client = self.connect()
        put(self.file(), b"old")
        os.chmod(self.file(), 0o640)
        self.write(client, b"new", mode=0o777)
        self.assertEqual(content(self.file()), b"new")
        self.assertEqual(stat.S_IMODE(os.stat(self.file()).st_mode), 0o640)

    def test_owner(self):
        if os.geteuid() != 0:
            self.skipTest("only root may give files away")
        client = self.connect()
        self.write(client, b"x", uid=1234, gid=5678, mode=0o4711)
        status = os.stat(self.file())
        self.assertEqual((status.st_uid, status.st_gid), (1234, 5678))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o4711)

    def test_options(self):
        client = self.connect()
        self.assert_error(client.write_file(self.file(), [b"x"], create=False), pb.ERROR_OS,
                          "ENOENT")
        self.assertEqual(self.write(client, b"0123456789", exclusive=True).kind, "ok")
        self.assert_error(client.write_file(self.file(), [b"x"], exclusive=True), pb.ERROR_OS,
                          "EEXIST")
        self.assertEqual(self.write(client, b"ab", append=True).kind, "ok")
        self.assertEqual(content(self.file()), b"0123456789ab")
        self.assertEqual(self.write(client, b"X", offset=3).kind, "ok")
        self.assertEqual(content(self.file()), b"012X456789ab")
        self.assertEqual(self.write(client, b"Y", offset=0).kind, "ok")
        self.assertEqual(content(self.file()), b"Y12X456789ab")
        self.assertEqual(self.write(client, b"short", sync=True).kind, "ok")
        self.assertEqual(content(self.file()), b"short")
        self.assertEqual(self.write(client, b"end", offset=10).kind, "ok")
        self.assertEqual(content(self.file()), b"short\0\0\0\0\0end")

    def test_contradictions(self):
        client = self.connect()
        for fields in ({"append": True, "offset": 1}, {"atomic": True, "append": True},
                       {"atomic": True, "offset": 1}, {"exclusive": True, "create": False},
                       {"offset": 2**63}):
            with self.subTest(str(fields)):
                self.assert_error(client.call("write_file", path=self.file(), **fields),
                                  pb.ERROR_INVALID)
        self.assertFalse(os.path.exists(self.file()))

    def test_errors(self):
        client = self.connect()
        for path, errno_name in ((b"/no/such/file", "ENOENT"), (self.files.encode(), "EISDIR"),
                                 (b"/proc/version", "EACCES" if os.geteuid() else "EIO")):
            with self.subTest(path):
                self.assert_error(client.write_file(path, [b"x" * 10]), pb.ERROR_OS, errno_name)
        self.assert_error(client.call("write_file"), pb.ERROR_INVALID)
        self.assert_error(client.call("write_file", path=b""), pb.ERROR_INVALID)
        self.assert_error(client.call("write_file", path=b"/tmp/\0"), pb.ERROR_INVALID)

    def test_full_disk(self):
        """The error of write(2) arrives although the host goes on sending."""
        client = self.connect()
        request = client.write_file(b"/dev/full", [bytes(CHUNK)] * 20)
        error = self.assert_error(request, pb.ERROR_OS, "ENOSPC")
        self.assertEqual(error.operation, "write")
        self.assertEqual(client.call("ping").kind, "pong")

    def test_data_after_an_error_is_ignored(self):
        client = self.connect()
        request = client.start("write_file", path=b"/no/such/file")
        client.wait(request)
        for _ in range(10):
            client.add(request, "write_data", data=bytes(CHUNK))
        client.add(request, "write_data", last=True)
        self.assertEqual(client.call("ping").kind, "pong")

    def test_data_of_nothing_is_ignored(self):
        client = self.connect()
        sleeper = client.start("exec", argv=[b"sleep", b"0.3"])
        for number in (4711, sleeper.id):
            message = pb.Message(id=number, write_data={"data": b"x", "last": True})
            data = message.SerializeToString()
            client.send_bytes(len(data).to_bytes(4, "little") + data)
        self.assertEqual(client.call("ping").kind, "pong")
        self.assert_exited(client.wait(sleeper))

    def test_window(self):
        client = self.connect()
        os.mkfifo(self.file())
        reader = os.open(self.file(), os.O_RDONLY | os.O_NONBLOCK)
        request = client.start("write_file", path=self.file(), create=False)
        for _ in range(8):
            client.add(request, "write_data", data=bytes(CHUNK))
        self.assert_error(client.wait(request), pb.ERROR_LIMIT)
        os.close(reader)
        self.assertEqual(client.call("ping").kind, "pong")

    def test_pipe_that_nobody_reads_blocks_nobody(self):
        client = self.connect()
        os.mkfifo(self.file())
        reader = os.open(self.file(), os.O_RDONLY | os.O_NONBLOCK)
        request = client.start("write_file", path=self.file(), create=False)
        data = os.urandom(WRITE_WINDOW)
        for at in range(0, len(data), CHUNK):
            client.add(request, "write_data", data=data[at:at + CHUNK])
        client.add(request, "write_data", last=True)
        self.assertEqual(client.call("ping").kind, "pong")
        self.assertIsNone(request.final)
        os.set_blocking(reader, True)
        got = b""
        while len(got) < len(data):
            got += os.read(reader, 1 << 20)
        self.assertEqual(got, data)
        self.assertEqual(client.wait(request).body.bytes, len(data))
        os.close(reader)

    def test_holes(self):
        client = self.connect()
        request = client.write_file(self.file(), [b"x", 1 << 20, b"y"])
        self.assertEqual((request.kind, request.body.bytes), ("ok", 2))
        self.assertEqual(content(self.file()), b"x" + bytes(1 << 20) + b"y")
        request = client.call("read_file", path=self.file(), sparse=True)
        self.assertEqual(request.kind, "ok")
        told = bytearray()
        for message in request.stream:
            self.assertEqual(message.file_data.offset, len(told))
            told += message.file_data.data or bytes(message.file_data.hole)
        self.assertEqual(told, content(self.file()))
        self.assertLess(request.body.bytes, 1 << 20)

    def test_links(self):
        client = self.connect()
        os.symlink(self.file("target"), self.file("link"))
        self.assertEqual(self.write(client, b"1", self.file("link")).kind, "ok")
        self.assertEqual(content(self.file("target")), b"1")
        self.assertEqual(self.write(client, b"2", self.file("link")).kind, "ok")
        self.assertEqual(content(self.file("target")), b"2")
        self.assertTrue(os.path.islink(self.file("link")))


class Atomic(AgentCase):
    def names(self):
        return sorted(os.listdir(self.files))

    def test_replaces(self):
        client = self.connect()
        put(self.file(), b"old")
        inode = os.stat(self.file()).st_ino
        request = client.start("write_file", path=self.file(), atomic=True, mode=0o751)
        client.add(request, "write_data", data=b"new content")
        client.call("ping")
        self.assertEqual(content(self.file()), b"old")
        client.add(request, "write_data", last=True)
        self.assertEqual(client.wait(request).kind, "ok")
        self.assertEqual(content(self.file()), b"new content")
        self.assertEqual(stat.S_IMODE(os.stat(self.file()).st_mode), 0o751)
        self.assertNotEqual(os.stat(self.file()).st_ino, inode)
        self.assertEqual(self.names(), ["file"])

    def test_leaves_nothing_behind(self):
        put(self.file(), b"old")
        for end in ("cancel", "close", "window"):
            with self.subTest(end):
                client = self.connect()
                request = client.start("write_file", path=self.file(), atomic=True)
                client.add(request, "write_data", data=b"half")
                client.call("ping")
                self.assertEqual(len(self.names()), 2)
                if end == "cancel":
                    client.call("cancel", request=request.id)
                    self.assert_error(client.wait(request), pb.ERROR_CANCELLED)
                elif end == "window":
                    client.add(request, "write_data", data=bytes(WRITE_WINDOW + 1))
                    self.assert_error(client.wait(request), pb.ERROR_LIMIT)
                else:
                    client.close()
                wait_until(lambda: self.names() == ["file"], "the temporary file is gone")
                self.assertEqual(content(self.file()), b"old")

    def test_exclusive(self):
        client = self.connect()
        put(self.file(), b"old")
        self.assert_error(client.write_file(self.file(), [b"x"], atomic=True, exclusive=True),
                          pb.ERROR_OS, "EEXIST")
        new = client.write_file(self.file("new"), [b"x"], atomic=True, exclusive=True)
        self.assertEqual(new.kind, "ok")
        self.assertEqual(self.names(), ["file", "new"])

    def test_directory(self):
        client = self.connect()
        self.assert_error(client.write_file(self.files.encode(), [b"x"], atomic=True),
                          pb.ERROR_OS, "EISDIR")


class Names(AgentCase):
    def done(self, body, **fields):
        request = self.connect().call(body, **fields)
        self.assertEqual(request.kind, "ok", request.final)

    def refused(self, errno_name, body, **fields):
        self.assert_error(self.connect().call(body, **fields), pb.ERROR_OS, errno_name)

    def test_stat(self):
        put(self.file(), b"data")
        os.symlink(self.file(), self.file("link"))
        for follow, expected in ((True, os.stat), (False, os.lstat)):
            result = self.connect().call("stat", path=self.file("link"), follow=follow).body
            status = expected(self.file("link"))
            self.assertEqual((result.mode, result.ino, result.size, result.nlink, result.mtime_ns),
                             (status.st_mode, status.st_ino, status.st_size, status.st_nlink,
                              status.st_mtime_ns))
            self.assertEqual(os.makedev(result.dev_major, result.dev_minor), status.st_dev)
        self.refused("EBADF", "stat", fd=400)
        self.refused("ENOENT", "stat", path=b"/no/such")

    def test_list(self):
        names = {b"%d" % number for number in range(1000)}
        for name in names:
            put(self.file(name.decode()), b"")
        request = self.connect().call("list_dir", path=self.files.encode())
        self.assertEqual(request.kind, "ok")
        listed = [entry for message in request.stream for entry in message.dir_entries.entries]
        self.assertEqual({entry.name for entry in listed}, names)
        self.assertEqual(len(listed), len(names))
        for entry in listed:
            self.assertEqual(entry.type, 8)
            self.assertEqual(entry.ino, os.stat(os.path.join(self.files.encode(),
                                                             entry.name)).st_ino)

    def test_make_and_remove(self):
        deep = self.file("a/b/c")
        self.refused("ENOENT", "mkdir", path=deep)
        self.done("mkdir", path=deep, parents=True, mode=0o750)
        self.assertEqual(stat.S_IMODE(os.stat(deep).st_mode), 0o750)
        self.refused("ENOTEMPTY", "remove", path=self.file("a"))
        os.symlink("/etc", self.file("a/b/link"))
        self.done("remove", path=self.file("a"), recursive=True)
        self.assertFalse(os.path.exists(self.file("a")))
        self.refused("ENOENT", "remove", path=self.file("a"), recursive=True)
        self.done("remove", path=self.file("a"), missing_ok=True)

    def test_deep(self):
        """Deeper than the directories that are held open."""
        os.makedirs(self.file("/".join(["d"] * 100)))
        self.done("remove", path=self.file("d"), recursive=True)
        self.assertEqual(os.listdir(self.files), [])

    def test_names(self):
        put(self.file(), b"data")
        self.done("chmod", path=self.file(), mode=0o4710)
        self.assertEqual(stat.S_IMODE(os.stat(self.file()).st_mode), 0o4710)
        self.done("rename", old_path=self.file(), new_path=self.file("new"))
        self.done("symlink", target=b"new", path=self.file("link"))
        self.refused("EEXIST", "rename", old_path=self.file("new"), new_path=self.file("link"),
                     flags=1)
        request = self.connect().call("readlink", path=self.file("link"))
        self.assertEqual(request.body.target, b"new")
        self.refused("EINVAL", "readlink", path=self.file("new"))
        if os.geteuid() == 0:
            self.done("chown", path=self.file("link"), gid=5678, follow=False)
            self.assertEqual(os.lstat(self.file("link")).st_gid, 5678)
            self.assertEqual(os.stat(self.file("link")).st_gid, 0)

    def test_mount(self):
        """Refused both: this is not the agent's machine."""
        self.refused("ENODEV" if os.geteuid() == 0 else "EPERM", "mount",
                     target=self.files.encode(), fstype=b"no-such-type")
        self.refused("EINVAL" if os.geteuid() == 0 else "EPERM", "umount",
                     target=self.files.encode())


class Tail(AgentCase):
    def append(self, data):
        with open(self.file(), "ab") as file:
            file.write(data)

    def test_follows(self):
        client = self.connect()
        self.append(b"old")
        tail = client.start("tail", path=self.file(), start=pb.Tail.BEGINNING)
        client.run(lambda: tail.data == b"old")
        self.append(b", new")
        client.run(lambda: tail.data == b"old, new")
        os.truncate(self.file(), 0)
        client.run(lambda: tail.stream[-1].file_data.event == pb.TAIL_TRUNCATED)
        os.rename(self.file(), self.file("old"))
        self.append(b"!")
        client.run(lambda: tail.data == b"old, new!")
        self.assertEqual(tail.stream[-2].file_data.event, pb.TAIL_ROTATED)
        self.assertEqual(client.call("cancel", request=tail.id).kind, "ok")
        self.assertEqual(tail.body.bytes, 9)

    def test_waits_for_no_turn(self):
        client = self.connect()
        self.append(b"x")
        tail = client.start("tail", path=self.file())
        self.assertEqual(client.call("read_file", path=self.file()).data, b"x")
        self.assertIsNone(tail.final)
        client.call("cancel", request=tail.id)
        self.assertEqual(tail.kind, "ok")


class Order(AgentCase):
    def test_all_in_one_write(self):
        """WRITE_FILE, its data, READ_FILE and again, without waiting for anything."""
        client = self.connect()
        requests = []
        for round_number in range(20):
            data = b"%d" % round_number * 1000
            write = client.start("write_file", path=self.file())
            client.add(write, "write_data", data=data)
            client.add(write, "write_data", last=True)
            requests.append((write, client.start("read_file", path=self.file()), data))
        for write, read, data in requests:
            self.assertEqual(client.wait(write).kind, "ok")
            self.assertEqual(client.wait(read).kind, "ok")
            self.assertEqual(read.data, data)

    def test_requests_between_the_data(self):
        """The data of a WRITE_FILE may stand behind other requests."""
        client = self.connect()
        write = client.start("write_file", path=self.file())
        read = client.start("read_file", path=self.file())
        client.add(write, "write_data", data=b"a")
        ping = client.start("ping")
        client.add(write, "write_data", data=b"b", last=True)
        client.wait_all([write, read, ping])
        self.assertEqual(read.data, b"ab")

    def test_two_writes_at_once(self):
        client = self.connect()
        first = client.start("write_file", path=self.file("1"))
        second = client.start("write_file", path=self.file("2"))
        for number in range(4):
            client.add(second, "write_data", data=b"second%d" % number)
            client.add(first, "write_data", data=b"first%d" % number)
        client.add(second, "write_data", last=True)
        client.add(first, "write_data", last=True)
        client.wait_all([first, second])
        self.assertEqual(content(self.file("1")), b"first0first1first2first3")
        self.assertEqual(content(self.file("2")), b"second0second1second2second3")

    def test_commands_are_not_held_up(self):
        client = self.connect()
        os.mkfifo(self.file())
        holder = os.open(self.file(), os.O_RDWR)
        read = client.start("read_file", path=self.file())
        self.assert_exited(client.call("exec", argv=[b"true"]))
        self.assertIsNone(read.final)
        client.call("cancel", request=read.id)
        client.wait(read)
        os.close(holder)

    def test_many_that_wait(self):
        client = self.connect()
        os.mkfifo(self.file())
        holder = os.open(self.file(), os.O_RDWR)
        first = client.start("read_file", path=self.file())
        others = [client.start("read_file", path=b"/proc/version") for _ in range(1100)]
        refused = [client.wait(request) for request in others[1023:]]
        for request in refused:
            self.assert_error(request, pb.ERROR_LIMIT)
        self.assertTrue(all(request.final is None for request in others[:1023]))
        client.call("cancel", request=first.id)
        client.wait_all(others)
        self.assertTrue(all(request.kind == "ok" for request in others[:1023]))
        os.close(holder)

    def test_end_of_the_connection(self):
        client = self.connect()
        os.mkfifo(self.file())
        holder = os.open(self.file(), os.O_RDWR)
        client.start("read_file", path=self.file())
        for _ in range(10):
            client.start("read_file", path=b"/proc/version")
        write = client.start("write_file", path=self.file("new"))
        client.add(write, "write_data", data=b"x", last=True)
        client.flush()
        client.socket.shutdown(socket.SHUT_WR)
        client.wait_end()
        os.close(holder)
        self.assertFalse(os.path.exists(self.file("new")))


if __name__ == "__main__":
    tap.main()
