"""Runs the tests of a module with unittest and tells of them in TAP (testanything.org)."""

import sys
import unittest


class TapResult(unittest.TestResult):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.number = 0

    def line(self, word, test, note=""):
        self.number += 1
        print(f"{word} {self.number} - {test.id().split('.', 1)[-1]}{note}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, f" # SKIP {reason}")

    def bad(self, test, error):
        self.line("not ok", test)
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"# {line}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.bad(test, err)

    def addSubTest(self, test, subtest, err):
        # A test with a bad part is not reported as good afterwards, so the part is told here.
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad(subtest, err)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
