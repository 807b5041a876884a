"""provium run, and with it what of the library starts a VM, one of whose system calls or allocations
fails. QEMU is the real one, the kernel resets the machine at once.

test_boot.py INJECT PROVIUM STRIDE [CLASS...]
"""

import os
import sys

import faults
import kernel_image
import starting_case
import tap


class Boot(starting_case.StartingCase):
    inject, program, stride = sys.argv[1], sys.argv[2], int(sys.argv[3])
    classes = sys.argv[4:] or [*faults.CLASSES, "no-process"]

    def test_run(self):
        kernel = os.path.join(self.directory, "kernel")
        data = os.path.join(self.directory, "data")
        kernel_image.make(kernel)
        with open(data, "wb") as file:
            file.write(bytes(100000))
        self.check(self.classes,
                   ["run", "--accel", "tcg", "--vsock", "user", "--memory", "64M",
                    "--kernel", kernel, "--file", f"/data={data}", "--", "true"],
                   lambda done, said: done == (125, b"") and "the guest has reset before" in said)


if __name__ == "__main__":
    tap.main()
