"""provium test, and with it the runner and Lua, one of whose system calls or allocations fails. One of the
suite's files asks an agent that nothing happens to, the other asks nobody.

test_suite.py AGENT INJECT PROVIUM STRIDE [CLASS...]
"""

import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree

import faults
import starting_case
import tap
# It takes the agent from the first argument.
from agent_case import AgentCase

ASKS = """
local guest = provium.connect("agent-unix:{agent}")

test("a command", function()
	local result = guest:exec("cat; echo err >&2; exit 3", {{ stdin = "input" }})
	assert_eq(3, result.exit_code)
	assert_eq("input", result.stdout)
	assert_eq("err\\n", result.stderr)
end)
test("a file", function()
	guest:write_file("{file}", string.rep("x", 100000))
	assert_eq(100000, #guest:read_file("{file}"))
end)
"""
COMPUTES = """
test("a document", function()
	assert_eq({ a = { 1, 2 } }, provium.json_decode('{"a": [1, 2]}'))
end)
test("later", function() todo("it is not written") end)
print("computed")
"""
# libxml2 2.9 forgets an element that it has no memory to remember.
LEAKS = "leak:xmlTextWriterStartElement\n"
FILES = ["asks.lua", "computes.lua"]
OUTCOMES = {"passed", "failed", "todo", "not run"}
# It goes on without; and what libxml2 says of memory, of which the report must be right all the same.
HARMLESS_WORDS = "(provium: what failed is not remembered for --rerun-failed: |[a-z ]*error : |$)"


class Suite(starting_case.StartingCase, AgentCase):
    inject, program, stride = sys.argv[2], sys.argv[3], int(sys.argv[4])
    classes = sys.argv[5:] or [*faults.CLASSES, "no-process"]
    # Also a file's process may be the one that has failed.
    own_failures = {1, *starting_case.StartingCase.own_failures}

    # The report in XML of a run in which all is as ever.
    passed = None

    def write_suite(self):
        suite = os.path.join(self.directory, "suite")
        os.mkdir(suite)
        texts = ASKS.format(agent=self.path, file=os.fsdecode(self.file())), COMPUTES
        for name, text in zip(FILES, texts):
            with open(os.path.join(suite, name), "w", encoding="ascii") as file:
                file.write(text)
        return suite

    def report(self, name):
        return os.path.join(self.directory, name)

    def outcomes(self):
        """What the report in JSON says of the files."""
        with open(self.report("json"), encoding="utf-8") as file:
            results = json.load(file)["results"]
        return {result["name"]: result["outcome"] for result in results}

    def junit(self):
        """What the report in XML says, but for times."""
        root = xml.etree.ElementTree.parse(self.report("junit")).getroot()
        return [(element.tag, element.text, sorted(
            (name, value) for name, value in element.attrib.items()
            if not name.startswith("time"))) for element in root.iter()]

    def assert_told(self, process, temporary):
        output = process.stdout.decode()
        if process.returncode in (0, 1):
            outcomes = self.outcomes()
            self.assertEqual(sorted(outcomes), FILES)
            self.assertLessEqual(set(outcomes.values()), OUTCOMES)
            self.assertEqual(process.returncode, int("failed" in outcomes.values()), outcomes)
            junit = self.junit()
            if process.returncode == 0:
                self.passed = self.passed or junit
                self.assertEqual(junit, self.passed)
        for name in ("json", "junit"):
            if os.path.exists(self.report(name)):
                os.remove(self.report(name))
        # The logs of what failed stay, and where they are is told.
        for name in os.listdir(temporary):
            path = os.path.join(temporary, name)
            if path in output:
                shutil.rmtree(path)

    def reason(self, done, said):
        failure = re.search(r"\.\.\. FAIL.*: .+", done[1].decode())
        return said or (failure and failure.group())

    def test_suite(self):
        # Also what the C library's streams read and write: a test's file, lines and reports.
        self.interruptible += (r"|inject: EINTR is the answer to system call [01] .*"
                               rf"\((pipe:|{re.escape(self.directory)}/)")
        os.environ["XDG_STATE_HOME"] = self.report("state")
        with open(self.report("leaks"), "w", encoding="ascii") as file:
            file.write(LEAKS)
        os.environ["LSAN_OPTIONS"] = f"suppressions={self.report('leaks')}:print_suppressions=0"

        def wanted(done, said):
            return (done[0] == 0 and b"; 4 tests: 3 passed, 1 todo;" in done[1] and
                    all(re.match(HARMLESS_WORDS, line) for line in said.splitlines()))

        self.check(self.classes,
                   ["test", "-p", "1", "--mem", "1G", "--cpus", "1", "--accel", "tcg",
                    "--json", self.report("json"), "--junit", self.report("junit"),
                    self.write_suite()],
                   wanted)


if __name__ == "__main__":
    tap.main()
