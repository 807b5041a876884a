"""The libFuzzer targets, a short run each."""

import concurrent.futures
import json
import os
import re

from common import (BUILDS, JOBS, ROOT, SANITIZERS, Failure, build_aside, configure, must,
                    run, run_aside)

FUZZ_SECONDS = 20


def fuzz_one(target):
    directory = BUILDS["clang"][0]
    name = target[len("fuzz-"):]
    # What a run finds is kept here for the next one; the project's own corpus is only read.
    grown = os.path.join(directory, "corpus", name)
    findings = os.path.join(directory, "findings")
    os.makedirs(grown, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    corpus = os.path.join(ROOT, "tests/fuzz/corpus", name)
    if not os.path.isdir(corpus):
        raise Failure(f"no corpus: tests/fuzz/corpus/{name}/")
    program = os.path.join(directory, "tests/fuzz", target)
    result = run_aside(program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=5",
                       "-rss_limit_mb=512", "-print_final_stats=1",
                       f"-artifact_prefix={findings}/{name}-", grown, corpus,
                       env={**os.environ, **SANITIZERS}, timeout=FUZZ_SECONDS * 10)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stdout)
    if result.returncode != 0 or not runs or int(runs[1]) == 0:
        log = re.sub(r"^(#\d+\s|\s*NEW_FUNC|\s*[= ]>?0x\w+: ).*\n", "", result.stdout,
                     flags=re.MULTILINE)
        unit = re.search(r"Test unit written to (\S+)", log)
        raise Failure(log + (f"\nto see it again: {program} {unit[1]}" if unit else ""))
    return f"{runs[1]} runs"


def fuzz(part):
    targets = json.loads(must(run("meson", "introspect", "--targets", configure("clang"))))
    names = sorted(target["name"] for target in targets
                   if target["type"] == "executable" and target["name"].startswith("fuzz-"))
    if not names:
        raise Failure("tests/fuzz/meson.build has no target named fuzz-*")
    build_aside("clang", *(f"tests/fuzz/{name}" for name in names))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for future in [pool.submit(part.attempt, name, fuzz_one, name) for name in names]:
            future.result()
