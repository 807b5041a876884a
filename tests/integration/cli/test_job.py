"""provium job: what it asks of an agent, and what it makes of the answers."""

import json
import os
import signal

import provium_pb2 as pb
import tap
from fake_agent import FakeAgent
from provium import TIMEOUT, Case


class JobCase(Case):
    def setUp(self):
        super().setUp()
        self.agent = FakeAgent(self.path("agent"))
        self.addCleanup(self.agent.close)

    def begin(self, command, *arguments, **options):
        """Up to the command's request, which is to be looked at next."""
        child = self.start("job", command, *self.agent.at, *arguments, **options)
        self.agent.accept()
        return child

    def ended(self, child, status=0):
        output, error = child.communicate(timeout=TIMEOUT)
        self.assertEqual(child.returncode, status, error)
        return output, error.decode()

    def output(self, data, offset, stream=pb.STREAM_STDOUT):
        self.agent.reply("output", stream=stream, data=data, offset=offset)

    def job_result(self, code=0, written=0, **fields):
        result = self.agent.result_fields(code)
        result["stdout_bytes"] = written
        self.agent.reply("job_result", job=7, result=result, **fields)


class Start(JobCase):
    def test_all_that_is_given(self):
        child = self.begin("start", "--name", "build", "--keep", "64K", "--kill-after", "1.5",
                           "--input", "--env", "A=1", "--user", "9", "make", "--name", "x")
        request = self.agent.expect("exec_async")
        self.assertEqual((request.name, request.keep), (b"build", 65536))
        self.assertEqual(list(request.command.argv), [b"make", b"--name", b"x"])
        self.assertEqual(request.command.timeout_ms, 1500)
        self.assertEqual(request.command.stdin_kind, pb.STDIN_STREAM)
        self.assertEqual((list(request.command.env), request.command.uid), ([b"A=1"], 9))
        self.agent.reply("job_started", job=18446744073709551615, pid=5)
        self.assertEqual(self.ended(child), (b"18446744073709551615\n", ""))

    def test_nothing_more(self):
        child = self.begin("start", "true")
        request = self.agent.expect("exec_async")
        for field in ("name", "keep"):
            self.assertFalse(request.HasField(field))
        for field in ("stdin_kind", "pty", "clear_env", "output_limit"):
            self.assertFalse(request.command.HasField(field), field)
        self.agent.reply("error", code=pb.ERROR_OS, os_errno=2, errno_name="ENOENT",
                         operation="execve", text='no "true"')
        self.assertIn('no "true"', self.ended(child, 127)[1])

    def test_terminal(self):
        """Its size and type are the agent's defaults: no terminal of ours shows it."""
        child = self.begin("start", "-t", "--input", "--clear-env", "--output-limit", "10", "vi")
        command = self.agent.expect("exec_async").command
        self.assertTrue(command.HasField("pty"))
        for field in ("rows", "cols", "term"):
            self.assertFalse(command.pty.HasField(field), field)
        self.assertEqual((command.stdin_kind, command.clear_env, command.output_limit),
                         (pb.STDIN_STREAM, True, 10))
        self.agent.reply("job_started", job=1, pid=5)
        self.assertEqual(self.ended(child), (b"1\n", ""))

    def test_name_that_is_a_number(self):
        self.assert_fails(self.provium("job", "start", *self.agent.at, "--name", "7", "true"), 125,
                          "'7' is a number")

    def test_reader_that_goes(self):
        reading, writing = os.pipe()
        child = self.begin("start", "true", stdout=writing)
        os.close(writing)
        os.close(reading)
        self.agent.expect("exec_async")
        self.agent.reply("job_started", job=1, pid=5)
        self.assertEqual(child.wait(timeout=20), -signal.SIGPIPE)


