"""provium run on every kernel that is there, configured in ways that kernels are.

    test_kernels.py KERNEL...    directories with vmlinuz and modules/
"""

import os
import sys

import tap
from provium import Case, on_kernel

KERNELS = sys.argv[1:]

# What each is started with, and what the guest then sees of it.
VARIANTS = {
    "plain": ([], "uname -s", "Linux"),
    "quiet": (["--append", "quiet"], "grep -c quiet /proc/cmdline", "1"),
    "another console": (["--append", "console=hvc9"], "grep -c console=hvc9 /proc/cmdline", "1"),
    "panic_on_warn": (["--append", "panic_on_warn=1"], "cat /proc/sys/kernel/panic_on_warn", "1"),
    "sysrq=0": (["--append", "sysctl.kernel.sysrq=0"], "cat /proc/sys/kernel/sysrq", "0"),
    "lockdown": (["--append", "lockdown=confidentiality"],
                 "mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lockdown",
                 "none integrity [confidentiality]"),
    "init_on_alloc": (["--append", "init_on_alloc=1 init_on_free=1"],
                      "dmesg | grep -c 'heap alloc:on, heap free:on'", "1"),
    "no KASLR": (["--append", "nokaslr"], "grep -c ' _text$' /proc/kallsyms", "1"),
    "1 processor": (["--cpus", "1"], "nproc", "1"),
    "8 processors": (["--cpus", "8"], "nproc", "8"),
    "96 MiB": (["--memory", "96M"], "uname -s", "Linux"),
    "pc": (["--machine", "pc"], "cat /sys/class/dmi/id/product_name",
           "Standard PC (i440FX + PIIX, 1996)"),
    "microvm": (["--machine", "microvm"], "ls /sys/bus/platform/drivers/virtio-mmio | grep -c LNRO",
                "2"),
    "4 GiB": (["--memory", "4G"], "uname -s", "Linux"),
}

# How a guest ends itself, and what is said of it.
ENDS = {
    "poweroff -f": "the guest has shut itself down",
    "reboot -f": "the guest has rebooted",
    "echo c >/proc/sysrq-trigger": "the guest's kernel panicked: sysrq triggered crash",
}


class Kernels(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(self.kernel), **changes})

    def test_variants(self):
        """A command that reads a file of the host's, its status, and an end that was acknowledged."""
        given = self.write("given", b"given\n")
        for kernel in KERNELS:
            for name, (options, look, seen) in VARIANTS.items():
                with self.subTest(kernel=os.path.basename(kernel), variant=name):
                    self.kernel = kernel
                    status, output, error = self.provium(
                        "run", "--file", f"/given={given}", *options, "--", "sh", "-c",
                        f"cat /given; {look}; exit 7")
                    self.assertEqual((status, output.decode()), (7, f"given\n{seen}\n"), error)
                    self.assert_nothing_left()

    def test_machines(self):
        """Disks in their order, and each end as what it is."""
        disks = [f"--disk={self.write(name, name.encode().ljust(4096))},ro" for name in ("a", "b")]
        for kernel in KERNELS:
            for machine in ("q35", "pc", "microvm"):
                with self.subTest(kernel=os.path.basename(kernel), machine=machine):
                    self.kernel = kernel
                    options = ["run", "--machine", machine, *disks, "--", "sh", "-c"]
                    status, output, error = self.provium(
                        *options, "head -c 1 /dev/vda; head -c 1 /dev/vdb")
                    self.assertEqual((status, output.decode()), (0, "ab"), error)
                    for command, told in ENDS.items():
                        status, _, error = self.provium(*options, f"{command}; sleep 1000")
                        self.assertEqual(status, 125, error)
                        self.assertIn(told, error)
                        self.assert_nothing_left()


if __name__ == "__main__":
    tap.main()
