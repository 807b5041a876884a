"""provium run in virtual machines.

    test_run.py KERNEL...    directories with vmlinuz and modules/; the first is used throughout
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import tap
from provium import (TIMEOUT, Case, marked_processes, on_kernel, own_terminal, processes_of,
                     read_until, sha256, terminal)

KERNELS = sys.argv[1:]


class Guest(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNELS[0]), **changes})

    def tearDown(self):
        self.assert_nothing_left()

    def run_shell(self, script, *options, **keywords):
        return self.provium("run", *options, "--", "sh", "-c", script, **keywords)


class Run(Guest):
    def test_streams_and_status(self):
        """On every kernel: both streams, the status, and nothing but notices of ours on stderr."""
        for kernel in KERNELS:
            with self.subTest(kernel):
                status, output, error = self.run_shell(
                    "echo out; echo err >&2; uname -r >&2; exit 7", "--kernel",
                    os.path.join(kernel, "vmlinuz"))
                lines = [line for line in error.splitlines() if not line.startswith("provium: ")]
                self.assertEqual((status, output), (7, b"out\n"))
                self.assertEqual(lines[0], "err")
                self.assertTrue(lines[1].startswith(os.path.basename(kernel) + "."), lines)
                self.assertEqual(len(lines), 2)
                self.assert_nothing_left()

    def test_input_and_everything_that_is_given(self):
        data = os.urandom(1 << 20)
        small = self.write("small", b"of the host")
        disk = self.write("disk", b"disk content".ljust(1 << 20, b"\0"))
        status, output, error = self.run_shell(
            "cat /etc/given; echo; echo $A; pwd; cat /proc/cmdline; nproc;"
            "grep MemTotal /proc/meminfo; head -c 12 /dev/vda; echo;"
            "echo x 2>/dev/null >/dev/vda || echo read-only; lsmod | grep -c ^loop;"
            "sha256sum; kill -SEGV $$",
            "--file", f"/etc/given={small}", "--env", "A=a b", "--cwd", "/usr",
            "--append", "first=1", "--append", "second=2 -- for init", "--cpus", "2",
            "--memory", "300M", "--disk", f"{disk},ro", "--module", "loop", "--fail-on-splat",
            "--console", self.path("console"), data=data)
        lines = output.decode().splitlines()
        self.assertEqual(status, 128 + signal.SIGSEGV, error)
        self.assertEqual(lines[:3], ["of the host", "a b", "/usr"])
        self.assertIn("first=1 second=2", lines[3])
        self.assertEqual(lines[4], "2")
        self.assertTrue(250 << 10 < int(lines[5].split()[1]) < 300 << 10, lines[5])
        self.assertEqual(lines[6:9], ["disk content", "read-only", "1"])
        self.assertEqual(lines[9].split()[0], sha256(data))
        with open(self.path("console"), "rb") as file:
            self.assertIn(b"Linux version", file.read())

    def test_output_as_it_comes_and_the_line_before_it(self):
        """A terminal sees the boot's line, which is gone before the first byte of the guest's."""
        with terminal() as (ours, theirs):
            child = self.start("run", "--", "sh", "-c",
                               "for i in 1 2 3; do echo $i; sleep 1; done; echo end >&2",
                               stderr=theirs, preexec_fn=own_terminal(theirs))
            shown = []
            reader = threading.Thread(target=lambda: shown.append(
                read_until(ours, lambda data: b"end\n" in data, TIMEOUT)))
            reader.start()
            times = []
            for number in (b"1\n", b"2\n", b"3\n"):
                self.assertEqual(child.stdout.readline(), number)
                times.append(time.monotonic())
            reader.join()
            self.assertEqual(child.wait(timeout=TIMEOUT), 0)
        self.assertGreater(times[1] - times[0], 0.7)
        self.assertGreater(times[2] - times[1], 0.7)
        lines = shown[0].decode().split("\r\x1b[K")
        self.assertGreater(len(lines), 10)
        self.assertEqual(lines[-1], "end\n")
        for line in lines[1:-1]:
            self.assertRegex(line, r"\A( *\d+\.\d s  .+|provium: .+\n|)\Z")
        self.assertTrue(any("waiting for the agent" in line for line in lines), lines)

    def test_splat(self):
        """Of a kernel that complains; tests/integration/kernel has real ones."""
        status, output, error = self.run_shell(
            "for line in '------------[ cut here ]------------' 'WARNING: CPU: 0 PID: 1 at here'"
            " '---[ end trace 0000000000000000 ]---'; do echo \"<4>$line\" >/dev/kmsg; done;"
            # A real one changes the taint mask, for which the agent waits a moment.
            "sleep 0.2; echo out; exit 7", "--fail-on-splat")
        self.assertEqual((status, output), (123, b"out\n"))
        self.assertIn("WARNING: CPU: 0 PID: 1 at here\n", error)

    def test_reader_that_goes(self):
        child = self.start("run", "--", "yes")
        self.assertEqual(child.stdout.readline(), b"y\n")
        child.stdout.close()
        child.stdout = None
        self.assertEqual(child.wait(timeout=TIMEOUT), -signal.SIGPIPE)
        for line in child.stderr.read().decode().splitlines():
            self.assertRegex(line, "^provium: .*TCG")
        self.assert_nothing_left()

    def test_disk_that_is_written_to(self):
        """What was written is there, though nobody waited for that, and whatever ended the guest."""
        if not shutil.which("mkfs.ext4") or not shutil.which("debugfs"):
            self.skipTest("no e2fsprogs")
        disk = self.path("disk")
        with open(disk, "wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", disk], check=True)
        mount = "mkdir /m && mount -t ext4 /dev/vda /m && "
        options = ["--disk", disk, "--module", "ext4"]

        status, _, error = self.run_shell(mount + "seq 10000 >/m/first; exit 5", *options)
        self.assertEqual(status, 5, error)
        self.assert_holds(disk, "/first", 10000)

        child = self.start("run", *options, "--", "sh", "-c",
                           mount + "seq 20000 >/m/second; echo written; sleep 1000")
        self.assertEqual(child.stdout.readline(), b"written\n")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(timeout=60), -signal.SIGTERM)
        self.assert_holds(disk, "/second", 20000)

    def test_disk_that_is_full(self):
        """QEMU stops a guest whose disk's file cannot grow: nobody waits for it."""
        small = self.path("small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", small],
                          check=False).returncode:
            self.skipTest("cannot mount")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        disk = os.path.join(small, "disk")
        with open(disk, "wb") as file:
            file.truncate(16 << 20)
        result = self.run_shell("dd if=/dev/zero of=/dev/vda bs=1M", "--disk", disk, "--module",
                                "virtio_blk")
        self.assert_fails(result, 125, "QEMU has stopped the guest", "No space left on device")

    def assert_holds(self, disk, name, lines):
        content = subprocess.run(["debugfs", "-R", f"cat {name}", disk], check=True,
                                 capture_output=True).stdout
        self.assertEqual(content.decode().split(), [str(i) for i in range(1, lines + 1)])