class Wait(JobCase):
    def test_as_the_job_ended(self):
        child = self.begin("wait", "7")
        request = self.agent.expect("job_wait")
        self.assertEqual(request.ref.job, 7)
        self.assertFalse(request.HasField("timeout_ms") or request.output)
        self.job_result(9)
        self.assertEqual(self.ended(child, 9), (b"", ""))

    def test_output_with_a_gap(self):
        child = self.begin("wait", "--output", "build")
        request = self.agent.expect("job_wait")
        self.assertEqual((request.ref.name, request.output), (b"build", True))
        self.output(b"late\n", 100)
        self.output(b"err\n", 0, pb.STREAM_STDERR)
        result = self.agent.result_fields()
        result.update(stdout_bytes=105, stderr_bytes=4)
        self.agent.reply("job_result", job=7, result=result, stdout_dropped=100)
        self.assertEqual(self.ended(child),
                         (b"late\n",
                          "err\nprovium: 100 bytes of standard output are no longer kept\n"))

    def test_output_that_was_cut(self):
        child = self.begin("wait", "7")
        self.agent.expect("job_wait")
        result = self.agent.result_fields(3)
        result.update(stdout_bytes=105, stderr_bytes=4, stderr_truncated=True)
        self.agent.reply("job_result", job=7, result=result)
        self.assertEqual(self.ended(child, 3),
                         (b"", "provium: standard error had 4 bytes: those behind --output-limit "
                               "are left out\n"))

    def test_only_asked(self):
        child = self.begin("wait", "--no-wait", "7")
        self.assertEqual(self.agent.expect("job_wait").timeout_ms, 0)
        self.agent.reply("job_result", job=7, running=True)
        self.assertEqual(self.ended(child, 124), (b"", "provium: job 7 still runs\n"))

    def test_cut_short(self):
        """The waiting is cancelled, and nothing else."""
        for options, status in ((["--timeout", "0.3"], 124), ([], -signal.SIGINT)):
            with self.subTest(options):
                child = self.begin("wait", *options, "7")
                self.agent.expect("job_wait")
                waiting = self.agent.id
                if not options:
                    child.send_signal(signal.SIGINT)
                self.assertEqual(self.agent.expect("cancel").request, waiting)
                self.assertEqual(child.wait(timeout=20), status)
                with self.assertRaises(EOFError):
                    self.agent.receive()

    def test_names_and_numbers(self):
        for operand, field, value in (("0", "job", 0), ("007", "job", 7), ("7x", "name", b"7x"),
                                      ("-7", "name", b"-7"), ("1" * 30, "name", b"1" * 30)):
            with self.subTest(operand):
                child = self.begin("wait", "--", operand)
                ref = self.agent.expect("job_wait").ref
                self.assertEqual(ref.WhichOneof("ref"), field)
                self.assertEqual(getattr(ref, field), value)
                self.agent.reply("error", code=pb.ERROR_NOT_FOUND, text="no such job")
                self.assertIn("no such job", self.ended(child, 125)[1])


class Kill(JobCase):
    def test_signals(self):
        for options, number, grace in (([], None, None), (["--signal", "HUP"], 1, 0),
                                       (["--grace", "2"], 15, 2000),
                                       (["--signal", "SIGUSR1", "--grace", "0.1"], 10, 100)):
            with self.subTest(options):
                child = self.begin("kill", *options, "7")
                request = self.agent.expect("job_kill")
                self.assertEqual(request.signal if request.HasField("signal") else None, number)
                self.assertEqual(request.grace_ms if request.HasField("grace_ms") else None, grace)
                self.job_result(1)
                self.assertEqual(self.ended(child), (b"", ""))

    def test_output(self):
        child = self.begin("kill", "--output", "7")
        self.assertTrue(self.agent.expect("job_kill").output)
        self.output(b"all\n", 0)
        self.job_result(0, written=4)
        self.assertEqual(self.ended(child), (b"all\n", ""))


class List(JobCase):
    def reply(self):
        self.agent.expect("job_list")
        killed = self.agent.result_fields()
        del killed["exit_code"]
        killed.update(outcome=pb.OUTCOME_SIGNALLED, signal=11)
        self.agent.reply("job_list_result", jobs=[
            {"job": 1, "name": "a\x1b[2Jb".encode(), "pid": 10, "running": True, "stdout_bytes": 5,
             "stderr_bytes": 6},
            {"job": 2, "pid": 11, "running": False, "result": self.agent.result_fields(4),
             "stdout_bytes": 0, "stderr_bytes": 0},
            {"job": 3, "name": b"c", "pid": 12, "running": False, "result": killed,
             "stdout_bytes": 1 << 40, "stderr_bytes": 0}])

    def test_table(self):
        child = self.begin("list")
        self.reply()
        output, error = self.ended(child)
        self.assertEqual(error, "")
        lines = [line.split() for line in output.decode().splitlines()]
        self.assertEqual(lines[1:], [["1", "10", "running", "5", "6", "a?[2Jb"],
                                     ["2", "11", "exited", "4", "0", "0", "-"],
                                     ["3", "12", "signal", "11", str(1 << 40), "0", "c"]])

    def test_json(self):
        child = self.begin("list", "--json")
        self.reply()
        told = json.loads(self.ended(child)[0])
        self.assertEqual(told[0], {"job": 1, "name": "a\x1b[2Jb", "pid": 10, "running": True,
                                   "stdout_bytes": 5, "stderr_bytes": 6})
        self.assertEqual((told[1]["name"], told[1]["outcome"], told[1]["exit_code"]),
                         (None, "exited", 4))
        self.assertEqual((told[2]["outcome"], told[2]["signal"]), ("signalled", 11))
        self.assertNotIn("exit_code", told[2])

    def test_name_that_is_no_text(self):
        child = self.begin("list", "--json")
        self.agent.expect("job_list")
        self.agent.reply("job_list_result", jobs=[{"job": 1, "name": b"\xff", "pid": 1,
                                                   "running": True, "stdout_bytes": 0,
                                                   "stderr_bytes": 0}])
        self.assertEqual(self.ended(child, 125), (b"", "provium: job 1 cannot be told in JSON\n"))


