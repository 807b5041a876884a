"""An agent that nobody asks for anything sleeps: none of its threads runs for a minute.

    test_idle.py KERNEL    KERNEL: a directory with vmlinuz and modules/
"""

import re
import sys

import tap
from provium import Case, on_kernel

KERNEL = sys.argv[1]

SETTLE, SECONDS = 10, 60

# How often each thread of the supervisor and of the server has slept and was interrupted, before and
# after. The shell says nothing in between, for what it wrote would wake the agent: that is the third line.
# A message of the kernel's wakes it too, rightly, so they are counted.
LOOK = f"""
agents=$(for process in /proc/[0-9]*; do
	case $(tr '\\0' ' ' 2>/dev/null <"$process/cmdline") in @provium-agent*) echo "$process" ;; esac
done)
look()
{{
	messages=$(dmesg | wc -l)
	switches=$(for agent in $agents; do sed -n 's/^.*ctxt_switches://p' "$agent"/task/*/status; done)
	echo $messages $switches
}}
sleep {SETTLE}
before=$(look)
sleep {SECONDS}
after=$(look)
echo "$before"
echo "$after"
sleep 1
look
"""


class Idle(Case):
    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNEL), **changes})

    def look(self):
        status, output, error = self.provium("run", "--", "/bin/sh", "-c", LOOK)
        self.assertEqual(status, 0, error)
        lines = [[int(number) for number in re.findall(r"\d+", line.decode())]
                 for line in output.splitlines()]
        self.assertEqual(len(lines), 3, output)
        return lines

    def test_no_wake_up(self):
        """Neither supervisor nor server wakes while a command of its runs and says nothing."""
        before, after, awake = self.look()
        if before[0] != after[0]:
            print("# the kernel has said something: once more")
            before, after, awake = self.look()
            self.assertEqual(before[0], after[0], "the kernel does not fall silent")
        # Two numbers for each thread of the two processes.
        self.assertGreaterEqual(len(before), 1 + 4)
        self.assertEqual(before[1:], after[1:])
        self.assertGreater(sum(awake[1:]), sum(after[1:]), "what wakes it is not seen")


if __name__ == "__main__":
    tap.main()