class End(Guest):
    """However it ends, nothing is left."""

    def begin(self, *options, command="echo begun; exec sleep 1000", **keywords):
        child = self.start("run", *options, "--", "sh", "-c", command, **keywords)
        self.assertEqual(child.stdout.readline(), b"begun\n")
        return child

    def test_ctrl_c(self):
        with terminal() as (ours, theirs):
            child = self.begin(stdin=theirs, preexec_fn=own_terminal(theirs))
            os.write(ours, b"\x03")
            self.assertEqual(child.wait(timeout=20), -signal.SIGINT)
        self.assert_nothing_left()

    def test_second_signal(self):
        """The first waits for a guest that has a disk to write to; the second does not."""
        with open(self.path("disk"), "wb") as file:
            file.truncate(1 << 20)
        child = self.begin("--disk", self.path("disk"))
        os.kill(processes_of(child, "qemu-system-x86_64")[0], signal.SIGSTOP)
        child.send_signal(signal.SIGINT)
        with self.assertRaises(subprocess.TimeoutExpired):
            child.wait(timeout=2)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=3), -signal.SIGINT)
        self.assert_nothing_left()

    def test_signal_while_it_boots(self):
        """At four moments of the boot, whatever is being done then."""
        for delay in (0.05, 0.5, 1.5, 3):
            with self.subTest(delay):
                child = self.start("run", "--", "sleep", "1000")
                time.sleep(delay)
                child.send_signal(signal.SIGTERM)
                start = time.monotonic()
                self.assertEqual(child.wait(timeout=20), -signal.SIGTERM)
                self.assertLess(time.monotonic() - start, 5)
                self.assert_nothing_left()

    def test_timeout(self):
        start = time.monotonic()
        result = self.provium("run", "--timeout", "1", "--", "sleep", "1000")
        self.assert_fails(result, 124, "provium: timed out after 1 s")
        self.assertLess(time.monotonic() - start, 10)
        self.assert_nothing_left()

    def test_killed_with_sigkill(self):
        """We cannot clean up, but no process goes on without us."""
        child = self.begin()
        child.kill()
        child.wait()
        end = time.monotonic() + 5
        while marked_processes() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(marked_processes(), [])
        shutil.rmtree(self.temporary)
        os.mkdir(self.temporary)

    def test_qemu_killed(self):
        child = self.begin()
        pids = processes_of(child, "qemu-system-x86_64")
        self.assertEqual(len(pids), 1)
        start = time.monotonic()
        os.kill(pids[0], signal.SIGKILL)
        _, error = child.communicate(timeout=20)
        self.assertLess(time.monotonic() - start, 2)
        self.assertEqual(child.returncode, 125)
        self.assertIn("QEMU", error.decode())
        self.assertIn("signal 9", error.decode())
        self.assert_nothing_left()

    def test_guest_that_panics(self):
        for options, status in ([], 125), (["--fail-on-splat"], 123):
            with self.subTest(options):
                # What was written at the moment of the panic may not have left the guest.
                child = self.begin(*options, command="echo begun; sleep 1;"
                                   "echo c >/proc/sysrq-trigger; sleep 1000")
                _, error = child.communicate(timeout=60)
                self.assertEqual(child.returncode, status)
                self.assertIn("the guest's kernel panicked: sysrq triggered crash", error.decode())
                self.assert_nothing_left()


