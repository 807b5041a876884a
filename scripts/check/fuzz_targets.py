"""The libFuzzer targets: which there are, how one is run, and what it tells of a run."""

import json
import os
import re

from common import BUILDS, ROOT, Failure, build_aside, configure, must, run

CLANG = BUILDS["clang"][0]


class Target:
    def __init__(self, name, program, seeds=None, kept=CLANG):
        self.name = name
        self.program = program
        self.seeds = seeds
        # What a run finds is kept for the next one; the project's own corpus is only read.
        self.grown = os.path.join(kept, "corpus", name)
        self.findings = os.path.join(kept, "findings")

    def command(self, seconds):
        os.makedirs(self.grown, exist_ok=True)
        os.makedirs(self.findings, exist_ok=True)
        return [self.program, f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=512",
                "-print_final_stats=1", f"-artifact_prefix={self.findings}/{self.name}-",
                self.grown, *([self.seeds] if self.seeds else [])]


def configured_targets():
    listed = json.loads(must(run("meson", "introspect", "--targets", configure("clang"))))
    programs = sorted(target["name"] for target in listed
                      if target["type"] == "executable" and target["name"].startswith("fuzz-"))
    if not programs:
        raise Failure("tests/fuzz/meson.build has no target named fuzz-*")
    targets = []
    for program in programs:
        name = program[len("fuzz-"):]
        seeds = os.path.join(ROOT, "tests/fuzz/corpus", name)
        if not os.path.isdir(seeds):
            raise Failure(f"no corpus: tests/fuzz/corpus/{name}/")
        targets.append(Target(name, os.path.join(CLANG, "tests/fuzz", program), seeds))
    return targets


def build_targets(targets):
    build_aside("clang", *(os.path.relpath(target.program, CLANG) for target in targets))


class Output:
    """What a target prints, line by line."""

    def __init__(self):
        self.executions = 0
        # Nothing is known of these before all of the corpus was read.
        self.ready = False
        self.edges = self.features = self.edges_in_all = 0
        self.corpus = ""
        # Without the lines of which there are many, and which tell only that it goes on.
        self.log = ""
        # The file with the input of a finding.
        self.unit = None

    def read(self, line):
        if match := re.match(r"#(\d+)\s", line):
            self.executions = int(match[1])
            self.ready = self.ready or "\tINITED" in line
            if match := re.search(r"cov: (\d+) ft: (\d+) corp: (\S+)", line):
                self.edges, self.features, self.corpus = int(match[1]), int(match[2]), match[3]
            return
        # Of new functions, and those that call them.
        if re.match(r"\s*NEW_FUNC|\s*[= ]>?0x\w+: ", line):
            return
        self.log += line
        if match := re.match(r"stat::number_of_executed_units:\s*(\d+)", line):
            self.executions = int(match[1])
        elif match := re.search(r"Loaded \d+ modules\s+\((\d+) inline", line):
            self.edges_in_all = int(match[1])
        elif match := re.search(r"Test unit written to (\S+)", line):
            self.unit = match[1]
