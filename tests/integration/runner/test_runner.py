"""provium test: a suite in which tests, guests and QEMU fail in their ways; and runs that are killed.

    test_runner.py KERNEL SCHEMA    a directory with vmlinuz and modules/; the schema of JUnit's XML
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

import tap
from provium import (TIMEOUT, Case, marked_processes, on_kernel, own_terminal, read_until,
                     terminal)

KERNEL, SCHEMA = sys.argv[1:3]

# Each file's time: enough for a guest under TCG on a busy machine, and what the hanging file costs.
FILE_TIMEOUT = 30

GUEST = 'local vm = provium.create()\nvm:boot({ memory = "256M" })\n'

GOOD_FILES = 31

# A file of the suite, and what it must come to: the outcome, and what has to be told.
SUITE = {
    "boot.lua": ("passed", [], GUEST + """
test("kernel boots", function() assert_eq(vm:exec("echo hi").stdout, "hi\\n") end)
test("complex scenario", function() todo("waiting on feature X") end)
"""),
    "crash.lua": ("failed", ["was killed by signal 9", "it did not end"], """
test("kills itself", function() os.execute("kill -9 $PPID") end)
"""),
    "exit.lua": ("failed", ["exited with status 0 before the file's end"], """
test("fine", function() end)
os.exit(0, false)
"""),
    "fail.lua": ("failed", ["fail.lua:2: expected 2, got 3", "the last words of this file"], """
print("the last words of this file")
test("wrong", function() assert_eq(1 + 1, 3) end)
test("right", function() assert_eq(1 + 1, 2) end)
"""),
    "hang.lua": ("failed", [f"it ran longer than {FILE_TIMEOUT} s (--timeout)",
                            "it was at ", "hang.lua:1"], """
test("for ever", function() os.execute("sleep 100000 & while :; do sleep 1000; done") end)
"""),
    "panic.lua": ("failed", ["panic.lua", "panicked: sysrq triggered crash", "sysrq_handle_crash"], GUEST + """
