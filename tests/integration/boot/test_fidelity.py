"""The real init sees what it would see without the wrapper: the same program's view of itself, from
both boots of the same kernel, must be equal.

What differs of necessity and is left out: the numbers of mounts and of devices without a name, which
the agent's detached mounts shift, and the modules that vsock needs.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import image
import tap

PROVIUM = os.environ["PROVIUM"]
VIEW = os.environ["PROVIUM_VIEW"]
KERNELS = sys.argv[1:]
TIMEOUT = 120


def normalise(view):
    """Without mount ids (first two numbers of a mountinfo line), anonymous minors (major 0), and what
    vsock needs of modules."""
    view = re.sub(r"(?m)^(/proc/self/mountinfo: )\d+ \d+ ", r"\1", view)
    view = re.sub(r"(?m)^(/proc/self/mountinfo: )0:\d+ ", r"\g<1>0:N ", view)
    view = re.sub(r"(?m)^/proc/modules: \w*(vsock|virtio)\w* .*\n", "", view)
    # From the memory that there is, to the page.
    view = re.sub(r"(devtmpfs rw),size=\d+k,nr_inodes=\d+", r"\1", view)
    return re.sub(r"ns/(\w+) -> \w+:\[\d+\]", r"ns/\1", view)


class Fidelity(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="boot-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def arguments(self, kernel, initrd, append):
        return ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-serial", f"file:{self.path('console')}",
                "-kernel", os.path.join(kernel, "vmlinuz"), "-initrd", initrd,
                "-append", "panic=-1 " + append]

    def console(self):
        with open(self.path("console"), encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r\n", "\n")

    def boot(self, kernel, initrd, append, *devices):
        """The console of a boot to its end."""
        subprocess.run(self.arguments(kernel, initrd, append) + list(devices),
                       stdin=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
        return self.console()

    def view(self, *boot):
        console = self.boot(*boot)
        found = re.search(r"VIEW BEGINS\n(.*)VIEW ENDS\n", console, re.DOTALL)
        self.assertIsNotNone(found, console[-3000:])
        return normalise(found[1])

    def images(self, kernel, files):
        """The same image without and with a shim. Of one length, as limits follow from memory."""
        plain, shim = self.path("plain"), self.path("shim")
        with open(plain, "wb") as file:
            file.write(image.archive(files))
        subprocess.run([PROVIUM, "shim", "-o", shim, "--initrd", plain,
                        "--modules", os.path.join(kernel, "modules")],
                       check=True, timeout=TIMEOUT)
        os.truncate(plain, os.path.getsize(shim))
        return plain, shim

    def compare(self, kernels, name, console, arguments, with_wrapper):
        with open(VIEW, "rb") as file:
            program = file.read()
        for kernel in kernels:
            with self.subTest(kernel=kernel):
                plain, shim = self.images(kernel, {name: program, "dev": None})
                # Where KASLR puts the kernel decides by pages how much memory is left, and limits
                # and the root's size follow from that. Some kernels pass the word on to init.
                append = f"console={console} loglevel=0 word provium=1 x.y=z nokaslr"
                without = self.view(kernel, plain, f"rdinit=/{name} {append} {arguments}")
                with_it = self.view(kernel, shim,
                                    f"rdinit=/provium-wrapper {with_wrapper} {append} {arguments}")
                self.assertEqual(without, with_it)
                # It is no empty comparison.
                self.assertIn(f"argv[0] '/{name}'\n", without)
                self.assertIn("argv[1] 'word'\n", without)
                self.assertIn("environ 'provium=1'\n", without)
                self.assertIn("pid 1 ", without)
                self.assertIn("mountinfo: 0:N / / ", without)
        return without

    def test_init_of_the_image(self):
        """Without provium.init= it is /init."""
        view = self.compare(KERNELS, "init", "ttyS0", '-- last "a b"', "")
        self.assertRegex(view, r"argv\[\d\] 'last'\nargv\[\d\] 'a b'\n")
        self.assertEqual(len(re.findall(r"(?m)^fd \d+ ", view)), 3)

    def test_named_init(self):
        self.compare(KERNELS[:1], "view", "ttyS0", "", "provium.init=/view")

    def test_no_console(self):
        """fds 0 to 2 are absent, and stay so."""
        view = self.compare(KERNELS[-1:], "init", "hvc7", "", "")
        self.assertNotIn("\nfd ", view)

    def disk(self):
        """QEMU's options for a disk that these kernels have a driver for, and the view on it."""
        root = self.path("root")
        for name in ("dev", "proc"):
            os.makedirs(os.path.join(root, name))
        shutil.copy(VIEW, os.path.join(root, "view"))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, self.path("disk"), "8M"],
                       env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
                       stdout=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
        return ["-drive", f"file={self.path('disk')},if=none,id=d,format=raw,snapshot=on"]

    def test_root(self):
        """On a root that the wrapper has mounted init sees what it would if the kernel had."""
        disk = [*self.disk(), "-device", "nvme,drive=d,serial=1"]
        # An initramfs without an init: the kernel leaves it for root=.
        plain, shim = self.images(KERNELS[-1], {"nothing": b""})
        append = ("console=ttyS0 loglevel=0 nokaslr root=/dev/nvme0n1 rootflags=commit=9 rw "
                  "devtmpfs.mount=1 init=/view word")
        without = self.view(KERNELS[-1], plain, append, *disk)
        with_it = self.view(KERNELS[-1], shim, f"rdinit=/provium-wrapper {append}", *disk)
        self.assertEqual(without, with_it)
        self.assertIn("argv[0] '/view'\nargv[1] 'word'\n", without)
        self.assertRegex(without, r"mountinfo: 259:\d / / rw,.* - ext4 /dev/root rw,commit=9\n")
        self.assertIn(" / /dev rw,relatime - devtmpfs devtmpfs ", without)

    def await_console(self, text):
        end = time.monotonic() + TIMEOUT
        while text not in self.console():
            self.assertLess(time.monotonic(), end, self.console()[-3000:])
            time.sleep(0.05)

    def test_late_disk(self):
        """A root's device that comes while it is waited for is noticed as it comes."""
        shim = self.images(KERNELS[-1], {"nothing": b""})[1]
        append = "rdinit=/provium-wrapper console=ttyS0 provium.root=/dev/nvme0n1 rootwait rw init=/view"
        with open(self.path("console"), "wb"):
            pass
        # A port that takes it while the guest runs.
        qemu = subprocess.Popen([*self.arguments(KERNELS[-1], shim, append), *self.disk(),
                                 "-machine", "q35", "-device", "pcie-root-port,id=rp0,chassis=1",
                                 "-qmp", "stdio"],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            self.await_console("Run /provium-wrapper as init process")
            # What the agent does first takes a fraction of that.
            time.sleep(2)
            start = time.monotonic()
            qemu.stdin.write(
                b'{"execute": "qmp_capabilities"}\n{"execute": "device_add", "arguments": '
                b'{"driver": "nvme", "drive": "d", "serial": "1", "bus": "rp0"}}\n')
            qemu.stdin.flush()
            self.await_console("VIEW BEGINS")
            # Who does not notice looks again after a minute.
            self.assertLess(time.monotonic() - start, 30)
        finally:
            qemu.kill()
            qemu.communicate()

    def test_no_agent(self):
        """Where there is none to wait for, init is executed all the same, held back or not."""
        for name, content, expected in (
                ("provium-agent", b"no program", "fatal: cannot execute /provium-agent"),
                ("provium-agent.packed", b"\x20\0\0\0no block of LZ4",
                 f"fatal: cannot unpack /provium-agent.packed: errno {errno.EBADMSG:03}")):
            with self.subTest(name=name), open(VIEW, "rb") as file:
                files = {"init": file.read(), "dev": None, name: content}
                shim = self.images(KERNELS[-1], files)[1]
                console = self.boot(KERNELS[-1], shim,
                                    "rdinit=/provium-wrapper console=ttyS0 provium.hold")
                self.assertIn("VIEW ENDS", console)
                self.assertIn(expected, console)
                self.assertIn("fatal: it ended at its start", console)


if __name__ == "__main__":
    tap.main()