class BadInput(Guest):
    """Each says what was wrong, is status 125, and leaves nothing."""

    def fails(self, *options, told, status=125, command=("true",), **keywords):
        result = self.provium("run", *options, "--", *command, **keywords)
        notices = "".join(line for line in result[2].splitlines(True)
                          if not line.startswith("provium: no KVM"))
        self.assert_fails((result[0], result[1], notices), status, *told)
        self.assert_nothing_left()
        return notices

    def test_files_that_are_not_there(self):
        absent = self.path("absent")
        for option in ("--kernel", "--modules", "--initrd"):
            with self.subTest(option):
                self.fails(option, absent, told=[absent, "No such file"])
        self.fails("--file", f"/x={absent}", told=[absent, "No such file"])
        self.fails("--disk", absent, told=[absent])
        self.fails("--root", "LABEL=x", told=["root 'LABEL=x'", "PARTUUID=UUID"])
        self.fails("--console", f"{absent}/console", told=[f"{absent}/console"])

    def test_no_kernel_at_all(self):
        host = f"/boot/vmlinuz-{os.uname().release}"
        if os.path.exists(host):
            self.skipTest("this machine has a kernel")
        self.fails(told=[host, "--kernel FILE", "PROVIUM_KERNEL"],
                   env=self.environment(PROVIUM_KERNEL=""))

    def test_files_that_are_none(self):
        text = self.write("text", b"text\n" * 1000)
        self.fails("--kernel", text, told=[text, "kernel"])
        self.fails("--initrd", text, told=[text])
        self.fails("--kernel", self.directory, told=[self.directory, "regular file"])
        self.fails("--modules", self.directory, told=["modules.dep"])

    def test_module_that_is_not_there(self):
        self.fails("--module", "no_such_module", told=["no_such_module"])

    def test_socket_that_cannot_be(self):
        self.fails("--socket", "/" + "x" * 107, told=["107"])
        self.fails("--socket", self.path("no/such"), told=[self.path("no/such")])
        taken = self.write("taken", b"")
        self.fails("--socket", taken, told=[taken])
        self.assertTrue(os.path.exists(taken))
        self.fails("--socket", self.path("s"), "--vsock", "kernel", told=["socket"])

    def test_temporary_directory_that_cannot_be(self):
        self.fails(told=["/no/such"], env=self.environment(TMPDIR="/no/such"))

    def test_programs_that_are_not_there(self):
        """QEMU and busybox are looked for in PATH."""
        self.fails(told=["qemu-system-x86_64"], env=self.environment(PATH=self.directory))

    def test_init_that_is_not_there(self):
        told = self.fails("--init", "/no/such/init", told=["/no/such/init", "No such file"])
        self.assertNotIn("panic", told)

    def test_kernel_without_vsock(self):
        """The modules are there, but not what vsock needs: as with a kernel that has none."""
        modules = self.path("modules")
        os.mkdir(modules)
        for name in ("modules.dep", "modules.builtin"):
            self.write(f"modules/{name}", b"")
        self.fails("--modules", modules, told=["CONFIG_VIRTIO_VSOCKETS"])

    def test_commands(self):
        self.fails(command=["no-such-program"], status=127, told=["no-such-program"])


