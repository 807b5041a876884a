"""The command, and with it the library, one of whose system calls fails.

As test_agent.py, with one command after the other against an agent that nothing happens to: either it
does what it always does, or it ends with a status of its own and says why. It never hangs.

test_command.py AGENT INJECT PROVIUM STRIDE [CLASS...]
"""

import os
import shutil
import subprocess
import sys

import faults
import tap
from agent_case import AgentCase

# agent_case takes the agent from the first argument.
INJECT, PROVIUM, STRIDE = sys.argv[2], sys.argv[3], int(sys.argv[4])
CLASSES = sys.argv[5:] or faults.CLASSES
PATIENCE = 60
# Of Provium's own failures; of the dynamic linker's, before main().
OWN_FAILURES = {125, 127}


class Command(AgentCase):
    def run_one(self, fault, nth, arguments, stdin=b""):
        process = subprocess.run([*faults.command(INJECT, fault, nth, PROVIUM), *arguments],
                                 input=stdin, capture_output=True, timeout=PATIENCE)
        log = process.stderr.decode(errors="replace")
        faults.check(self, fault, log)
        return process.returncode, process.stdout, faults.said(log), faults.count(fault, log)

    def check(self, name, make_arguments, stdin=b""):
        """make_arguments() prepares what the command needs, and gives its arguments."""
        faults.need(INJECT)
        wanted = self.run_one(CLASSES[0], 0, make_arguments(), stdin)[:2]

        def one(fault, nth):
            status, output, said, _ = self.run_one(fault, nth, make_arguments(), stdin)
            if (status, output) == wanted:
                return "as ever"
            self.assertIn(status, OWN_FAILURES, said)
            self.assertTrue(said, "it has not said why")
            return "failed, and said why"

        for fault in CLASSES:
            first = faults.first_own(INJECT, fault, PROVIUM, "version")
            total = self.run_one(fault, 0, make_arguments(), stdin)[3]
            faults.sweep(self, f"{name}: {fault}", range(first, total + 1, STRIDE),
                         lambda nth: one(fault, nth))

    def address(self):
        return f"agent-unix:{self.path}"

    def test_exec(self):
        self.check("exec", lambda: ["exec", "--connect", self.address(), "--",
                                    "/bin/sh", "-c", "cat; echo err >&2; exit 3"], b"input\n")

    def prepare_copy(self):
        """A tree that is there, and one that is not."""
        for name in ("source", "target"):
            shutil.rmtree(self.file(name), ignore_errors=True)
        os.makedirs(self.file("source/directory"))
        with open(self.file("source/directory/file"), "wb") as file:
            file.write(b"x" * 100000)

    def check_copy(self, command):
        def make_arguments():
            self.prepare_copy()
            return [command, "--connect", self.address(), self.file("source"), self.file("target")]

        self.check(command, make_arguments)

    def test_push(self):
        self.check_copy("push")

    def test_pull(self):
        self.check_copy("pull")

    def test_ls(self):
        self.check("file ls", lambda: ["file", "ls", "--connect", self.address(), self.files])


if __name__ == "__main__":
    tap.main()
