"""The suites that Meson knows, run by Meson and counted test by test."""

import concurrent.futures
import datetime
import glob
import json
import os
import platform
import re

from common import (BUILDS, JOBS, SANITIZERS, Failure, Skip, build, build_aside, configure, must, run,
                    run_aside)


def count_output(test, protocols):
    """How many tests one entry of Meson's log stands for: (passed, failed, skip reasons).

    A program that speaks TAP, or that Check runs, tells of each test in it. One that says nothing of
    the kind is one test. Whatever it says, a bad end is at least one failure.
    """
    output = test.get("stdout", "")
    result = test["result"]
    passed, failed, reasons = 0, 0, []
    if protocols.get(test["name"]) == "tap":
        for line in output.splitlines():
            match = re.match(r"(not )?ok\b([^#]*)(# *(skip|todo).*)?", line, re.IGNORECASE)
            if match and match[3]:
                reasons.append(f"{match[2].strip(' -0123456789')}: {match[3].strip('# ')}")
            elif match and match[1]:
                failed += 1
            elif match:
                passed += 1
    else:
        for match in re.finditer(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", output,
                                 re.MULTILINE):
            bad = int(match[2]) + int(match[3])
            passed += int(match[1]) - bad
            failed += bad

    if result == "SKIP" and not reasons:
        last = (output + test.get("stderr", "")).strip().splitlines()[-1:]
        reasons.append(last[0] if last else "no reason given")
    elif result not in ("OK", "SKIP", "EXPECTEDFAIL"):
        failed = max(failed, 1)
    elif passed + failed + len(reasons) == 0:
        passed = 1
    return passed, failed, reasons


def introspect(directory, what):
    return json.loads(must(run("meson", "introspect", f"--{what}", directory)))


def needed(directory, tests):
    """What the tests are made of and run: not all that there is, which may take longer."""
    ids = {target for test in tests for target in test["depends"]}
    return sorted({os.path.relpath(target["filename"][0], directory)
                   for target in introspect(directory, "targets") if target["id"] in ids})


def find_tests(name, directory):
    tests = [test for test in introspect(directory, "tests") if f"provium:{name}" in test["suite"]]
    if not tests:
        raise Failure(f"no test is in the suite {name}")
    return tests


def build_integration():
    """Before others build in the same directory: two at once would be in each other's way."""
    directory = configure("gcc")
    build("gcc", *needed(directory, find_tests("integration", directory)))


def suite(part, name, build_name, with_output=False, one_by_one=False, aside=False, built=False,
          slow_down=1, environment=None):
    """Runs a suite; one by one, each result is told at once and no two VMs share the machine.

    Aside, it leaves the VMs of another suite what they need of the processors.
    """
    directory = BUILDS[build_name][0] if built else configure(build_name)
    tests = find_tests(name, directory)
    if not built:
        (build_aside if aside else build)(build_name, *needed(directory, tests))
    # As the log names them.
    protocols = {f"{test['suite'][0]} / {test['name']}": test["protocol"] for test in tests}

    for group in [[test] for test in tests] if one_by_one else [tests]:
        base = f"testlog-{name}" + (f"-{group[0]['name'].replace('/', '-')}" if one_by_one else "")
        log = os.path.join(directory, "meson-logs", f"{base}.json")
        if os.path.exists(log):
            os.unlink(log)
        # One more than there are processors: tests wait for what they have started.
        result = (run_aside if aside else run)(
            "meson", "test", "-C", directory, "--no-rebuild", "--suite", name,
            "--num-processes", str(JOBS + 1),
            "--logbase", base, "--timeout-multiplier", str(slow_down),
            *(test["name"] for test in group),
            env={**os.environ, "CK_TIMEOUT_MULTIPLIER": str(slow_down), **(environment or {})})
        results = []
        if os.path.exists(log):
            with open(log, encoding="utf-8") as file:
                results = [json.loads(line) for line in file]
        for test in results:
            suite_result(part, test, protocols, with_output)
        if len(results) < len(group):
            part.failed(f"{len(group) - len(results)} of {len(group)} tests did not run",
                        log=result.stdout)


def suite_result(part, test, protocols, with_output):
    name = test["name"].split(" / ", 1)[-1]
    passed, failed, reasons = count_output(test, protocols)
    output = test.get("stdout", "")
    if test.get("stderr", "").strip():
        output += "\n" + test["stderr"]
    note = f"{name}, {passed} tests" if passed > 1 else name
    for reason in reasons:
        part.skipped(name, reason)
    if failed:
        part.counts.passed += passed
        part.failed(f"{name}: {test['result'].lower()}, {failed} of {passed + failed} failed",
                    test["duration"], f"{' '.join(test['command'])}\n{output}", failed)
    elif passed:
        part.passed(note, test["duration"], output if with_output else "", passed)


def unit(part):
    # The sanitizers and the VMs beside make programs slow; Check has limits of its own for each test.
    suite(part, "unit", "clang", aside=True, slow_down=8, environment=SANITIZERS)


def cli(part):
    suite(part, "cli", "gcc", aside=True)


def static(part):
    suite(part, "static", "gcc", with_output=True)


def interop(part):
    suite(part, "interop", "gcc", aside=True)


def fetch_kernels(*options):
    """Begins to fetch them, beside what compiles: the network takes most of the time."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(run, "scripts/kernels", "--headers",
                                                           *options)


def await_kernels(kernels):
    result = kernels.result()
    if result.returncode != 0:
        raise Failure(f"{result.stdout}no kernels to boot")


def integration(part, kernels):
    """After build_integration."""
    await_kernels(kernels)
    suite(part, "integration", "gcc", one_by_one=True, built=True)


def endurance(part, kernels):
    await_kernels(kernels)
    suite(part, "endurance", "gcc", with_output=True, one_by_one=True)


def make_roots():
    must(run("scripts/roots"))


def matrix(part, kernels):
    await_kernels(kernels)
    part.attempt("a system for inits is made", make_roots)
    suite(part, "matrix", "gcc", with_output=True, one_by_one=True)


def fetch_guest_agent():
    result = run("scripts/guest-agent")
    if result.returncode != 0:
        raise Skip(result.stdout or "scripts/guest-agent failed")


def machine():
    """What the figures were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = re.findall(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return {"processor": names[0] if names else platform.machine(), "processors": JOBS,
            "kernel": platform.release(), "load": os.getloadavg()[0]}


def write_figures(documents, target):
    """All figures of a run in one list, each with the guest that it was measured in.

    What has another form goes beside them under its own name.
    """
    figures, others = [], {}
    for path in sorted(documents):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if "figures" not in document:
            others[os.path.splitext(os.path.basename(path))[0]] = document
            continue
        guest = {key: value for key, value in document.items() if key != "figures"}
        figures += [{**guest, **figure} for figure in document["figures"]]
    if not figures:
        raise Failure("no figures were measured")
    document = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "machine": machine(), "figures": figures, "others": others}
    with open(target, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")


def bench(part, kernels, target=None):
    await_kernels(kernels)
    part.attempt("Debian's qemu-guest-agent is there", fetch_guest_agent)
    documents = os.path.join(configure("gcc"), "tests", "bench", "*.json")
    # Of earlier runs.
    for path in glob.glob(documents):
        os.unlink(path)
    suite(part, "bench", "gcc", with_output=True, one_by_one=True)
    if target:
        write_figures(glob.glob(documents), target)
