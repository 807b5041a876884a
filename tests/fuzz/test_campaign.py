"""tests/fuzz/campaign with a target that finds what is planted in it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap

CAMPAIGN, PLANTED = map(os.path.abspath, sys.argv[1:3])

SECONDS = 4


def words(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


class Campaign(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.keep = directory.name

    def command(self, *targets, seconds=SECONDS):
        return [CAMPAIGN, "--keep", self.keep, str(seconds / 3600), *targets]

    def run_campaign(self, planted, *targets, seconds=SECONDS):
        result = subprocess.run(self.command(*targets, seconds=seconds), timeout=60,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                env={**os.environ, "PLANTED": planted})
        rows = [words(line) for line in result.stdout.splitlines() if line.startswith("| planted")]
        return result, rows

    def findings(self):
        return [name for name in os.listdir(os.path.join(self.keep, "findings"))
                if not name.endswith(".log")]

    def test_usage(self):
        for arguments in ([], ["0"], ["nan"], ["-1"], ["--jobs", "0", "1"], ["1", "/no/such"]):
            result = subprocess.run([CAMPAIGN, *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("usage: ", result.stderr)
        result = subprocess.run([CAMPAIGN, "--help"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0)
        self.assertIn("--jobs", result.stdout)

    def test_nothing_found(self):
        start = time.monotonic()
        result, rows = self.run_campaign("", PLANTED)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(time.monotonic() - start, SECONDS - 1)
        [[_, seconds, executions, rate, features, edges, corpus, findings]] = rows
        self.assertAlmostEqual(int(seconds.split()[0]), SECONDS, delta=2)
        self.assertGreater(int(executions), 1000)
        self.assertGreater(int(rate), 100)
        self.assertGreater(int(features), 0)
        covered, in_all = re.fullmatch(r"(\d+) of (\d+)", edges).groups()
        self.assertTrue(0 < int(covered) <= int(in_all))
        self.assertRegex(corpus, r"^\d+ inputs, \d+b$")
        self.assertEqual(findings, "0")

    def test_each_finding_once(self):
        result, rows = self.run_campaign("!?", PLANTED, seconds=2 * SECONDS)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(rows[0][-1], "2")
        # It went on after them.
        times = [int(number) for number in re.findall(r"^planted, (\d+) times", result.stdout, re.M)]
        self.assertEqual(len(times), 2)
        self.assertGreater(sum(times), 2)
        self.assertEqual(len(self.findings()), 2)
        # What is printed shows it again.
        commands = re.findall(rf"^ +({re.escape(PLANTED)} .*)$", result.stdout, re.M)
        self.assertEqual(len(commands), 2)
        for command in commands:
            again = subprocess.run(command, shell=True, capture_output=True, text=True,
                                   cwd=self.keep, env={**os.environ, "PLANTED": "!?"})
            self.assertIn("ERROR: libFuzzer: deadly signal", again.stderr)
        for _, _, names in os.walk(self.keep):
            self.assertFalse([name for name in names if name.startswith("crash-")])

    def test_others_go_on(self):
        """The other program does not even start."""
        broken = os.path.join(self.keep, "broken")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 7\n")
        os.chmod(broken, 0o755)
        result, rows = self.run_campaign("", broken, PLANTED)
        self.assertEqual(result.returncode, 1)
        self.assertIn("broken: cannot go on", result.stderr)
        self.assertRegex(result.stdout, r"(?m)^broken, 3 times: ")
        self.assertGreater(int(rows[0][2]), 0)

    def test_finding_in_the_corpus(self):
        corpus = os.path.join(self.keep, "corpus", "planted")
        os.makedirs(corpus)
        with open(os.path.join(corpus, "fault"), "w", encoding="utf-8") as file:
            file.write("!")
        start = time.monotonic()
        result, rows = self.run_campaign("!", PLANTED, seconds=60)
        self.assertEqual(result.returncode, 1)
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(rows[0][-1], "1")
        self.assertIn("planted: cannot go on", result.stderr)

    def test_interrupt(self):
        # Who started us in the background may have had it ignored, which is inherited.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM):
            child = subprocess.Popen(self.command(PLANTED, seconds=600), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(child.kill)
            self.assertIn("planted: ", child.stderr.readline())
            time.sleep(2)
            child.send_signal(number)
            told, errors = child.communicate(timeout=30)
            self.assertEqual(child.returncode, 130, errors)
            [row] = [words(line) for line in told.splitlines() if line.startswith("| planted")]
            self.assertGreater(int(row[2]), 0)
            self.assertEqual(row[-1], "0")
            left = subprocess.run(["pgrep", "-f", f"artifact_prefix={self.keep}"],
                                  capture_output=True, text=True)
            self.assertEqual(left.stdout, "")


tap.main()
