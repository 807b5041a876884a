"""However often a guest is shut down, the agent acknowledges it, and QEMU ends by itself.

    test_shutdowns.py KERNEL TIMES    KERNEL: a directory with vmlinuz and modules/
"""

import sys
import time

import tap
from provium import Case, on_kernel

KERNEL, TIMES = sys.argv[1], int(sys.argv[2])


class Shutdowns(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNEL), **changes})

    def test_every_time(self):
        """provium run fails where the guest's end was not acknowledged."""
        start = time.monotonic()
        for number in range(1, TIMES + 1):
            status, output, error = self.provium("run", "--", "echo", str(number))
            self.assertEqual((status, output.decode()), (0, f"{number}\n"), error)
        self.assert_nothing_left()
        print(f"# {TIMES} of {TIMES} acknowledged, {(time.monotonic() - start) / TIMES:.2f} s each")


if __name__ == "__main__":
    tap.main()
