"""The kernel unpacks all three parts of what `provium shim` makes, whatever the second is."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import image
import tap

PROVIUM = os.environ["PROVIUM"]
KERNELS = sys.argv[1:]
TIMEOUT = 300


class Images(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="boot-")
        self.addCleanup(shutil.rmtree, self.directory)

    def write(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run_in(self, kernel, parts, command, *options):
        """Runs a shell command in a guest that was booted with the parts as its initramfs."""
        initrd = self.write("initrd", b"".join(parts))
        result = subprocess.run(
            [PROVIUM, "run", "--kernel", os.path.join(kernel, "vmlinuz"),
             "--modules", os.path.join(kernel, "modules"), "--initrd", initrd,
             "--console", os.path.join(self.directory, "console"), *options,
             "--", "/bin/busybox", "sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            timeout=TIMEOUT)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    def userland(self):
        with open("/bin/busybox", "rb") as file:
            return {"usr": None, "usr/bin": None, "usr/bin/busybox": file.read(),
                    "bin": "usr/bin", "etc": None, "etc/given": b"image"}

    def test_compressions(self):
        """One image of parts in every compression; each has a file of its own. In front of them an
        archive that is looked into before any decompressor is there."""
        early = image.archive({"kernel": None, "kernel/firmware": None,
                               "kernel/firmware/acpi": None,
                               "kernel/firmware/acpi/test.aml": image.acpi_table()})
        # Of compressed parts the first has the directories that files are put into: those behind it
        # are not looked into.
        parts = [early, image.COMPRESSIONS["gzip"](image.archive(self.userland()))]
        for name, compress in image.COMPRESSIONS.items():
            # What has no end of its own ends at four zeros; an archive begins at a multiple of four.
            parts.append(bytes(4 + -sum(map(len, parts)) % 4))
            parts.append(compress(image.archive({f"from-{name}": name.encode()})))
        given = self.write("given", b"file")
        for kernel in KERNELS:
            with self.subTest(kernel=kernel):
                output = self.run_in(
                    kernel, parts,
                    "cd /; busybox cat from-*; echo; busybox readlink bin; busybox cat etc/given "
                    "bin/new/given; echo; "
                    "busybox dmesg | busybox grep -c 'table found in initrd.*test.aml'",
                    "--file", f"/etc/given={given}", "--file", f"/bin/new/given={given}")
                self.assertEqual(output,
                                 "".join(sorted(image.COMPRESSIONS)) + "\nusr/bin\nfilefile\n1\n")

    def test_last_part(self):
        """The files come behind any kind of image, and find their place in the directories of it."""
        given = self.write("given", b"file")
        for number, name in enumerate(["plain", "xz", "zstd"]):
            kernel = KERNELS[number % len(KERNELS)]
            with self.subTest(kernel=kernel, compression=name):
                data = image.COMPRESSIONS[name](image.archive(self.userland()))
                output = self.run_in(kernel, [data], "busybox cat /usr/bin/given",
                                     "--file", f"/bin/given={given}")
                self.assertEqual(output, "file")


if __name__ == "__main__":
    tap.main()
