"""How many lines of the pure files the unit tests execute: those that parse, decide and encode, and
touch neither a socket nor a loop."""

import json
import os

from common import BUILDS, ROOT, Failure, build, configure, must, run, say

# Of all their lines together; what is left are branches for memory that runs out.
LEAST = 90

PURE = """
agent/auth.c agent/buffer.c agent/check.c agent/dispatch.c agent/exec_plan.c agent/exec_result.c
agent/path.c agent/program.c agent/program_buffers.c agent/program_result.c agent/reply.c agent/rules.c
agent/splat.c agent/text.c
common/cmdline.c
host/lib/address.c host/lib/buffer.c host/lib/error.c host/lib/exec_message.c host/lib/json_text.c
host/lib/names.c
host/lib/qemu_args.c host/lib/snapshot_text.c host/lib/vm_command_line.c host/lib/vm_console.c
host/lib/vm_kernel.c host/lib/vm_options.c
host/runner/file_result.c host/runner/plan.c host/runner/pool.c host/runner/report_json.c
host/runner/report_junit.c host/runner/report_lines.c host/runner/report_tap.c host/runner/text.c
host/vsock/buffer.c host/vsock/connection.c host/vsock/iov.c host/vsock/memory.c host/vsock/message.c
host/vsock/mux.c host/vsock/virtqueue.c
proto/codec.c proto/frame.c
shim/cpio.c shim/initrd.c shim/load_order.c shim/modules.c shim/names.c shim/tree.c
wrapper/partuuid.c
""".split()


def measure():
    directory = BUILDS["coverage"][0]
    report = os.path.join(directory, "coverage.json")
    filters = [word for name in PURE for word in ("--filter", f"{name}$")]
    must(run("gcovr", "--root", ROOT, "--object-directory", directory, "--json-summary", report,
             *filters, directory))
    with open(report, encoding="utf-8") as file:
        files = {entry["filename"]: entry for entry in json.load(file)["files"]}
    missing = set(PURE) - set(files)
    if missing:
        raise Failure(f"no unit test links {', '.join(sorted(missing))}")
    covered = sum(entry["line_covered"] for entry in files.values())
    total = sum(entry["line_total"] for entry in files.values())
    lines = [f"{entry['line_covered']:6} of {entry['line_total']:5} lines "
             f"{100 * entry['line_covered'] / max(entry['line_total'], 1):5.1f} %  {name}"
             for name, entry in sorted(files.items())]
    lines.append(f"{covered:6} of {total:5} lines {100 * covered / total:5.1f} %  in all")
    say("\n".join(lines))
    if 100 * covered < LEAST * total:
        raise Failure(f"{100 * covered / total:.1f} % of the lines of pure files, "
                      f"and it should be {LEAST} %")
    return f"{100 * covered / total:.1f} % of {total} lines"


def coverage(part):
    # Counts of another build, or of tests that are no more, would be added up.
    for folder, _, names in os.walk(BUILDS["coverage"][0]):
        for name in names:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(folder, name))
    # Whether they pass is the unit part's to say: here some cannot, since what has become another
    # user cannot write its counts.
    directory = configure("coverage")
    build("coverage")
    run("meson", "test", "-C", directory, "--no-rebuild", "--suite", "unit",
        "--timeout-multiplier", "4", env={**os.environ, "CK_TIMEOUT_MULTIPLIER": "4"})
    part.attempt("lines of pure files", measure)