class Output(JobCase):
    def test_all(self):
        child = self.begin("output", "7")
        request = self.agent.expect("job_output")
        for field in ("stream", "offset", "follow"):
            self.assertFalse(request.HasField(field), field)
        self.output(b"one\n", 0)
        self.output(b"err\n", 0, pb.STREAM_STDERR)
        self.output(b"two\n", 4)
        self.agent.reply("ok", bytes=12)
        self.assertEqual(self.ended(child), (b"one\ntwo\n", "err\n"))

    def test_followed_from_an_offset(self):
        child = self.begin("output", "-f", "--stream", "stderr", "--offset", "10", "build")
        request = self.agent.expect("job_output")
        self.assertEqual((request.stream, request.offset, request.follow),
                         (pb.STREAM_STDERR, 10, True))
        self.output(b"x", 15, pb.STREAM_STDERR)
        self.assertEqual(child.stderr.read(1), b"x")
        self.output(b"y", 17, pb.STREAM_STDERR)
        self.agent.reply("ok", bytes=2)
        self.assertEqual(self.ended(child),
                         (b"", "yprovium: 6 bytes of standard error are no longer kept\n"))

    def test_reader_that_goes(self):
        child = self.begin("output", "-f", "7")
        self.agent.expect("job_output")
        self.output(b"x\n", 0)
        self.assertEqual(child.stdout.readline(), b"x\n")
        child.stdout.close()
        child.stdout = None
        self.output(b"y\n", 2)
        self.assertEqual(self.agent.expect("cancel").request, 1)
        self.assertEqual(child.wait(timeout=20), -signal.SIGPIPE)


class Send(JobCase):
    def test_input(self):
        data = os.urandom(300 << 10)
        with open(self.write("data", data), "rb") as file:
            child = self.begin("send", "--eof", "build", stdin=file)
        received = b""
        while True:
            request = self.agent.expect("stdin_data")
            self.assertEqual(request.target.job_name, b"build")
            received += request.data
            self.agent.reply("ok", bytes=len(request.data))
            if request.eof:
                break
        self.assertEqual(received, data)
        self.assertEqual(self.ended(child), (b"", ""))

    def test_signal(self):
        for options, number, group in ((["--signal", "USR2"], 12, False),
                                       (["--signal", "2", "--group"], 2, True)):
            with self.subTest(options):
                child = self.begin("send", *options, "7")
                request = self.agent.expect("signal")
                self.assertEqual((request.target.job, request.signal, request.group),
                                 (7, number, group))
                self.agent.reply("ok")
                self.assertEqual(self.ended(child), (b"", ""))

    def test_contradictions(self):
        for options in (["--group"], ["--signal", "1", "--eof"]):
            with self.subTest(options):
                self.assert_fails(self.provium("job", "send", *self.agent.at, *options, "7"), 125,
                                  "--signal")

    def test_interrupted(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        child = self.begin("send", "7", stdin=reading)
        os.close(reading)
        os.write(writing, b"x")
        self.agent.expect("stdin_data")
        self.agent.reply("ok")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(timeout=20), -signal.SIGTERM)


class Resize(JobCase):
    def test_size(self):
        child = self.begin("resize", "edit", "40", "65535")
        request = self.agent.expect("resize")
        self.assertEqual((request.target.job_name, request.rows, request.cols),
                         (b"edit", 40, 65535))
        self.agent.reply("ok")
        self.assertEqual(self.ended(child), (b"", ""))

    def test_refused(self):
        child = self.begin("resize", "7", "1", "1")
        self.agent.expect("resize")
        self.agent.reply("error", code=pb.ERROR_INVALID, text="no pty")
        self.assertIn("no pty", self.ended(child, 125)[1])

    def test_sizes_that_are_none(self):
        for rows, cols, told in (("0", "1", "ROWS"), ("1", "65536", "COLUMNS"), ("x", "1", "ROWS")):
            with self.subTest((rows, cols)):
                self.assert_fails(self.provium("job", "resize", *self.agent.at, "7", rows, cols),
                                  125, f"{told}: ")


class Family(Case):
    def test_name_alone(self):
        self.assert_fails(self.provium("job"), 125, "job: COMMAND is missing", "provium job --help")
        self.assert_fails(self.provium("job", "nonsense"), 125, "'job nonsense'")
        self.assert_fails(self.provium("help", "job", "nonsense"), 125, "'job nonsense'")
        told = self.provium("job", "--help")
        self.assertEqual((told[0], told[2]), (0, ""))
        self.assertEqual(self.provium("help", "job"), told)
        for name in ("start", "wait", "kill", "list", "output", "send", "resize"):
            self.assertIn(f"\n  job {name} ".encode(), told[1])
            text = self.provium("job", name, "--help")
            self.assertTrue(text[1].startswith(f"Usage: provium job {name} ".encode()))
            self.assertEqual(self.provium("help", "job", name), text)


if __name__ == "__main__":
    tap.main()
