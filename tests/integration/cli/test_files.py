"""provium push, pull and file with an agent on this machine: all that takes no guest."""

import contextlib
import filecmp
import itertools
import os
import re
import signal
import stat
import subprocess
import tempfile
import termios
import time

import tap
from provium import file_sha256, own_terminal, read_until, sha256, terminal
from test_exec import AgentCase

BOTH = ("push", "pull")


class FileCase(AgentCase):
    """Paths of the guest are this machine's."""

    def file(self, command, *arguments, **keywords):
        return self.provium("file", command, *self.at, *arguments, **keywords)

    def make_tree(self):
        source = self.path("source")
        os.makedirs(os.path.join(source, "sub/deeper"))
        os.mkdir(os.path.join(source, "void"))
        os.mkdir(os.path.join(source, "locked"))
        for i in range(200):
            self.write(f"source/sub/{i}", os.urandom(i * 50))
        self.write("source/big", os.urandom((3 << 20) + 5))
        self.write("source/sub/deeper/odd name \n \xff", b"odd")
        os.chmod(self.write("source/run", b"#!/bin/sh\n"), 0o755)
        os.chmod(self.write("source/locked/secret", b"secret"), 0o400)
        os.symlink("big", os.path.join(source, "link"))
        os.symlink("/no/such", os.path.join(source, "broken"))
        os.symlink("../..", os.path.join(source, "sub/up"))
        os.chmod(os.path.join(source, "sub/deeper"), 0o2775)
        os.chmod(os.path.join(source, "locked"), 0o500)
        return source

    def assert_same(self, one, other, mask=0o7777):
        """Names, types, permission bits, contents; two trees or two files."""
        first, second = os.lstat(one), os.lstat(other)
        self.assertEqual(stat.S_IFMT(first.st_mode), stat.S_IFMT(second.st_mode), other)
        if stat.S_ISLNK(first.st_mode):
            self.assertEqual(os.readlink(one), os.readlink(other))
            return
        self.assertEqual(first.st_mode & mask, second.st_mode & 0o7777, other)
        if not stat.S_ISDIR(first.st_mode):
            self.assertTrue(filecmp.cmp(one, other, shallow=False), other)
            return
        self.assertEqual(sorted(os.listdir(one)), sorted(os.listdir(other)))
        for name in os.listdir(one):
            self.assert_same(os.path.join(one, name), os.path.join(other, name), mask)

    def await_path(self, path, seconds=10):
        end = time.monotonic() + seconds
        while not os.path.lexists(path):
            self.assertLess(time.monotonic(), end, path)
            time.sleep(0.01)


