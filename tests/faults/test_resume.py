"""A guest that is resumed, used, and saved again by the library, one of whose system calls or
allocations fails.

test_resume.py INJECT RESUME KERNELS STRIDE [CLASS...]
"""

import os
import socket
import subprocess
import sys

import faults
import starting_case
import tap

KERNELS = sys.argv[3]
# PROVIUM_SNAPSHOT_MAX_TEXT, PROVIUM_SNAPSHOT_MAX_FDS
MAX_TEXT, MAX_FDS = 131072, 18


class Resume(starting_case.StartingCase):
    inject, program, stride = sys.argv[1], sys.argv[2], int(sys.argv[4])
    classes = sys.argv[5:] or [*faults.CLASSES, "no-process"]

    def save(self):
        """The snapshot's text, in a file, and its fds."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * MAX_TEXT)
        with ours, theirs:
            subprocess.run([self.program, "save", KERNELS, str(theirs.fileno())], check=True,
                           timeout=starting_case.PATIENCE, pass_fds=[theirs.fileno()])
            text, fds, _, _ = socket.recv_fds(ours, MAX_TEXT, MAX_FDS)
        path = os.path.join(self.directory, "snapshot")
        with open(path, "wb") as file:
            file.write(text)
        for fd in fds:
            self.addCleanup(os.close, fd)
        return path, fds

    def test_resume(self):
        path, fds = self.save()
        self.check(self.classes, ["run", path, *map(str, fds)],
                   lambda done, said: done == (0, b"resumed\n"), pass_fds=fds)


if __name__ == "__main__":
    tap.main()