test("panics", function()
    vm:exec("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
end)
"""),
    "qemu.lua": ("failed", ["qemu.lua", "killed by signal 9"], GUEST + """
os.execute("for p in $(cat /proc/$PPID/task/$PPID/children); do "
    .. "grep -q ^qemu /proc/$p/comm && kill -9 $p; done")
vm:exec("true")
"""),
    "splat.lua": ("failed", ["WARNING: CPU: 0 PID: 1 at here"], GUEST + """
test("warns", function()
    vm:exec("for line in '------------[ cut here ]------------' 'WARNING: CPU: 0 PID: 1 at here'"
        .. " '---[ end trace 0000000000000000 ]---'; do echo \\"<4>$line\\" >/dev/kmsg; done;"
        .. " sleep 0.2")
end)
"""),
    "syntax.lua": ("failed", ["syntax.lua:1:"], "this is no Lua"),
    **{f"good/{i:02}.lua": ("passed", [], f'test("adds {i}", function() assert_eq({i} + 1, {i + 1}) end)')
       for i in range(GOOD_FILES)},
}


class Runner(Case):
    def setUp(self):
        super().setUp()
        self.suite = self.path("suite")
        os.mkdir(self.suite)

    def environment(self, **changes):
        return super().environment(**{**on_kernel(KERNEL), "XDG_STATE_HOME": self.path("state"),
                                      **changes})

    def put(self, name, text):
        path = os.path.join(self.suite, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.lstrip("\n"))

    def assert_only_logs_left(self):
        """In a directory of the run, for this user alone."""
        runs = os.listdir(self.temporary)
        self.assertEqual(len(runs), 1, runs)
        directory = os.path.join(self.temporary, runs[0])
        self.assertEqual(os.stat(directory).st_mode & 0o777, 0o700)
        for name in os.listdir(directory):
            self.assertRegex(name, r"^\d{3}-.*\.lua$")
        shutil.rmtree(directory)
        self.assert_nothing_left()

    def wait_for_nothing(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and (marked_processes() or os.listdir(self.temporary)):
            time.sleep(0.01)
        self.assert_nothing_left()

    def judge(self, results):
        for name, (outcome, texts, _) in SUITE.items():
            result = results[name]
            with self.subTest(name):
                self.assertEqual(result["outcome"], outcome, result)
                for text in texts:
                    self.assertIn(text, json.dumps(result, ensure_ascii=False))

    def test_suite(self):
        """Forty files: right verdicts in all reports, and nothing left."""
        self.assertEqual(len(SUITE), 40)
        for name, (_, _, text) in SUITE.items():
            self.put(name, text)
        status, output, error = self.provium(
            "test", "--timeout", str(FILE_TIMEOUT), "-p", "2", "--cpus", "2", "--tap",
            "--junit", self.path("junit.xml"), "--json", self.path("out.json"), self.suite)
        self.assertEqual(status, 1, error)
        with open(self.path("out.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.judge({result["name"]: result for result in report["results"]})
        failed = [name for name, (outcome, _, _) in SUITE.items() if outcome == "failed"]
        self.assertEqual(report["files"], {"passed": 40 - len(failed), "failed": len(failed),
                                           "todo": 0, "not_run": 0})
        self.check_tap(output.decode(), failed)
        self.check_junit(failed)
        self.assert_only_logs_left()
        self.check_rerun(failed)

    def check_tap(self, text, failed):
        self.assertTrue(text.startswith("TAP version 13\n1..40\n"), text)
        self.assertEqual(sorted(re.findall(r"^not ok \d+ - (.*)", text, re.MULTILINE)), failed)
        if not shutil.which("prove"):
            return
        path = self.write("out.tap", text.encode())
        result = subprocess.run(["prove", "--exec", "cat", path], capture_output=True, text=True,
                                check=False)
        self.assertIn(f"Failed {len(failed)}/40 subtests", result.stdout + result.stderr)
        self.assertNotIn("Parse errors", result.stdout)

    def check_junit(self, failed):
        root = xml.etree.ElementTree.parse(self.path("junit.xml")).getroot()
        bad = [suite.get("name") for suite in root
               if int(suite.get("failures")) + int(suite.get("errors")) > 0]
        self.assertEqual(sorted(bad), failed)
        if shutil.which("xmllint"):
            result = subprocess.run(["xmllint", "--noout", "--schema", SCHEMA,
                                     self.path("junit.xml")],
                                    capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)

    def check_rerun(self, failed):
        """Those that failed are known, and each is in one shard."""
        status, output, _ = self.provium("test", "--list", "--rerun-failed", self.suite)
        self.assertEqual(status, 0)
        self.assertEqual(output.decode().split(),
                         [os.path.join(self.suite, name) for name in failed])
        parts = []
        for i in range(1, 4):
            parts += self.provium("test", "--list", "--shard", f"{i}/3", self.suite)[1].split()
        self.assertEqual(sorted(parts), sorted(os.path.join(self.suite, name).encode()
                                               for name in SUITE))

    def test_usage(self):
        self.put("a.lua", "")
        for arguments, text in ((["--shard", "3/2", self.suite], "--shard"), ([], "PATH"),
                                ([self.path("nowhere")], "No such file"),
                                (["-f", "x", self.suite], "no such test file"),
                                (["--mem", "0", self.suite], "--mem")):
            status, output, error = self.provium("test", *arguments)
            self.assertEqual((status, output), (2, b""))
            self.assertIn(text, error)
        status, output, _ = self.provium("test", self.suite)
        self.assertEqual(status, 0)
        self.assertIn(b"\n1 file: 1 passed; 0 tests: 0 passed; ", output)
        status, _, error = self.provium("test", "--json", self.path("no/where"), self.suite)
        self.assertEqual(status, 125)
        self.assertIn("No such file", error)
        # A reader that goes away.
        for i in range(30):
            self.put(f"{i}.lua", 'test("' + "x" * 900 + '", function() end)\n' * 200)
        child = self.start("test", self.suite)
        child.stdout.close()
        self.assertEqual(child.wait(timeout=TIMEOUT), -signal.SIGPIPE)
        self.assert_nothing_left()

    def test_shared_guests(self):
        """A fixture is set up once; more guests than there is room for take turns."""
        self.put("fixtures/base.lua", GUEST + 'vm:write_file("/tmp/mark", "made")\n'
                 f'local f = io.open("{self.path("count")}", "a") f:write("x") f:close()\n')
        for i in range(3):
            self.put(f"{i}.lua", """
test("resumed", function()
    local vm = provium.fixture("base")
    assert_eq(vm:read_file("/tmp/mark"), "made")
    vm:write_file("/tmp/mark", "changed")
end)
""")
        status, output, error = self.provium("test", "-p", "3", "--cpus", "1", "--mem", "300M",
                                             self.suite)
        self.assertEqual(status, 0, output.decode() + error)
        with open(self.path("count"), encoding="ascii") as file:
            self.assertEqual(file.read(), "x")
        self.assert_nothing_left()

    def test_put_back(self):
        """Two files that have a guest each and want another, with room for two guests."""
        for name in "a", "b":
            self.put(f"{name}.lua", GUEST + f"""
io.open("{self.path("has-")}{name}", "w"):close()
os.execute("until [ -e {self.path("has-a")} ] && [ -e {self.path("has-b")} ]; do sleep 0.1; done")
test("has two", function()
    local other = provium.create()
    other:boot({{ memory = "256M" }})
    assert_eq(other:exec("echo $((6 * 7))").stdout, "42\\n")
    assert_eq(vm:exec("echo $((6 * 7))").stdout, "42\\n")
end)
""")
        status, output, error = self.provium("test", "-p", "2", "--cpus", "2", "--mem", "600M",
                                             self.suite)
        self.assertEqual(status, 0, output.decode() + error)
        self.assertRegex(error, r"provium: [ab]\.lua is put back")
        self.assertIn(b"\n2 files: 2 passed; 2 tests: 2 passed; ", output)
        self.assert_nothing_left()

    def begin_hanging(self, **options):
        """A run of which one file hangs in a guest, and another with a process beside it."""
        ready = self.path("ready")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready)
        self.put("guest.lua", GUEST + f'io.open("{ready}", "w"):close()\nvm:exec("sleep 100000")\n')
        self.put("beside.lua", 'os.execute("setsid sleep 100000 & sleep 100000")\n')
        child = self.start("test", "--cpus", "2", "-p", "2", self.suite, **options)
        end = time.monotonic() + TIMEOUT
        while not os.path.exists(ready):
            self.assertIsNone(child.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertTrue(any("qemu" in process for process in marked_processes()))
        self.assertTrue(any("sleep" in process for process in marked_processes()))
        return child

    def test_killed(self):
        """SIGKILL to either of the two processes, and signals: nothing is left."""
        def runner(child):
            path = f"/proc/{child.pid}/task/{child.pid}/children"
            with open(path, encoding="ascii") as file:
                return int(file.read().split()[0])

        for act, status in (
                (lambda child: os.kill(child.pid, signal.SIGKILL), -signal.SIGKILL),
                (lambda child: os.kill(runner(child), signal.SIGKILL), 125),
                (lambda child: os.kill(child.pid, signal.SIGINT), -signal.SIGINT),
                (lambda child: os.kill(child.pid, signal.SIGTERM), -signal.SIGTERM)):
            with self.subTest(status=status):
                child = self.begin_hanging()
                act(child)
                error = child.communicate(timeout=30)[1].decode()
                self.assertEqual(child.returncode, status)
                if status == 125:
                    self.assertIn(f"was killed by signal 9: logs: {self.temporary}/", error)
                    self.assert_only_logs_left()
                # Where the first has been killed the second is still at it.
                self.wait_for_nothing(10)

    def test_interrupted_on_a_terminal(self):
        """Ctrl-C, and before it the line that shows how far the run is."""
        with terminal() as (ours, theirs):
            child = self.begin_hanging(stdin=theirs, stdout=theirs, stderr=theirs,
                                       preexec_fn=own_terminal(theirs))
            read_until(ours, lambda data: b"\r\x1b[K0/2 files  " in data and b"guest.lua " in data,
                       30)
            os.write(ours, b"\x03")
            shown = read_until(ours, lambda data: b"2 not run" in data, 30)
            self.assertEqual(child.wait(timeout=30), -signal.SIGINT)
            self.assertIn(b"2 files: 0 passed, 2 not run; ", shown)
        self.assert_nothing_left()


if __name__ == "__main__":
    tap.main()
