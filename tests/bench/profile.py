"""What the agent does for a PING, an EXEC and a MiB of READ_FILE: its instructions, by valgrind's
callgrind, and its system calls and those of a command's process until it executes, by strace. On
this machine and not in a guest, over a Unix socket: what is counted is the same.

    profile.py AGENT TRUE [REQUESTS]

TRUE is a program that returns 0.
"""

import collections
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from client import Client

AGENT, TRUE = sys.argv[1:3]
REQUESTS = int(sys.argv[3]) if len(sys.argv) > 3 else 300
# Functions that are printed.
TOP = 12
# Of a test that is skipped.
SKIPPED = 77
# As in a guest, whose kernel gives its first process no more than these.
ENVIRONMENT = {"HOME": "/", "TERM": "linux", "PATH": os.environ["PATH"]}

# CLONE_VM, CLONE_VFORK, CLONE_PIDFD and SIGCHLD, as they stand in an instruction; CLONE_FILES.
CLONE_FLAGS, CLONE_FILES = 0x5111, 0x400


def agent_for_valgrind(directory):
    """valgrind ends who makes a process with CLONE_VFORK and CLONE_FILES. Without the second the
    server's instructions are the same."""
    with open(AGENT, "rb") as file:
        agent = file.read()
    flags = (CLONE_FLAGS | CLONE_FILES).to_bytes(4, "little")
    if agent.count(flags) != 1:
        raise SystemExit("profile: the flags of spawn()'s clone are not found in the agent")
    path = os.path.join(directory, "agent")
    with open(path, "wb") as file:
        file.write(agent.replace(flags, CLONE_FLAGS.to_bytes(4, "little")))
    os.chmod(path, 0o755)
    return path


def paths(directory):
    content = os.path.join(directory, "content")
    with open(content, "wb") as file:
        file.write(bytes(1 << 20))
    return {
        "PING": lambda client: client.call("ping"),
        "EXEC of true": lambda client: client.call("exec", argv=[os.path.abspath(TRUE).encode()]),
        "READ_FILE of 1 MiB": lambda client: client.call("read_file", path=content.encode()),
    }


def run(tool, directory, call, times):
    """The agent, the last of a tool's arguments, which is asked so often and then ended."""
    path = os.path.join(directory, "agent.sock")
    agent = subprocess.Popen([*tool, "--listen", f"unix:{path}"], env=ENVIRONMENT,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        # It tells nobody.
        while not os.path.exists(path):
            if agent.poll() is not None:
                raise SystemExit(f"profile: {tool[0]} ended with {agent.returncode}")
            time.sleep(0.05)
        with Client(path) as client:
            for _ in range(times):
                call(client)
        # The supervisor, which strace is not.
        with open(f"/proc/{client.ready.pid}/status", encoding="utf-8") as status:
            supervisor = int(re.search(r"PPid:\t(\d+)", status.read())[1])
        os.kill(supervisor, signal.SIGTERM)
        agent.wait()
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()


def instructions(directory, call, times):
    """Those of the server, by function; it is the process that made most."""
    out = os.path.join(directory, "callgrind.")
    run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}%p",
         agent_for_valgrind(directory)], directory, call, times)
    counts = {}
    for name in glob.glob(out + "*"):
        text = subprocess.run(["callgrind_annotate", "--threshold=100", name], check=True,
                              capture_output=True, text=True).stdout
        found = collections.Counter()
        for count, function in re.findall(r"^ *([\d,]+) \([ \d.]+%\)  \S*?:(\S+)", text, re.M):
            function = re.sub(r"('\d+|\.(isra|lto_priv|constprop)\.\d+)+$", "", function)
            found[function] += int(count.replace(",", ""))
        if sum(found.values()) > sum(counts.values()):
            counts = found
        os.unlink(name)
    return counts


def calls(directory, call, times):
    log = os.path.join(directory, "calls")
    run(["strace", "-f", "-qq", "-o", log, AGENT], directory, call, times)
    with open(log, encoding="utf-8", errors="replace") as file:
        return collections.Counter(re.findall(r"^\d+ +([a-z]\w+)\(", file.read(), re.M))


def per_request(count, directory, call):
    """What the requests make, without what the agent makes anyhow."""
    few, many = count(directory, call, REQUESTS // 10), count(directory, call, REQUESTS)
    made = REQUESTS - REQUESTS // 10
    return {name: (many[name] - few.get(name, 0)) / made for name in many
            if many[name] > few.get(name, 0)}


def main():
    missing = [tool for tool in ("valgrind", "strace") if not shutil.which(tool)]
    if missing:
        print("profile: not found:", *missing)
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="provium-profile-") as directory:
        for name, call in paths(directory).items():
            found = per_request(instructions, directory, call)
            total = sum(found.values())
            print(f"{name}: {total:.0f} instructions")
            for function, count in sorted(found.items(), key=lambda item: -item[1])[:TOP]:
                print(f"  {count:7.0f} {100 * count / total:5.1f} %  {function}")
            made = per_request(calls, directory, call)
            print("  system calls: " + ", ".join(
                f"{count:.3g} {call_name}" for call_name, count in
                sorted(made.items(), key=lambda item: -item[1]) if count > 0.05))


main()
