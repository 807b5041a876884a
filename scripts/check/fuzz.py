"""The libFuzzer targets, a short run each."""

import concurrent.futures
import os

from common import JOBS, SANITIZERS, Failure, run_aside
from fuzz_targets import Output, build_targets, configured_targets

FUZZ_SECONDS = 20


def fuzz_one(target):
    result = run_aside(*target.command(FUZZ_SECONDS), env={**os.environ, **SANITIZERS},
                       timeout=FUZZ_SECONDS * 10)
    output = Output()
    for line in result.stdout.splitlines(keepends=True):
        output.read(line)
    if result.returncode != 0 or output.executions == 0:
        raise Failure(output.log + (f"\nto see it again: {target.program} {output.unit}"
                                    if output.unit else ""))
    return f"{output.executions} runs"


def fuzz(part):
    targets = configured_targets()
    build_targets(targets)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for future in [pool.submit(part.attempt, f"fuzz-{target.name}", fuzz_one, target)
                       for target in targets]:
            future.result()
