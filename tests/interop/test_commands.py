"""EXEC, OUTPUT, EXEC_RESULT, STDIN, SIGNAL, CANCEL."""

import hashlib
import os
import re
import resource
import signal
import socket
import time

import provium_pb2 as pb
import tap
from agent_case import AgentCase, children, is_running, resident_kib, wait_until
from client import STDIN_WINDOW, Client


class Exec(AgentCase):
    def test_argv(self):
        request = self.connect().call("exec", argv=[b"printf", b"%s|", b"a b", b"", b"\xff\xfe"])
        self.assert_exited(request)
        self.assertEqual(request.stdout, b"a b||\xff\xfe|")
        self.assertEqual(request.stderr, b"")

    def test_shell(self):
        request = self.connect().call("exec", shell=b"echo out; echo err >&2; exit 7")
        result = self.assert_exited(request, 7)
        self.assertEqual((request.stdout, request.stderr), (b"out\n", b"err\n"))
        self.assertEqual((result.stdout_bytes, result.stderr_bytes), (4, 4))
        self.assertFalse(result.stdout_truncated or result.stderr_truncated or result.pipes_held)

    def test_all_exit_codes(self):
        client = self.connect()
        requests = [client.start("exec", shell=b"exit %d" % code) for code in range(256)]
        client.wait_all(requests)
        for code, request in enumerate(requests):
            self.assert_exited(request, code)
            self.assertFalse(request.body.HasField("signal"))

    def test_signals(self):
        client = self.connect()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1):
            with self.subTest(number.name):
                result = client.call("exec", shell=b"ulimit -c 0; kill -%d $$" % number).body
                self.assertEqual(result.outcome, pb.OUTCOME_SIGNALLED)
                self.assertEqual(result.signal, number)
                self.assertFalse(result.HasField("exit_code"))
                self.assertFalse(result.core_dumped)

    def test_neither_argv_nor_shell(self):
        client = self.connect()
        self.assert_error(client.call("exec"), pb.ERROR_INVALID)
        self.assert_error(client.call("exec", env=[b"A=B"]), pb.ERROR_INVALID)

    def test_both_argv_and_shell(self):
        self.assert_error(self.connect().call("exec", argv=[b"true"], shell=b"true"),
                          pb.ERROR_INVALID)

    def test_nul(self):
        client = self.connect()
        for fields in ({"argv": [b"echo", b"a\0b"]}, {"shell": b"echo \0"},
                       {"argv": [b"true"], "env": [b"A=\0"]},
                       {"argv": [b"true"], "cwd": b"/\0"}):
            with self.subTest(str(fields)):
                self.assertIn("NUL", self.assert_error(client.call("exec", **fields),
                                                       pb.ERROR_INVALID).text)

    def test_programs_that_cannot_run(self):
        client = self.connect()
        with open(self.file(), "wb") as file:
            file.write(b"no program\n")
        script = self.file("script")
        with open(script, "wb") as file:
            file.write(b"#!/no/such/interpreter\n")
        os.chmod(script, 0o755)
        for program, errno_name in ((b"no-such-program", "ENOENT"), (b"/no/such", "ENOENT"),
                                    (b"/tmp", "EACCES"), (self.file(), "EACCES"),
                                    (script, "ENOENT"), (b"", "ENOENT"),
                                    (b"/etc/passwd/x", "ENOTDIR"),
                                    (b"/" + b"x" * 300, "ENAMETOOLONG")):
            with self.subTest(program):
                error = self.assert_error(client.call("exec", argv=[program]), pb.ERROR_OS,
                                          errno_name)
                self.assertEqual(error.operation, "execve")
        os.chmod(self.file(), 0o755)
        self.assert_error(client.call("exec", argv=[self.file()]), pb.ERROR_OS, "ENOEXEC")

    def test_too_many_arguments_for_the_kernel(self):
        request = self.connect().call("exec", argv=[b"true", b"x" * (200 << 10)])
        self.assert_error(request, pb.ERROR_OS, "E2BIG")

    def test_thousands_of_arguments(self):
        request = self.connect().call("exec", argv=[b"sh", b"-c", b"echo $#", b"sh"] +
                                      [b"%d" % number for number in range(8000)])
        self.assertEqual(request.stdout, b"8000\n")

    def test_environment(self):
        client = self.connect()
        request = client.call("exec", argv=[b"env"], env=[b"A=1", b"B=x=y", b"A=2", b"C="])
        lines = request.stdout.splitlines()
        for line in (b"A=2", b"B=x=y", b"C="):
            self.assertEqual(lines.count(line), 1)
        self.assertNotIn(b"A=1", lines)
        for name in (b"PATH", b"HOME", b"TERM"):
            self.assertEqual(sum(line.startswith(name + b"=") for line in lines), 1)

    def test_clean_environment(self):
        client = self.connect()
        env = client.call("exec", argv=[b"/usr/bin/env"], clear_env=True)
        self.assertEqual(env.stdout, b"")
        env = client.call("exec", argv=[b"/usr/bin/env"], clear_env=True, env=[b"ONLY=this"])
        self.assertEqual(env.stdout, b"ONLY=this\n")

    def test_malformed_environment(self):
        client = self.connect()
        for entry in (b"", b"NAME", b"=value"):
            with self.subTest(entry):
                self.assert_error(client.call("exec", argv=[b"true"], env=[entry]),
                                  pb.ERROR_INVALID)

    def test_path_is_that_of_the_command(self):
        client = self.connect()
        program = self.file("only-here")
        with open(program, "wb") as file:
            file.write(b"#!/bin/sh\necho found\n")
        os.chmod(program, 0o755)
        path = b"PATH=/no/such:" + os.path.dirname(program)
        self.assertEqual(client.call("exec", argv=[b"only-here"], env=[path]).stdout, b"found\n")
        self.assert_error(client.call("exec", argv=[b"only-here"]), pb.ERROR_OS, "ENOENT")

    def test_directory(self):
        client = self.connect()
        self.assertEqual(client.call("exec", argv=[b"pwd"]).stdout, b"/\n")
        where = self.files.encode()
        self.assertEqual(client.call("exec", argv=[b"pwd"], cwd=where).stdout, where + b"\n")
        for cwd, errno_name in ((b"/no/such", "ENOENT"), (b"/etc/passwd", "ENOTDIR")):
            error = self.assert_error(client.call("exec", argv=[b"pwd"], cwd=cwd), pb.ERROR_OS,
                                      errno_name)
            self.assertEqual(error.operation, "chdir")
        self.assert_error(client.call("exec", argv=[b"pwd"], cwd=b""), pb.ERROR_INVALID)

    def test_process(self):
        """A leader of its own session, with fds 0 to 2 and nothing of the agent's."""
        request = self.connect().call(
            "exec", shell=b"echo $$; ls /proc/$$/fd; cat /proc/self/oom_score_adj;"
            b" cut -d' ' -f5-7 /proc/$$/stat; grep -E '^Sig(Blk|Ign)' /proc/self/status")
        result = self.assert_exited(request)
        lines = request.stdout.split(b"\n")
        self.assertEqual(int(lines[0]), result.pid)
        self.assertEqual(lines[1:4], [b"0", b"1", b"2"])
        with open("/proc/self/oom_score_adj", "rb") as file:
            self.assertEqual(lines[4], file.read().strip())
        self.assertEqual(lines[5], b"%d %d 0" % (result.pid, result.pid))
        self.assertEqual(lines[6:8], [b"SigBlk:\t0000000000000000", b"SigIgn:\t0000000000000000"])

    def test_times(self):
        client = self.connect()
        result = client.call("exec", argv=[b"sleep", b"0.3"]).body
        self.assertGreaterEqual(result.wall_ns, 300_000_000)
        self.assertLess(result.wall_ns, 3_000_000_000)
        busy = client.call("exec", argv=[b"sh", b"-c",
                                         b"i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
        usage = busy.body.rusage
        self.assertGreater(usage.user_us + usage.system_us, 20_000)
        self.assertGreater(usage.max_rss_kib, 500)
        self.assertGreater(usage.minor_faults, 10)

    def test_timeout(self):
        client = self.connect()
        start = time.monotonic()
        request = client.call("exec", shell=b"echo before; sleep 100 & sleep 100", timeout_ms=300)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(request.body.outcome, pb.OUTCOME_TIMED_OUT)
        self.assertEqual(request.body.signal, signal.SIGKILL)
        self.assertEqual(request.stdout, b"before\n")
        self.assert_exited(client.call("exec", argv=[b"true"], timeout_ms=60_000))
        self.assert_exited(client.call("exec", argv=[b"true"], timeout_ms=0))
        self.assert_exited(client.call("exec", argv=[b"true"], timeout_ms=2**64 - 1))


class FewDescriptors(AgentCase):
    """An agent that was started without standard fds, and whose own cannot be high."""

    @staticmethod
    def prepare():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        os.closerange(0, 3)

    def test_standard_fds(self):
        client = self.connect()
        requests = [client.start("exec", shell=b"cat; echo err >&2; ls /proc/self/fd; ulimit -n",
                                 stdin_kind=pb.STDIN_STREAM) for _ in range(5)]
        for number, request in enumerate(requests):
            client.write_stdin(request, b"in %d\n" % number)
        client.wait_all(requests)
        for number, request in enumerate(requests):
            self.assert_exited(request)
            # The last one is that of the directory.
            self.assertEqual(request.stdout, b"in %d\n0\n1\n2\n3\n64\n" % number)
            self.assertEqual(request.stderr, b"err\n")


class Output(AgentCase):
    def test_as_it_comes(self):
        client = self.connect()
        times = []
        request = client.start("exec", shell=b"for i in 1 2 3; do echo $i; sleep 0.3; done",
                               on_message=lambda _: times.append(time.monotonic()))
        client.wait(request)
        self.assertEqual([message.output.data for message in request.stream],
                         [b"1\n", b"2\n", b"3\n"])
        for earlier, later in zip(times, times[1:]):
            self.assertGreater(later - earlier, 0.2)

    def test_offsets(self):
        request = self.connect().call("exec", shell=b"seq 100000; seq 100000 >&2; seq 5")
        for stream in (pb.STREAM_STDOUT, pb.STREAM_STDERR):
            at = 0
            for message in request.stream:
                if message.output.stream == stream:
                    self.assertEqual(message.output.offset, at)
                    self.assertLessEqual(len(message.output.data), 256 << 10)
                    at += len(message.output.data)
        numbers = b"".join(b"%d\n" % number for number in range(1, 100001))
        self.assertEqual(request.stderr, numbers)
        self.assertEqual(request.stdout, numbers + b"1\n2\n3\n4\n5\n")
        self.assertEqual(request.body.stdout_bytes, len(request.stdout))
        self.assertEqual(request.body.stderr_bytes, len(request.stderr))

    def test_merged(self):
        request = self.connect().call("exec", merge_stderr=True,
                                      shell=b"for i in 1 2 3 4; do echo $i; echo e$i >&2; done")
        self.assertEqual(request.stdout, b"1\ne1\n2\ne2\n3\ne3\n4\ne4\n")
        self.assertEqual(request.stderr, b"")
        self.assertEqual((request.body.stdout_bytes, request.body.stderr_bytes), (20, 0))

    def test_limit(self):
        client = self.connect()
        request = client.call("exec", shell=b"seq 1000000; echo e >&2", output_limit=1000)
        result = self.assert_exited(request)
        self.assertEqual(len(request.stdout), 1000)
        self.assertEqual(result.stdout_bytes, 6888896)
        self.assertTrue(result.stdout_truncated)
        self.assertFalse(result.stderr_truncated)
        self.assertEqual(request.stderr, b"e\n")
        none = client.call("exec", shell=b"echo x", output_limit=0)
        self.assertEqual(none.stdout, b"")
        self.assertTrue(none.body.stdout_truncated)
        exact = client.call("exec", shell=b"echo x", output_limit=2)
        self.assertEqual(exact.stdout, b"x\n")
        self.assertFalse(exact.body.stdout_truncated)

    def test_much(self):
        """64 MiB through a bounded queue, nothing lost."""
        client = self.connect()
        before = resident_kib(self.server)
        request = client.call("exec", shell=b"head -c 67108864 /dev/zero | tr '\\0' x",
                              timeout=120)
        self.assertLess(resident_kib(self.server) - before, 4096)
        self.assertEqual(hashlib.sha256(request.stdout).digest(),
                         hashlib.sha256(b"x" * (64 << 20)).digest())

    def test_reader_that_is_slow(self):
        """The command waits, the agent's memory stays, other connections go on."""
        client = self.connect()
        before = resident_kib(self.server)
        request = client.start("exec", argv=[b"head", b"-c", b"33554432", b"/dev/zero"])
        time.sleep(0.5)
        self.assertLess(resident_kib(self.server) - before, 4096)
        pid = next(iter(children(self.server)))
        with open(f"/proc/{pid}/wchan", encoding="utf-8") as file:
            self.assertIn("pipe", file.read())
        with Client(self.path) as other:
            self.assert_exited(other.call("exec", argv=[b"true"]))
        client.wait(request)
        self.assertEqual(request.body.stdout_bytes, 32 << 20)
        self.assertEqual(len(request.stdout), 32 << 20)

    def test_daemon_that_holds_the_pipes(self):
        client = self.connect()
        start = time.monotonic()
        request = client.call("exec", shell=b"(sleep 3; echo late) & echo early")
        self.assertLess(time.monotonic() - start, 2)
        result = self.assert_exited(request)
        self.assertTrue(result.pipes_held)
        self.assertEqual(request.stdout, b"early\n")

    def test_tail_of_a_killed_command(self):
        request = self.connect().call("exec", shell=b"seq 20000; kill -9 $$")
        self.assertEqual(request.body.outcome, pb.OUTCOME_SIGNALLED)
        self.assertTrue(request.stdout.endswith(b"\n20000\n"))


class Many(AgentCase):
    def test_64_at_once(self):
        client = self.connect()
        requests = [client.start("exec", shell=b"sleep 0.5; echo %d; exit %d" % (number, number))
                    for number in range(64)]
        start = time.monotonic()
        client.wait_all(requests)
        self.assertLess(time.monotonic() - start, 20)
        for number, request in enumerate(requests):
            self.assert_exited(request, number)
            self.assertEqual(request.stdout, b"%d\n" % number)

    def test_side_by_side(self):
        client = self.connect()
        slow = client.start("exec", argv=[b"sleep", b"1"])
        quick = client.start("exec", argv=[b"true"])
        ping = client.start("ping")
        client.wait_all([quick, ping])
        self.assertIsNone(slow.final)
        self.assert_exited(client.wait(slow))

    def test_limit(self):
        client = self.connect()
        sleepers = [client.start("exec", argv=[b"sleep", b"100"]) for _ in range(1024)]
        self.assert_error(client.call("exec", timeout=120, argv=[b"true"]), pb.ERROR_LIMIT)
        self.assertEqual(client.call("ping").kind, "pong")
        info = client.call("info").body
        self.assertEqual(info.commands_running, 1024)
        client.call("cancel", request=sleepers[0].id)
        client.wait(sleepers[0])
        self.assert_exited(client.call("exec", argv=[b"true"]))

    def test_many_connections(self):
        clients = [self.connect() for _ in range(50)]
        requests = [client.start("exec", shell=b"echo %d" % number)
                    for number, client in enumerate(clients)]
        for number, (client, request) in enumerate(zip(clients, requests, strict=True)):
            self.assertEqual(client.wait(request).stdout, b"%d\n" % number)


class Stdin(AgentCase):
    def test_none(self):
        client = self.connect()
        for fields in ({}, {"stdin_kind": pb.STDIN_NONE}):
            request = client.call("exec", shell=b"readlink /proc/self/fd/0; wc -c", **fields)
            self.assertEqual(request.stdout, b"/dev/null\n0\n")

    def test_bytes(self):
        client = self.connect()
        for size in (0, 1, 100, 65536, 65537, 4 << 20):
            data = os.urandom(size)
            request = client.call("exec", argv=[b"sha256sum"], input=data)
            self.assertEqual(request.stdout[:64].decode(), hashlib.sha256(data).hexdigest())
        request = client.call("exec", argv=[b"wc", b"-c"], stdin_kind=pb.STDIN_BYTES)
        self.assertEqual(request.stdout, b"0\n")

    def test_bytes_that_nobody_reads(self):
        client = self.connect()
        self.assert_exited(client.call("exec", argv=[b"true"], input=bytes(4 << 20)))

    def test_input_with_another_kind(self):
        self.assert_error(self.connect().call("exec", argv=[b"cat"], input=b"x",
                                              stdin_kind=pb.STDIN_STREAM), pb.ERROR_INVALID)

    def test_unknown_kind(self):
        # Python refuses to encode it: EXEC cat with stdin_kind 77, id 5.
        client = self.connect()
        request = client.start("ping", 5)
        client.wait(request)
        client.requests[5] = request
        request.final = None
        client.send_bytes(b"\x0c\0\0\0" + b"\x0a\x07\x0a\x03cat\x48\x4d" + b"\x80\x01\x05")
        self.assert_error(client.wait(request), pb.ERROR_INVALID)

    def test_stream(self):
        client = self.connect()
        cat = client.start("exec", argv=[b"cat"], stdin_kind=pb.STDIN_STREAM)
        for line in (b"one\n", b"two\n"):
            answer = client.call("stdin_data", target={"request": cat.id}, data=line)
            self.assertEqual((answer.kind, answer.body.bytes), ("ok", 4))
            client.run(lambda: cat.stdout.endswith(line))
        self.assertIsNone(cat.final)
        client.call("stdin_data", target={"request": cat.id}, data=b"three\n", eof=True)
        self.assert_exited(client.wait(cat))
        self.assertEqual(cat.stdout, b"one\ntwo\nthree\n")

    def test_much(self):
        client = self.connect()
        data = os.urandom(16 << 20)
        request = client.start("exec", argv=[b"sha256sum"], stdin_kind=pb.STDIN_STREAM)
        for answer in client.write_stdin(request, data):
            self.assertEqual(answer.kind, "ok")
        client.wait(request)
        self.assertEqual(request.stdout[:64].decode(), hashlib.sha256(data).hexdigest())

    def test_window(self):
        """A child that does not read blocks nobody else, and holds no more than the window."""
        client = self.connect()
        sleeper = client.start("exec", argv=[b"sleep", b"100"], stdin_kind=pb.STDIN_STREAM)
        target = {"request": sleeper.id}
        first = client.start("stdin_data", target=target, data=bytes(STDIN_WINDOW))
        self.assert_error(client.call("stdin_data", target=target, data=b"x"), pb.ERROR_LIMIT)
        self.assertIsNone(first.final)
        self.assertEqual(client.call("ping").kind, "pong")
        self.assert_error(client.call("stdin_data", target=target,
                                      data=bytes(STDIN_WINDOW + 1)), pb.ERROR_LIMIT)
        client.call("cancel", request=sleeper.id)
        client.wait(sleeper)
        self.assert_error(client.wait(first), pb.ERROR_OS, "EPIPE")

    def test_command_that_closes_it(self):
        client = self.connect()
        request = client.start("exec", shell=b"exec 0<&-; echo closed; sleep 100",
                               stdin_kind=pb.STDIN_STREAM)
        client.run(lambda: request.stdout == b"closed\n")
        answer = client.call("stdin_data", target={"request": request.id}, data=b"x")
        self.assert_error(answer, pb.ERROR_OS, "EPIPE")
        client.call("cancel", request=request.id)
        client.wait(request)

    def test_after_the_end(self):
        client = self.connect()
        request = client.start("exec", shell=b"cat; sleep 0.5", stdin_kind=pb.STDIN_STREAM)
        target = {"request": request.id}
        client.call("stdin_data", target=target, eof=True)
        self.assert_error(client.call("stdin_data", target=target, data=b"x"), pb.ERROR_INVALID)
        client.wait(request)
        self.assert_error(client.call("stdin_data", target=target, data=b"x"),
                          pb.ERROR_NOT_FOUND)

    def test_no_stream(self):
        client = self.connect()
        request = client.start("exec", argv=[b"sleep", b"0.3"])
        self.assert_error(client.call("stdin_data", target={"request": request.id}, data=b"x"),
                          pb.ERROR_INVALID)
        client.wait(request)

    def test_targets(self):
        client = self.connect()
        self.assert_error(client.call("stdin_data", data=b"x"), pb.ERROR_INVALID)
        self.assert_error(client.call("stdin_data", target={}, data=b"x"), pb.ERROR_INVALID)
        self.assert_error(client.call("stdin_data", target={"request": 4711}, data=b"x"),
                          pb.ERROR_NOT_FOUND)


class Signal(AgentCase):
    def test_leader_and_group(self):
        client = self.connect()
        script = (b"sh -c 'trap \"echo child; exit\" USR1; echo ready; while :; do sleep 0.05; done' &"
                  b" trap 'echo leader' USR1; echo ready; wait; wait; exit 3")
        request = client.start("exec", shell=script)
        target = {"request": request.id}
        client.run(lambda: request.stdout.count(b"ready") == 2)
        self.assertEqual(client.call("signal", target=target, signal=0).kind, "ok")
        self.assertEqual(client.call("signal", target=target, signal=signal.SIGUSR1).kind, "ok")
        client.run(lambda: b"leader" in request.stdout)
        self.assertNotIn(b"child", request.stdout)
        client.call("signal", target=target, signal=signal.SIGUSR1, group=True)
        self.assert_exited(client.wait(request), 3)
        self.assertIn(b"child", request.stdout)

    def test_kills(self):
        client = self.connect()
        request = client.start("exec", argv=[b"sleep", b"100"])
        client.call("signal", target={"request": request.id}, signal=signal.SIGTERM)
        result = client.wait(request).body
        self.assertEqual((result.outcome, result.signal), (pb.OUTCOME_SIGNALLED, signal.SIGTERM))

    def test_refused(self):
        client = self.connect()
        request = client.start("exec", argv=[b"sleep", b"0.5"])
        target = {"request": request.id}
        self.assert_error(client.call("signal", target=target, signal=65), pb.ERROR_INVALID)
        self.assert_error(client.call("signal", target=target, signal=2**32 - 1),
                          pb.ERROR_INVALID)
        self.assert_error(client.call("signal", target=target), pb.ERROR_INVALID)
        self.assert_error(client.call("signal", target={"request": 4711}, signal=9),
                          pb.ERROR_NOT_FOUND)
        other = self.connect()
        self.assert_error(other.call("signal", target=target, signal=9), pb.ERROR_NOT_FOUND)
        self.assert_exited(client.wait(request))


class Cancel(AgentCase):
    def test_command(self):
        client = self.connect()
        request = client.start("exec", shell=b"echo before; sleep 100 & wait")
        client.run(lambda: request.stdout == b"before\n")
        cancel = client.start("cancel", request=request.id)
        client.wait(request)
        self.assertEqual(client.wait(cancel).kind, "ok")
        self.assertEqual(request.body.outcome, pb.OUTCOME_CANCELLED)
        self.assertEqual(request.body.signal, signal.SIGKILL)
        self.assertFalse(request.body.HasField("exit_code"))

    def test_nothing(self):
        client = self.connect()
        self.assert_error(client.call("cancel", request=4711), pb.ERROR_NOT_FOUND)
        self.assert_error(client.call("cancel"), pb.ERROR_INVALID)
        done = client.call("exec", argv=[b"true"])
        self.assert_error(client.call("cancel", request=done.id), pb.ERROR_NOT_FOUND)

    def test_twice(self):
        client = self.connect()
        request = client.start("exec", shell=b"trap '' TERM; sleep 100")
        first = client.start("cancel", request=request.id)
        second = client.start("cancel", request=request.id)
        client.wait_all([request, first, second])
        self.assertEqual(request.body.outcome, pb.OUTCOME_CANCELLED)
        self.assertEqual(first.kind, "ok")
        if second.kind != "ok":
            self.assert_error(second, pb.ERROR_NOT_FOUND)

    def test_what_cannot_be_ended(self):
        client = self.connect()
        sleeper = client.start("exec", argv=[b"sleep", b"100"], stdin_kind=pb.STDIN_STREAM)
        stdin = client.start("stdin_data", target={"request": sleeper.id},
                             data=bytes(STDIN_WINDOW))
        self.assert_error(client.call("cancel", request=stdin.id), pb.ERROR_UNSUPPORTED)
        client.call("cancel", request=sleeper.id)
        client.wait_all([sleeper, stdin])

    def test_races(self):
        """Whatever comes first: one final reply each, of the kinds that the document names."""
        client = self.connect()
        for _ in range(100):
            request = client.start("exec", argv=[b"true"])
            cancel = client.start("cancel", request=request.id)
            client.wait_all([request, cancel])
            if cancel.kind == "ok":
                self.assertIn(request.body.outcome, (pb.OUTCOME_CANCELLED, pb.OUTCOME_EXITED))
            else:
                self.assert_error(cancel, pb.ERROR_NOT_FOUND)
                self.assert_exited(request)


class End(AgentCase):
    """How a connection ends makes no difference to what is left behind: nothing."""

    def start_tree(self, client):
        request = client.start("exec", shell=b"sleep 100 & sh -c 'sleep 100 & echo $!; wait' &"
                               b" echo $!; echo $$; wait")
        client.run(lambda: request.stdout.count(b"\n") == 3)
        return [int(pid) for pid in re.findall(rb"\d+", request.stdout)]

    def assert_gone(self, pids):
        wait_until(lambda: not any(is_running(pid) for pid in pids), f"{pids} are killed")

    def test_close(self):
        client = self.connect()
        pids = self.start_tree(client)
        client.close()
        self.assert_gone(pids)

    def test_half_close(self):
        client = self.connect()
        pids = self.start_tree(client)
        client.socket.shutdown(socket.SHUT_WR)
        client.wait_end()
        self.assert_gone(pids)

    def test_bad_frame(self):
        client = self.connect()
        pids = self.start_tree(client)
        client.send_bytes(bytes(4))
        client.wait_event("error")
        self.assert_gone(pids)
        client.wait_end()

    def test_in_the_midst_of_output(self):
        client = self.connect()
        request = client.start("exec", shell=b"yes & yes >&2 & echo $! >&2; wait")
        client.run(lambda: len(request.stream) > 20)
        client.close()

    def test_of_one_leaves_others_alone(self):
        client = self.connect()
        other = self.connect()
        request = client.start("exec", shell=b"sleep 0.5; echo done")
        pids = self.start_tree(other)
        other.close()
        self.assert_gone(pids)
        self.assertEqual(client.wait(request).stdout, b"done\n")


if __name__ == "__main__":
    tap.main()
