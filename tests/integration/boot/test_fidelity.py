"""The real init sees what it would see without the wrapper: the same program's view of itself, from
both boots of the same kernel, must be equal.

What differs of necessity and is left out: the numbers of mounts and of devices without a name, which
the agent's detached mounts shift, and the modules that vsock needs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
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
    return re.sub(r"ns/(\w+) -> \w+:\[\d+\]", r"ns/\1", view)


class Fidelity(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="boot-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def boot(self, kernel, initrd, append):
        """The console of a boot to its end."""
        arguments = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256",
                     "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                     "-serial", f"file:{self.path('console')}",
                     "-kernel", os.path.join(kernel, "vmlinuz"), "-initrd", initrd,
                     "-append", "panic=-1 " + append]
        subprocess.run(arguments, stdin=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
        with open(self.path("console"), encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r\n", "\n")

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


if __name__ == "__main__":
    tap.main()
