"""EXEC_ASYNC, JOB_WAIT, JOB_KILL, JOB_LIST, JOB_OUTPUT, and STDIN and SIGNAL for jobs."""

import hashlib
import signal

import provium_pb2 as pb
import tap
from agent_case import AgentCase, children, is_running, resident_kib, wait_until
from client import Client


class Jobs(AgentCase):
    def start(self, client, command, stdin_kind=pb.STDIN_NONE, **fields):
        request = client.call("exec_async",
                              command={"shell": command, "stdin_kind": stdin_kind}, **fields)
        self.assertEqual(request.kind, "job_started", request.final)
        return request.body

    def entry(self, client, number):
        """Of a JOB_LIST; None where it is not there."""
        jobs = client.call("job_list").body.jobs
        self.assertEqual([job.job for job in jobs], sorted(job.job for job in jobs))
        return next((job for job in jobs if job.job == number), None)

    def assert_result(self, request, outcome=pb.OUTCOME_EXITED):
        self.assertEqual(request.kind, "job_result", request.final)
        self.assertFalse(request.body.running)
        self.assertEqual(request.body.result.outcome, outcome)
        return request.body

    def test_life(self):
        client = self.connect()
        started = self.start(client, b"echo out; echo err >&2; exit 7", name=b"job")
        request = client.call("job_wait", ref={"name": b"job"}, output=True)
        body = self.assert_result(request)
        self.assertEqual((body.job, body.result.pid), (started.job, started.pid))
        self.assertEqual(body.result.exit_code, 7)
        self.assertFalse(body.HasField("stdout_dropped") or body.HasField("stderr_dropped"))
        self.assertEqual((request.stdout, request.stderr), (b"out\n", b"err\n"))
        self.assert_error(client.call("job_wait", ref={"job": started.job}), pb.ERROR_NOT_FOUND)

    def test_outlives_its_connection(self):
        with Client(self.path) as first:
            started = self.start(first, b"read -r line; exit 3", pb.STDIN_STREAM, name=b"long")
        with Client(self.path) as second:
            self.assertTrue(self.entry(second, started.job).running)
            self.assertTrue(is_running(started.pid))
            second.write_stdin({"job_name": b"long"}, b"line\n")
            request = second.call("job_wait", ref={"name": b"long"})
            self.assertEqual(self.assert_result(request).result.exit_code, 3)

    def test_list(self):
        client = self.connect()
        first = self.start(client, b"printf 12345; exit 1", name=b"first")
        second = self.start(client, b"exec sleep 1000")
        wait_until(lambda: not self.entry(client, first.job).running, "the first has ended")
        entry = self.entry(client, first.job)
        self.assertEqual((entry.name, entry.pid, entry.stdout_bytes, entry.stderr_bytes),
                         (b"first", first.pid, 5, 0))
        self.assertEqual(entry.result.exit_code, 1)
        entry = self.entry(client, second.job)
        self.assertTrue(entry.running)
        self.assertFalse(entry.HasField("name") or entry.HasField("result"))
        self.assertEqual(client.call("info").body.jobs, 2)
        self.assert_error(client.call("exec_async", command={"shell": b"true"}, name=b"first"),
                          pb.ERROR_BUSY)
        self.assertEqual(self.assert_result(client.call("job_wait", ref={"job": first.job}))
                         .result.exit_code, 1)
        self.assert_result(client.call("job_kill", ref={"job": second.job}), pb.OUTCOME_CANCELLED)

    def test_kill(self):
        client = self.connect()
        job = self.start(client, b"trap '' TERM; echo on; while :; do sleep 0.01; done").job
        wait_until(lambda: self.entry(client, job).stdout_bytes == 3, "the trap is set")
        kill = client.start("job_kill", ref={"job": job}, signal=signal.SIGTERM, grace_ms=200)
        other = self.connect()
        waited = other.start("job_wait", ref={"job": job}, output=True)
        for each, request in ((client, kill), (other, waited)):
            each.wait(request)
            self.assertEqual(self.assert_result(request, pb.OUTCOME_CANCELLED).result.signal,
                             signal.SIGKILL)
        self.assertEqual((kill.stdout, waited.stdout), (b"", b"on\n"))

    def test_cancel(self):
        client = self.connect()
        job = self.start(client, b"exec sleep 1000").job
        wait = client.start("job_wait", ref={"job": job})
        follow = client.start("job_output", ref={"job": job}, follow=True)
        for request in (wait, follow):
            self.assertEqual(client.call("cancel", request=request.id).kind, "ok")
            self.assert_error(request, pb.ERROR_CANCELLED)
        self.assertTrue(client.call("job_wait", ref={"job": job}, timeout_ms=0).body.running)
        client.call("job_kill", ref={"job": job})

    def test_input_and_follow(self):
        client = self.connect()
        started = client.call("exec_async", command={"shell": b"cat; echo end >&2",
                                                     "stdin_kind": pb.STDIN_STREAM})
        job = started.body.job
        follow = client.start("job_output", ref={"job": job}, follow=True)
        client.write_stdin({"job": job}, b"x" * 1000000)
        client.wait(follow)
        self.assertEqual((follow.stdout, follow.stderr), (b"x" * 1000000, b"end\n"))
        self.assertEqual(follow.body.bytes, 1000004)
        part = client.call("job_output", ref={"job": job}, stream=pb.STREAM_STDOUT, offset=999990)
        self.assertEqual(part.stdout, b"x" * 10)
        self.assertEqual(client.call("signal", target={"job": job}, signal=0).kind, "error")
        self.assert_result(client.call("job_wait", ref={"job": job}))

    def test_much(self):
        """256 MiB through a job that nobody looks at: the agent stays small, the end is there."""
        client = self.connect()
        before = resident_kib(self.server)
        job = self.start(client, b"head -c 268435456 /dev/zero | tr '\\0' x; seq 1 1000").job
        wait_until(lambda: not self.entry(client, job).running, "the job has ended", 60)
        self.assertLess(resident_kib(self.server) - before, 2048)
        request = client.call("job_wait", ref={"job": job}, output=True)
        body = self.assert_result(request)
        self.assertLess(resident_kib(self.server) - before, 4096)
        self.assertEqual(body.result.stdout_bytes, 268435456 + 3893)
        self.assertEqual(body.stdout_dropped, 268435456 + 3893 - (1 << 20))
        self.assertEqual(request.stream[0].output.offset, body.stdout_dropped)
        lines = b"".join(b"%d\n" % line for line in range(1, 1001))
        self.assertEqual(hashlib.sha256(request.stdout).digest(),
                         hashlib.sha256(b"x" * ((1 << 20) - 3893) + lines).digest())

    def test_many(self):
        """300 that nobody collects: 256 are kept."""
        client = self.connect()
        jobs = [self.start(client, b"echo %d" % number).job for number in range(300)]
        wait_until(lambda: not children(self.server), "all have ended")
        left = [entry.job for entry in client.call("job_list").body.jobs]
        self.assertEqual(len(left), 256)
        self.assertTrue(set(left) <= set(jobs))
        for job in left:
            request = client.call("job_wait", ref={"job": job}, output=True)
            self.assert_result(request)
            self.assertEqual(request.stdout, b"%d\n" % jobs.index(job))


if __name__ == "__main__":
    tap.main()
