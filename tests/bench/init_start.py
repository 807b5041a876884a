"""What the wrapper and the agent add to the start of the real init, in the guest's time.

    init_start.py KERNEL [ROUNDS]    KERNEL: a directory with vmlinuz and modules/

The kernel's first process takes the time and executes the init: by itself, by way of a shim that brings
no modules, and of one that brings those for vsock; the init takes the time again. The three take turns:
a machine's speed swings by a factor of two within minutes. Exits with 1 where a bound is passed.

What comes before, the kernel's own start, swings by more than all of this.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import image

PROVIUM, INIT = os.environ["PROVIUM"], os.environ["PROVIUM_BENCH_INIT"]
KERNEL = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
TIMEOUT = 120

# Milliseconds, without modules. The size is that of both programs (tests/bench/bench.c) and their headers.
BOUND = {"tcg": 60, "kvm": 5}
SIZE_BOUND = 128 << 10

ACCEL = {"tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"], "kvm": ["-accel", "kvm", "-cpu", "host"]}
QEMU = ["-machine", "q35", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-kernel", os.path.join(KERNEL, "vmlinuz")]


def accelerator():
    """As the command chooses it, which takes KVM where a guest really gets on with it."""
    result = subprocess.run([PROVIUM, "run", "--kernel", os.path.join(KERNEL, "vmlinuz"), "--", "true"],
                            stderr=subprocess.PIPE, check=True, timeout=TIMEOUT)
    return "tcg" if b"using TCG" in result.stderr else "kvm"


def boot(accel, initrd, program):
    """Milliseconds from the first process's start to the init's."""
    result = subprocess.run(
        ["qemu-system-x86_64", *ACCEL[accel], *QEMU, "-initrd", initrd, "-append",
         f"console=ttyS0 panic=-1 loglevel=0 rdinit=/init -- {program}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT)
    found = re.search(rb"INIT (\d+\.\d{9}) (\d+\.\d{9})\r?\n", result.stdout)
    if not found:
        sys.exit(f"no init:\n{result.stdout.decode(errors='replace')[-2000:]}")
    return (float(found[2]) - float(found[1])) * 1e3


def shim(path, *options):
    subprocess.run([PROVIUM, "shim", "-o", path, *options], check=True, timeout=TIMEOUT)
    return os.path.getsize(path)


def main():
    accel = accelerator()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        plain, bare, full = (os.path.join(directory, name) for name in ("plain", "bare", "full"))
        with open(INIT, "rb") as file, open(plain, "wb") as target:
            target.write(image.archive({"init": file.read(), "dev": None}))
        size = shim(os.path.join(directory, "alone"))
        with_modules = shim(os.path.join(directory, "modules"), "--modules",
                            os.path.join(KERNEL, "modules"))
        shim(bare, "--initrd", plain)
        shim(full, "--initrd", plain, "--modules", os.path.join(KERNEL, "modules"))
        ways = {"by itself": (plain, "/init"),
                "by the wrapper": (bare, "/provium-wrapper"),
                "by the wrapper, with modules": (full, "/provium-wrapper")}
        times = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[name].append(boot(accel, *way))

    print(f"with {accel}:")
    figures = {}
    for name, values in times.items():
        added = [value - floor for value, floor in zip(values, times["by itself"])]
        figures[name] = {"median_ms": statistics.median(values), "least_ms": min(values),
                         "most_ms": max(values), "added_ms": statistics.median(added)}
        print(f"{name}: {statistics.median(values):.1f} ms ({min(values):.1f}-{max(values):.1f}), "
              f"added {statistics.median(added):.1f}")
    print(f"the shim: {size} bytes; with modules {with_modules}")
    if "PROVIUM_BENCH_JSON" in os.environ:
        with open(os.environ["PROVIUM_BENCH_JSON"], "w", encoding="ascii") as file:
            json.dump({"accel": accel, "rounds": ROUNDS, "shim_bytes": size, "shim_with_modules_bytes": with_modules,
                       "starts": figures}, file, indent=1)

    added = figures["by the wrapper"]["added_ms"]
    if added > BOUND[accel]:
        print(f"too slow: {added:.1f} ms, at most {BOUND[accel]} are allowed")
    if size > SIZE_BOUND:
        print(f"too big: {size} bytes, at most {SIZE_BOUND} are allowed")
    sys.exit(1 if added > BOUND[accel] or size > SIZE_BOUND else 0)


main()
