"""A guest that provium run keeps, and others that work with it: one boot for all of it.

    test_outside.py short|full KERNEL...    full: a whole GiB there and back
                                            directories with vmlinuz and modules/
"""

import json
import os
import signal
import subprocess
import sys
import time

import tap
from provium import TIMEOUT, Case, file_sha256, on_kernel, read_until

LENGTH, *KERNELS = sys.argv[1:]

MIB = 1 << 20
BIG = 1024 if LENGTH == "full" else 128


class Outside(Case):
    def test_guests(self):
        for kernel in KERNELS:
            with self.subTest(os.path.basename(kernel)):
                self.on_a_guest(kernel)

    def on_a_guest(self, kernel):
        self.socket = self.path("socket")
        self.at = ["--connect", f"unix:{self.socket}"]
        # The commands keep their input open; ours is a pipe, so that it ends with us.
        guest = self.start("run", "--socket", self.socket, "--memory", "3G", "--", "sh", "-c",
                           "echo begun; cat", stdin=subprocess.PIPE,
                           env=self.environment(**on_kernel(kernel)))
        self.assertEqual(guest.stdout.readline(), b"begun\n")
        self.assertEqual(os.stat(self.socket).st_mode & 0o077, 0)
        self.assertTrue(self.info()["kernel_release"].startswith(os.path.basename(kernel)))
        self.use()
        guest.stdin.close()
        guest.stdin = None
        self.assertEqual(guest.wait(timeout=30), 0)
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.socket))

    def use(self):
        for part in (self.info_and_exec, self.big_file, self.full_disk, self.reader_that_goes,
                     self.side_by_side, self.job_on_a_terminal,
                     self.commands_end_with_their_connections, self.workers):
            with self.subTest(part.__name__):
                part()

    def info(self):
        status, output, error = self.provium("info", *self.at, "--json")
        self.assertEqual((status, error), (0, ""))
        return json.loads(output)

    def execute(self, *command, **keywords):
        return self.provium("exec", *self.at, "--", *command, **keywords)

    def info_and_exec(self):
        self.assertEqual(self.info()["commands_running"], 1)
        self.assertEqual(self.execute("sh", "-c", "echo out; echo err >&2; exit 9"),
                         (9, b"out\n", "err\n"))
        self.assert_fails(self.execute("no-such-program"), 127, "no-such-program")
        self.assert_fails(self.execute("/usr"), 126, "/usr")
        data = os.urandom(4 * MIB)
        self.assertEqual(self.execute("cat", data=data), (0, data, ""))
        # A port that nobody listens on.
        self.assert_fails(self.provium("info", "--connect", f"unix:{self.socket}:77"), 125, "77")

    def big_file(self):
        """There and back, and the agent's memory does not grow with it."""
        block = os.urandom(MIB)
        with open(self.path("big"), "wb") as file:
            for i in range(BIG):
                file.write(i.to_bytes(8, "little") + block[8:])
        digest = file_sha256(self.path("big"))
        # Once in small, so that what is allocated at the first transfer is there.
        small = self.write("small", block)
        self.assertEqual(self.provium("push", *self.at, small, "/tmp/")[0], 0)
        self.assertEqual(self.provium("pull", *self.at, "/tmp/small", self.path("back"))[0], 0)
        before = self.info()["resident_bytes"]
        most = before
        speeds = []
        for arguments in (["push", *self.at, self.path("big"), "/tmp/big"],
                          ["pull", *self.at, "/tmp/big", self.path("back")]):
            start = time.monotonic()
            child = self.start(*arguments)
            while child.poll() is None:
                most = max(most, self.info()["resident_bytes"])
                time.sleep(0.5)
            self.assertEqual(child.returncode, 0, child.stderr.read())
            speeds.append(BIG / (time.monotonic() - start))
        after = self.info()["resident_bytes"]
        print(f"# {BIG} MiB: push {speeds[0]:.0f} MiB/s, pull {speeds[1]:.0f} MiB/s, agent's RSS "
              f"{before >> 10} KiB before, {most >> 10} at most, {after >> 10} after")
        self.assertEqual(file_sha256(self.path("back")), digest)
        self.assertLess(most - before, MIB)
        os.unlink(self.path("back"))
        os.unlink(self.path("big"))

    def full_disk(self):
        """The guest's big file does not fit in a file system of 2 MiB."""
        os.makedirs(self.path("full"), exist_ok=True)
        script = ('mount -t tmpfs -o size=2m tmpfs "$1" && shift && "$@"; status=$?; '
                  'ls "$0"; exit $status')
        child = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script, self.path("full"),
             self.path("full"), os.environ["PROVIUM"], "pull", *self.at, "/tmp/big",
             self.path("full/big")], capture_output=True, env=self.environment(), check=False)
        if b"unshare" in child.stderr or b"mount:" in child.stderr:
            self.skipTest(child.stderr.decode().strip())
        self.assert_fails((child.returncode, child.stdout, child.stderr.decode()), 125,
                          self.path("full/big"), "No space left on device")

    def reader_that_goes(self):
        child = self.start("exec", *self.at, "--", "yes")
        self.assertEqual(child.stdout.readline(), b"y\n")
        child.stdout.close()
        child.stdout = None
        self.assertEqual(child.wait(timeout=20), -signal.SIGPIPE)

    def side_by_side(self):
        children = [self.start("exec", *self.at, "--", "sh", "-c", f"sleep 1; echo {i}")
                    for i in range(16)]
        for i, child in enumerate(children):
            self.assertEqual(child.communicate(timeout=TIMEOUT), (f"{i}\n".encode(), b""))
            self.assertEqual(child.returncode, 0)

    def job_on_a_terminal(self):
        """Each step by a process of its own; one shows what the job writes, all the time."""
        script = ("sleep 1000 & trap 'stty size; kill $!' WINCH; test -t 0 && stty size; "
                  "wait $!; read line; echo got $line; exit 3")
        status, _, error = self.provium("job", "start", *self.at, "--name", "screen", "--tty",
                                        "--input", "--", "sh", "-c", script)
        self.assertEqual((status, error), (0, ""))
        shown = self.start("job", "output", *self.at, "--follow", "screen")
        before = read_until(shown.stdout.fileno(), lambda data: data.endswith(b"\n"), 60)
        self.assertEqual(before, b"24 80\r\n")
        self.assertEqual(self.provium("job", "resize", *self.at, "screen", "41", "132"),
                         (0, b"", ""))
        resized = read_until(shown.stdout.fileno(), lambda data: data.endswith(b"\n"), 60)
        self.assertEqual(resized, b"41 132\r\n")
        self.assertEqual(self.provium("job", "send", *self.at, "screen", data=b"hello\r"),
                         (0, b"", ""))
        typed, error = shown.communicate(timeout=60)
        self.assertEqual((shown.returncode, typed, error), (0, b"hello\r\ngot hello\r\n", b""))
        # All of it has been kept.
        self.assertEqual(self.provium("job", "wait", *self.at, "--output", "screen"),
                         (3, before + resized + typed, ""))

    def commands_end_with_their_connections(self):
        end = time.monotonic() + 20
        while self.info()["commands_running"] > 1 and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(self.info()["commands_running"], 1)

    def workers(self):
        for options in ([], ["--thread"]):
            with self.subTest(options):
                status, output, error = self.provium("worker", "spawn", *self.at, *options,
                                                     "--user", "1234:5678", "--groups", "9")
                self.assertEqual((status, error), (0, ""))
                address = output.decode().strip()
                self.assertRegex(address, rf"\Aunix:{self.socket}:[0-9]+\Z")
                self.assertEqual(self.provium("exec", "--connect", address, "--", "sh", "-c",
                                              "echo $(id -u) $(id -g) $(id -G)"),
                                 (0, b"1234 5678 5678 9\n", ""))


if __name__ == "__main__":
    tap.main()