class Copy(FileCase):
    def test_files(self):
        data = os.urandom(3 << 20) + b"end"
        source = self.write("source", data)
        os.chmod(source, 0o751)
        os.mkdir(self.path("there"))
        self.assertEqual(self.provium("push", *self.at, source, self.path("there/")), (0, b"", ""))
        self.assertEqual(self.provium("pull", *self.at, self.path("there/source"),
                                      self.path("back")), (0, b"", ""))
        self.assertEqual(file_sha256(self.path("back")), sha256(data))
        self.assert_same(source, self.path("there/source"))
        self.assert_same(source, self.path("back"))
        self.assertEqual(os.listdir(self.path("there")), ["source"])

    def test_several(self):
        names = [self.write(name, name.encode()) for name in ("a", "b", "c")]
        os.makedirs(self.path("tree/sub"))
        os.mkdir(self.path("there"))
        os.mkdir(self.path("back"))
        self.assertEqual(self.provium("push", *self.at, *names, self.path("tree/"),
                                      self.path("there"))[0], 0)
        self.assertEqual(self.provium("pull", *self.at, self.path("there/a"), self.path("there/b"),
                                      self.path("there/tree"), self.path("back"))[0], 0)
        self.assertEqual(sorted(os.listdir(self.path("there"))), ["a", "b", "c", "tree"])
        self.assertEqual(sorted(os.listdir(self.path("back"))), ["a", "b", "tree"])
        self.assertEqual(os.listdir(self.path("back/tree")), ["sub"])

    def test_into_a_directory_that_is_there(self):
        source = self.write("a", b"a")
        for command in BOTH:
            with self.subTest(command):
                there = self.path(f"to-{command}")
                os.mkdir(there)
                self.assertEqual(self.provium(command, *self.at, source, there), (0, b"", ""))
                self.assertEqual(os.listdir(there), ["a"])

    def test_failures(self):
        source = self.write("a", b"a")
        os.mkdir(self.path("directory"))
        for arguments, told in (
                (["push", self.path("absent"), self.path("x")], self.path("absent")),
                (["pull", self.path("absent"), self.path("x")], self.path("absent")),
                (["push", source, self.path("no/such/place")], self.path("no/such/place")),
                (["pull", source, self.path("no/such/place")], self.path("no/such/place")),
                (["push", source, self.path("no/")], self.path("no/a")),
                (["pull", source, self.path("no/")], self.path("no/a")),
                # The first failure ends it.
                (["pull", source, self.path("absent"), self.path("directory")],
                 self.path("absent"))):
            with self.subTest(arguments):
                self.assert_fails(self.provium(arguments[0], *self.at, *arguments[1:]), 125, told)
                self.assertFalse(os.path.exists(self.path("x")))
        self.assertEqual(os.listdir(self.path("directory")), ["a"])

    def test_cut_leaves_no_half_file(self):
        """Old targets stay. What was being written goes, but where pull has no time for that."""
        os.mkdir(self.path("source"))
        self.write("source/small", b"small")
        with open(self.path("source/big"), "wb") as big:
            big.truncate(64 << 30)
        for number, command, name, old in itertools.product(
                (signal.SIGINT, signal.SIGKILL), BOTH, ("source/big", "source"), (False, True)):
            with self.subTest((number.name, command, name, old)):
                there = tempfile.mkdtemp(dir=self.directory)
                directory = os.path.join(there, "source") if name == "source" else there
                os.makedirs(directory, exist_ok=True)
                if old:
                    self.write(os.path.join(directory, "big"), b"old")
                self.cut(number, command, self.path(name), there)
                self.check_cut(directory, old, number == signal.SIGKILL and command == "pull")

    def cut(self, number, command, source, target):
        """When some of it has been written, beside its target."""
        child = self.start(command, *self.at, source, target)
        end = time.monotonic() + 10
        while not any(self.size_of(path) > 100 for path in self.temporaries(target)):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        child.send_signal(number)
        self.assertEqual(child.wait(timeout=10), -number)

    @staticmethod
    def size_of(path):
        """That has perhaps got its name already."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(path)
        return 0

    def check_cut(self, directory, old, left):
        """left: what was being written stays, as provium-push(1) tells it."""
        end = time.monotonic() + 5
        while not left and self.temporaries(directory) and time.monotonic() < end:
            time.sleep(0.01)
        temporaries = self.temporaries(directory)
        self.assertEqual(len(temporaries) > 0, left, temporaries)
        self.assertLessEqual(len(temporaries), 32)
        for path in temporaries:
            self.assertRegex(path, r"/\.provium-[0-9a-f]{16}\Z")
            # It gets its mode at last.
            self.assertEqual(os.lstat(path).st_mode & ~0o044, stat.S_IFREG | 0o600)
        others = set(os.listdir(directory)) - set(map(os.path.basename, temporaries))
        self.assertEqual(others - {"small"}, {"big"} if old else set())
        for name in others:
            with open(os.path.join(directory, name), "rb") as file:
                self.assertEqual(file.read(10), b"old" if name == "big" else b"small")

    @staticmethod
    def temporaries(directory):
        return [os.path.join(above, name) for above, _, names in os.walk(directory)
                for name in names if name.startswith(".provium-")]

    def progress_of(self, *arguments):
        """What the line shows, one after the other."""
        with terminal() as (ours, theirs):
            termios.tcsetwinsize(ours, (24, 100))
            child = self.start(*arguments, stderr=theirs, preexec_fn=own_terminal(theirs))
            shown = read_until(ours, lambda data: data.endswith(b"\n"), 60).decode()
            self.assertEqual(child.wait(timeout=10), 0)
        return shown.split("\r\x1b[K")[1:]

    def test_progress(self):
        """On a terminal the figures; elsewhere, above, not a byte."""
        source = self.write("source", os.urandom(2 << 20))
        os.mkdir(self.path("tree"))
        os.symlink("x", self.path("tree/link"))
        os.rename(self.write("tree-file", bytes(1 << 20)), self.path("tree/file"))
        for command in BOTH:
            with self.subTest(command):
                self.assertRegex(
                    self.progress_of(command, *self.at, source, self.path("copy"))[-1],
                    r"\Asource  100%  2\.0 MiB of 2\.0 MiB  [0-9.]+ [KMG]iB/s  in 0:0\d\n\Z")
                self.assertRegex(
                    self.progress_of(command, *self.at, self.path("tree/"),
                                     self.path(f"copy-{command}"))[-1],
                    r"\Atree  3 entries  1\.0 MiB  [0-9.]+ [KMG]iB/s  in 0:0\d\n\Z")

    def test_progress_bar(self):
        """While it goes on, share and bar grow."""
        with open(self.path("source"), "wb") as file:
            file.truncate(1 << 30)
        for command in BOTH:
            with self.subTest(command):
                # The first line comes before the size is known.
                _, *lines, last = self.progress_of(command, *self.at, self.path("source"),
                                                   self.path("copy"))
                self.assertRegex(last, r"\Asource  100%  [^\[]* in \d:\d\d\n\Z")
                shares, bars = [], []
                for line in lines:
                    self.assertEqual(len(line), 99, line)
                    found = re.fullmatch(r"source  (\d+)%  .* of 1\.0 GiB.*  \[(#*)(-*)\]", line)
                    self.assertIsNotNone(found, line)
                    shares.append(int(found[1]))
                    full, cells = len(found[2]), len(found[2]) + len(found[3])
                    bars.append(full / cells)
                    self.assertLess(abs(full / cells - shares[-1] / 100), 1.5 / cells + 0.01)
                self.assertEqual(shares, sorted(shares))
                between = set(shares) - {0, 100}
                self.assertGreaterEqual(len(between), 2, lines)
                self.assertGreater(bars[-1], bars[0])


class Trees(FileCase):
    def test_trees(self):
        source = self.make_tree()
        self.assertEqual(self.provium("push", *self.at, source, self.path("copy")), (0, b"", ""))
        self.assert_same(source, self.path("copy"))
        self.assertEqual(self.provium("pull", *self.at, self.path("copy"), self.path("back")),
                         (0, b"", ""))
        # Neither set-id nor sticky here.
        self.assert_same(source, self.path("back"), mask=0o777)
        # Again, over what is there.
        for command in BOTH:
            self.assertEqual(self.provium(command, *self.at, f"{source}/.", self.path("back")),
                             (0, b"", ""))
        self.assert_same(source, self.path("back"), mask=0o777)

    def test_special_files(self):
        os.mkdir(self.path("source"))
        os.mkfifo(self.path("source/fifo"))
        self.write("source/file", b"file")
        for command in BOTH:
            with self.subTest(command):
                copy = self.path(f"to-{command}")
                status, output, error = self.provium(command, *self.at, self.path("source"), copy)
                self.assertEqual((status, output), (0, b""))
                self.assertEqual(error,
                                 f"provium: {self.path('source/fifo')} is special and left out\n")
                self.assertEqual(os.listdir(copy), ["file"])

    def test_links_in_the_way(self):
        os.makedirs(self.path("source/sub"))
        self.write("source/sub/file", b"new")
        os.mkdir(self.path("outside"))
        os.mkdir(self.path("copy"))
        os.symlink(self.path("outside"), self.path("copy/sub"))
        self.assert_fails(self.provium("pull", *self.at, self.path("source/."), self.path("copy")),
                          125, self.path("copy/./sub"))
        self.assertEqual(os.listdir(self.path("outside")), [])

    def test_holes(self):
        os.mkdir(self.path("source"))
        with open(self.write("source/holes", b"start"), "r+b") as file:
            file.seek(30 << 20)
            file.write(b"middle")
            file.truncate(60 << 20)
        for command in BOTH:
            with self.subTest(command):
                copy = self.path(f"to-{command}")
                self.assertEqual(self.provium(command, *self.at, "--sparse", self.path("source"),
                                              copy)[0], 0)
                self.assert_same(self.path("source"), copy)
                self.assertLess(os.stat(os.path.join(copy, "holes")).st_blocks, 1024)


class Look(FileCase):
    def test_stat(self):
        path = self.write("file", b"12345")
        os.chmod(path, 0o640)
        found = os.stat(path)
        status, output, error = self.file("stat", path)
        self.assertEqual((status, error), (0, ""))
        self.assertIn(f"{path}: file\n  Mode       0640\n".encode(), output)
        self.assertIn(b"Size       5 (5 B), ", output)
        raw = dict(line.split("=") for line in self.file("stat", "--raw", path)[1].decode().split("\n")
                   if line)
        self.assertEqual((raw["type"], raw["mode"], raw["size"]), ("file", "0640", "5"))
        self.assertEqual(int(raw["ino"]), found.st_ino)
        self.assertEqual(int(raw["mtime_ns"]), found.st_mtime_ns)
        os.symlink(path, self.path("link"))
        self.assertIn(b"type=file\n", self.file("stat", "--raw", self.path("link"))[1])
        self.assertIn(b"type=symbolic link\n",
                      self.file("stat", "--raw", "--no-follow", self.path("link"))[1])
        self.assert_fails(self.file("stat", self.path("absent")), 125, self.path("absent"), "ENOENT")

    def test_ls(self):
        os.mkdir(self.path("directory"))
        self.assertEqual(self.file("ls", self.path("directory")), (0, b"", ""))
        os.mkdir(self.path("directory/sub"))
        self.write("directory/.file", b"")
        self.write("directory/new\nline", b"")
        os.symlink("x", self.path("directory/link"))
        status, output, error = self.file("ls", "-F0", self.path("directory"))
        self.assertEqual((status, error), (0, ""))
        self.assertEqual(sorted(output.split(b"\0")),
                         [b"", b".file", b"link@", b"new\nline", b"sub/"])
        for i in range(3000):
            os.mkdir(self.path(f"directory/sub/{i}"))
        output = self.file("ls", self.path("directory/sub"))[1]
        self.assertEqual(sorted(map(int, output.split())), list(range(3000)))
        self.assert_fails(self.file("ls", self.path("directory/.file")), 125, "ENOTDIR")

    def test_readlink(self):
        os.symlink("one", self.path("a"))
        os.symlink("/two", self.path("b"))
        self.assertEqual(self.file("readlink", self.path("a"), self.path("b")),
                         (0, b"one\n/two\n", ""))
        self.assert_fails(self.file("readlink", self.directory), 125, self.directory, "EINVAL")


class Data(FileCase):
    def test_cat(self):
        data = os.urandom((2 << 20) + 3)
        path = self.write("file", data)
        self.assertEqual(self.file("cat", path, path), (0, data + data, ""))
        self.assertEqual(self.file("cat", "--offset", "10", "--length", "1K", path),
                         (0, data[10:1034], ""))
        self.assertTrue(self.file("cat", "/proc/version")[1].startswith(b"Linux"))
        self.assert_fails(self.file("cat", self.path("absent")), 125, self.path("absent"), "ENOENT")

    def test_cat_without_reader(self):
        with open(self.path("big"), "wb") as big:
            big.truncate(1 << 30)
        child = self.start("file", "cat", *self.at, self.path("big"))
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.wait(timeout=10), -signal.SIGPIPE)

    def test_write(self):
        path = self.path("file")
        self.assertEqual(self.file("write", "-m", "600", path, data=b"one"), (0, b"", ""))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        self.assertEqual(self.file("write", "--append", "--sync", path, data=b"two")[0], 0)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"onetwo")
        self.assertEqual(self.file("write", "--atomic", "--owner", f"{os.getuid()}:{os.getgid()}",
                                   path, data=bytes(3 << 20))[0], 0)
        self.assertEqual(os.path.getsize(path), 3 << 20)
        self.assert_fails(self.file("write", "--exclusive", path, data=b""), 125, path, "EEXIST")
        self.assert_fails(self.file("write", "--no-create", self.path("absent"), data=b""), 125,
                          "ENOENT")

    def test_write_as_it_comes(self):
        path = self.path("file")
        child = self.start("file", "write", *self.at, path, stdin=subprocess.PIPE)
        child.stdin.write(b"one")
        child.stdin.flush()
        end = time.monotonic() + 10
        while not os.path.exists(path) or os.path.getsize(path) != 3:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=10), -signal.SIGINT)

    def test_agent_that_ends(self):
        """Told at once, though standard input says nothing."""
        child = self.start("file", "write", *self.at, self.path("file"), stdin=subprocess.PIPE)
        self.await_path(self.path("file"))
        self.agent.terminate()
        self.assertEqual(child.wait(timeout=10), 125)
        self.assertIn(b"connection", child.stderr.read())

    def test_tail(self):
        path = self.write("log", b"old\n")
        child = self.start("file", "tail", *self.at, "--from", "start", path)
        self.assertEqual(child.stdout.readline(), b"old\n")
        with open(path, "ab") as file:
            file.write(b"more\n")
        self.assertEqual(child.stdout.readline(), b"more\n")
        with open(path, "wb") as file:
            file.write(b"new\n")
        self.assertEqual(child.stdout.readline(), b"new\n")
        os.rename(self.write("log.new", b"other\n"), path)
        self.assertEqual(child.stdout.readline(), b"other\n")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=10), -signal.SIGINT)
        self.assertEqual(child.stderr.read().decode(),
                         f"provium: {path}: has become shorter\n"
                         f"provium: {path}: is another file now\n")

    def test_tail_ends(self):
        path = self.write("log", b"one\ntwo\n")
        result = self.file("tail", "--from", "4", "--timeout", "0.5", path)
        self.assertEqual(result, (124, b"two\n", "provium: timed out after 0.5 s\n"))
        child = self.start("file", "tail", *self.at, "--from", "start", path)
        child.stdout.readline()
        child.stdout.close()
        with open(path, "ab") as file:
            file.write(b"more\n")
        self.assertEqual(child.wait(timeout=10), -signal.SIGPIPE)
        self.assert_fails(self.file("tail", self.path("absent")), 125, self.path("absent"), "ENOENT")


class Change(FileCase):
    def test_directories(self):
        self.assert_fails(self.file("mkdir", self.path("a/b")), 125, self.path("a/b"), "ENOENT")
        self.assertEqual(self.file("mkdir", "-p", "--mode", "1770", self.path("a/b")), (0, b"", ""))
        self.assertEqual(os.stat(self.path("a/b")).st_mode & 0o7777, 0o1770)
        self.write("a/b/file", b"")
        self.assert_fails(self.file("rm", self.path("a")), 125, self.path("a"), "ENOTEMPTY")
        self.assertEqual(self.file("rm", "-r", self.path("a")), (0, b"", ""))
        self.assertFalse(os.path.exists(self.path("a")))
        self.assert_fails(self.file("rm", self.path("a")), 125, self.path("a"), "ENOENT")
        self.assertEqual(self.file("rm", "--force", self.path("a")), (0, b"", ""))

    def test_names(self):
        old, new = self.write("old", b"old"), self.write("new", b"new")
        self.assert_fails(self.file("mv", "--no-replace", old, new), 125, "EEXIST")
        self.assertEqual(self.file("mv", "--exchange", old, new), (0, b"", ""))
        with open(old, "rb") as file:
            self.assertEqual(file.read(), b"new")
        self.assertEqual(self.file("mv", old, new), (0, b"", ""))
        self.assertFalse(os.path.exists(old))
        self.assertEqual(self.file("ln", "says", self.path("link")), (0, b"", ""))
        self.assertEqual(os.readlink(self.path("link")), "says")
        self.assert_fails(self.file("ln", "says", self.path("link")), 125, self.path("link"),
                          "EEXIST")

    def test_modes_and_owners(self):
        path = self.write("file", b"")
        self.assertEqual(self.file("chmod", "4711", path), (0, b"", ""))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o4711)
        self.assertEqual(self.file("chown", f":{os.getgid()}", path), (0, b"", ""))
        if os.getuid() == 0:
            self.assertEqual(self.file("chown", "12:34", path)[0], 0)
            os.symlink(path, self.path("link"))
            self.assertEqual(self.file("chown", "--no-follow", "56", self.path("link"))[0], 0)
            self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (12, 34))
            self.assertEqual(os.lstat(self.path("link")).st_uid, 56)
        for mode in ("x", "", "8", "10000", "-1", "+1", " 1"):
            self.assert_fails(self.file("chmod", "--", mode, path), 125, "octal")
        for owner in ("", ":", "root", "1:", "1:x", "-1", "4294967295"):
            self.assert_fails(self.file("chown", "--", owner, path), 125, "is no owner")

    def test_mounts(self):
        """The errors everywhere; a real one where this user may mount."""
        self.assert_fails(self.file("umount", self.path("absent")), 125, self.path("absent"))
        self.assert_fails(self.file("mount", "-t", "no-such-type", "none", self.path("absent")), 125,
                          self.path("absent"))
        os.mkdir(self.path("mounted"))
        result = self.file("mount", "-t", "tmpfs", "-o", "ro,size=1m,nosuid", "none",
                           self.path("mounted"))
        if result[0] != 0:
            self.assertIn("EPERM", result[2])
            self.skipTest("this user may not mount")
        try:
            self.assert_fails(self.file("write", self.path("mounted/file"), data=b""), 125, "EROFS")
            with open("/proc/self/mounts", encoding="utf-8") as mounts:
                line = next(line for line in mounts if self.path("mounted") in line)
            self.assertIn("ro,nosuid", line)
            self.assertIn("size=1024k", line)
        finally:
            self.assertEqual(self.file("umount", "--lazy", self.path("mounted")), (0, b"", ""))

    def test_usage(self):
        for arguments in (["stat"], ["mv", "a"], ["mv", "a", "b", "c"], ["nonsense"], [],
                          ["tail", "--from", "x", "a"], ["mkdir", "--mode", "9", "a"]):
            with self.subTest(arguments):
                self.assert_fails(self.provium("file", *arguments[:1], *self.at, *arguments[1:]),
                                  125, "--help")


if __name__ == "__main__":
    tap.main()