class Shim(Guest):
    """What provium shim writes is what any launcher can boot: here QEMU and nothing of ours."""

    def test_by_hand(self):
        shim = self.path("shim.cpio")
        token = self.write("token", os.urandom(32))
        os.chmod(token, 0o600)
        self.assertEqual(self.provium("shim", "-o", shim, "--token", token, "--modules",
                                      os.path.join(KERNELS[0], "modules"), "--file",
                                      f"/etc/given={self.write('small', b'given')}"),
                         (0, b"", ""))
        with open(shim, "rb") as file:
            self.assertEqual(file.read(6), b"070701")
        self.assertEqual(os.stat(shim).st_mode & 0o777, 0o600)
        device = self.start_device()
        qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-nodefaults",
             "-display", "none", "-no-reboot", "-machine", "q35,memory-backend=mem",
             "-object", "memory-backend-memfd,id=mem,size=256M,share=on",
             "-chardev", f"socket,id=vs,path={self.path('vhost')}",
             "-device", "vhost-user-vsock-pci,chardev=vs",
             "-kernel", os.path.join(KERNELS[0], "vmlinuz"), "-initrd", shim,
             "-append", "rdinit=/provium-wrapper provium.port=6000 quiet"],
            stdin=subprocess.DEVNULL, env=self.environment())
        self.addCleanup(self.reap, qemu)
        at = ["--connect", f"unix:{self.path('hybrid')}:6000"]
        end = time.monotonic() + TIMEOUT
        while (told := self.provium("info", *at, "--token", token))[0] != 0 and (
                time.monotonic() < end):
            self.assertIsNone(qemu.poll())
        self.assertEqual(told[0], 0, told[2])
        self.assert_fails(self.provium("info", *at), 125, "asks for a token", "--token")
        at += ["--token", token]
        self.assertEqual(self.provium("pull", *at, "/etc/given", self.path("back"))[0], 0)
        with open(self.path("back"), "rb") as file:
            self.assertEqual(file.read(), b"given")
        qemu.terminate()
        qemu.wait()
        device.terminate()
        device.wait()

    def start_device(self):
        program = os.path.join(os.path.dirname(os.environ["PROVIUM"]), "provium-vsock")
        device = subprocess.Popen([program, "--guest-cid", "42", "--socket", self.path("vhost"),
                                   "--uds-path", self.path("hybrid")],
                                  stdin=subprocess.DEVNULL, env=self.environment())
        self.addCleanup(self.reap, device)
        end = time.monotonic() + 10
        while not os.path.exists(self.path("vhost")):
            self.assertIsNone(device.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        return device


if __name__ == "__main__":
    tap.main()
