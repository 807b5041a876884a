"""provium worker: with the real agent on this machine, and with one whose replies are wrong."""

import json
import os
import signal
import time

import provium_pb2 as pb
import tap
from fake_agent import FakeAgent
from provium import TIMEOUT, Case
from test_exec import AgentCase

ROOT = os.geteuid() == 0


class WorkerCase(AgentCase):
    def done(self, *arguments):
        """The standard output of a command that succeeds and has nothing to complain of."""
        status, output, error = self.provium(*arguments)
        self.assertEqual((status, error), (0, ""))
        return output.decode()

    def spawn(self, *options):
        """(number, pid, tid, address)"""
        output = self.done("worker", "spawn", *self.at, "--long", *options)
        number, pid, tid, address = output.rstrip("\n").split(" ")
        return int(number), int(pid), int(tid), address

    def workers(self):
        return json.loads(self.done("worker", "list", *self.at, "--json"))

    def await_workers(self, count):
        """A worker ends after the command that was its connection."""
        end = time.monotonic() + 20
        while len(listed := self.workers()) != count:
            self.assertLess(time.monotonic(), end, listed)

    def run_by(self, address, script):
        return self.done("exec", "--connect", address, "--", "sh", "-c", script)


class Spawn(WorkerCase):
    def test_address_for_another_command(self):
        for options in ([], ["--thread"]):
            with self.subTest(options):
                address = self.done("worker", "spawn", *self.at, *options)
                self.assertRegex(address, rf"\Aagent-unix:{self.socket}_[0-9]+\n\Z")
                self.assertEqual(self.run_by(address.strip(), "echo served"), "served\n")
                self.await_workers(0)

    def test_long(self):
        pids = set()
        for count, options in enumerate(([], ["--thread"]), 1):
            with self.subTest(options):
                number, pid, tid, address = self.spawn(*options)
                self.assertEqual(number, count)
                self.assertEqual(pid == tid, not options)
                # A thread is told of in its process's directory alone (proc(5)).
                self.assertTrue(os.path.isdir(f"/proc/{pid}/task/{tid}"))
                self.assertEqual(self.run_by(address, "echo $PPID"), f"{pid}\n")
                pids.add(pid)
        self.assertEqual(len(pids), 2)

    def test_credentials(self):
        if not ROOT:
            self.skipTest("changes users")
        for options, expected in ((["--user", "1234"], "1234 0 0"),
                                  (["--user", "1234:5678"], "1234 5678 5678"),
                                  (["--user", "1234:5678", "--groups", "11,12", "--groups", "13"],
                                   "1234 5678 5678 11 12 13"),
                                  (["--thread", "--user", "1234:5678"], "1234 5678 5678")):
            with self.subTest(options):
                address = self.done("worker", "spawn", *self.at, *options).strip()
                told = self.run_by(address, "echo $(id -u) $(id -g) $(id -G)")
                self.assertEqual(told, expected + "\n")
        self.assertEqual(self.shell("id -u"), (0, b"0\n", ""))

    def test_files_are_its_users(self):
        if not ROOT:
            self.skipTest("changes users")
        secret = self.write("secret", b"text")
        os.chmod(secret, 0o600)
        os.chmod(self.directory, 0o755)
        address = self.spawn("--user", "1234")[3]
        self.assert_fails(self.provium("file", "cat", "--connect", address, secret), 125, "EACCES")
        self.assertEqual(self.done("file", "cat", *self.at, secret), "text")

    def test_one_connection(self):
        address = self.spawn()[3]
        first = self.start("exec", "--connect", address, "--", "sh", "-c", "echo begun; exec sleep 99")
        self.assertEqual(first.stdout.readline(), b"begun\n")
        self.assert_fails(self.provium("exec", "--connect", address, "--", "true"), 125, address)
        self.assertEqual(len(self.workers()), 1)
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(timeout=TIMEOUT), -signal.SIGTERM)
        self.await_workers(0)
        self.assert_command_ended()

    def test_worker_makes_none(self):
        address = self.spawn()[3]
        self.assert_fails(self.provium("worker", "spawn", "--connect", address), 125)

    def test_options_that_are_wrong(self):
        for options, text in ((["--user", "nobody"], "'nobody' is neither UID nor UID:GID"),
                              (["--groups", "1,"], "'1,' is not of the form"),
                              (["operand"], "operand")):
            with self.subTest(options):
                self.assert_fails(self.provium("worker", "spawn", *self.at, *options), 125, text)
        self.assertEqual(self.workers(), [])


class List(WorkerCase):
    def test_table(self):
        self.assertEqual(self.done("worker", "list", *self.at).split(),
                         ["WORKER", "KIND", "PID", "TID", "PORT", "STATE"])
        spawned = [self.spawn(), self.spawn("--thread")]
        lines = self.done("worker", "list", *self.at).splitlines()[1:]
        for line, (number, pid, tid, address), kind in zip(lines, spawned, ("fork", "thread"),
                                                           strict=True):
            port = address.rpartition("_")[2]
            self.assertEqual(line.split(),
                             [str(number), kind, str(pid), str(tid), port, "running"])

    def test_json(self):
        number, pid, tid, address = self.spawn("--thread")
        self.assertEqual(self.workers(), [{
            "worker": number, "kind": "thread", "pid": pid, "tid": tid,
            "port": int(address.rpartition("_")[2]), "stuck": None}])


class Kill(WorkerCase):
    def test_with_what_it_runs(self):
        for options in ([], ["--thread"]):
            with self.subTest(options):
                number, _, _, address = self.spawn(*options)
                child = self.start("exec", "--connect", address, "--", "sh", "-c",
                                   "echo begun; exec sleep 99")
                self.assertEqual(child.stdout.readline(), b"begun\n")
                self.assertEqual(self.done("worker", "kill", *self.at, str(number)), "")
                self.assertEqual(self.workers(), [])
                _, error = child.communicate(timeout=TIMEOUT)
                self.assertEqual(child.returncode, 125, error)
                self.assert_command_ended()

    def test_one_that_is_not_there(self):
        number = self.spawn()[0]
        self.assert_fails(self.provium("worker", "kill", *self.at, str(number + 1)), 125,
                          f"no worker {number + 1}")
        self.done("worker", "kill", *self.at, str(number))
        self.assert_fails(self.provium("worker", "kill", *self.at, str(number)), 125)

    def test_what_is_no_number(self):
        for operand in ("x", "", "1x", "18446744073709551616"):
            with self.subTest(operand):
                self.assert_fails(self.provium("worker", "kill", *self.at, operand), 125,
                                  f"WORKER: '{operand}' is no number")
        self.assert_fails(self.provium("worker", "kill", *self.at), 125)
        self.assert_fails(self.provium("worker", "kill", *self.at, "1", "2"), 125)


class Replies(Case):
    """What no real agent can be made to say at will."""

    def setUp(self):
        super().setUp()
        self.agent = FakeAgent(self.path("agent"))
        self.addCleanup(self.agent.close)

    def begin(self, command, *arguments, **options):
        child = self.start("worker", command, *self.agent.at, *arguments, **options)
        self.agent.accept()
        return child

    def ended(self, child, status=0):
        output, error = child.communicate(timeout=TIMEOUT)
        self.assertEqual(child.returncode, status, error)
        return output, error.decode()

    def worker(self, **changes):
        return {"worker": 1, "port": 9, "pid": 5, "tid": 6, "kind": pb.SpawnWorker.FORK,
                **changes}

    def test_what_is_asked_for(self):
        child = self.begin("spawn")
        request = self.agent.expect("spawn_worker")
        for field in ("uid", "gid", "groups"):
            self.assertFalse(request.HasField(field), field)
        self.agent.reply("worker_started", **self.worker(port=4294967294))
        path = self.path("agent")
        self.assertEqual(self.ended(child), (f"agent-unix:{path}_4294967294\n".encode(), ""))

        child = self.begin("spawn", "--thread", "--user", "1:2", "--groups", "3,4", "--long")
        request = self.agent.expect("spawn_worker")
        self.assertEqual((request.kind, request.uid, request.gid, list(request.groups.gid)),
                         (pb.SpawnWorker.THREAD, 1, 2, [3, 4]))
        self.agent.reply("worker_started", **self.worker(worker=18446744073709551615))
        self.assertEqual(self.ended(child),
                         (f"18446744073709551615 5 6 agent-unix:{path}_9\n".encode(), ""))

        child = self.begin("kill", "18446744073709551615")
        self.assertEqual(self.agent.expect("worker_kill").worker, 18446744073709551615)
        self.agent.reply("ok")
        self.assertEqual(self.ended(child), (b"", ""))

    def test_refused(self):
        child = self.begin("spawn", "--user", "1")
        self.agent.expect("spawn_worker")
        self.agent.reply("error", code=pb.ERROR_OS, os_errno=1, errno_name="EPERM",
                         operation="setresuid", text="no")
        output, error = self.ended(child, 125)
        self.assertEqual(output, b"")
        self.assertIn("setresuid: EPERM", error)

    def test_another_message_than_asked_for(self):
        for command, request, arguments in (("spawn", "spawn_worker", []),
                                            ("list", "worker_list", []),
                                            ("kill", "worker_kill", ["1"])):
            with self.subTest(command):
                child = self.begin(command, *arguments)
                self.agent.expect(request)
                self.agent.reply("pong")
                self.assertEqual(self.ended(child, 125)[0], b"")

    def test_stuck(self):
        stuck = "call 3 of request 7\x1b[2J: pause"
        for options in ([], ["--json"]):
            child = self.begin("list", *options)
            self.agent.expect("worker_list")
            self.agent.reply("worker_list_result", workers=[
                self.worker(), self.worker(worker=2, kind=pb.SpawnWorker.THREAD, stuck=stuck)])
            output = self.ended(child)[0].decode()
            if options:
                self.assertEqual([worker["stuck"] for worker in json.loads(output)],
                                 [None, "call 3 of request 7?[2J: pause"])
            else:
                self.assertTrue(output.endswith("  stuck: call 3 of request 7?[2J: pause\n"))

    def test_json_cannot_tell(self):
        """Text that is no UTF-8: Python's protobuf refuses to make it."""
        child = self.begin("list", "--json")
        self.agent.expect("worker_list")
        message = pb.Message(id=self.agent.id)
        message.worker_list_result.workers.add(**self.worker(worker=2, stuck="@@"))
        self.agent.send_bytes(message.SerializeToString().replace(b"@@", b"\xff\xfe"))
        self.assertEqual(self.ended(child, 125),
                         (b"", "provium: worker 2 cannot be told in JSON\n"))

    def test_time_limit(self):
        child = self.begin("spawn", "--timeout", "0.3")
        self.agent.expect("spawn_worker")
        self.assertEqual(self.ended(child, 124)[0], b"")

    def test_reader_that_goes(self):
        reading, writing = os.pipe()
        child = self.begin("spawn", stdout=writing)
        os.close(writing)
        os.close(reading)
        self.agent.expect("spawn_worker")
        self.agent.reply("worker_started", **self.worker())
        self.assertEqual(child.wait(timeout=20), -signal.SIGPIPE)


class Family(Case):
    def test_name_alone(self):
        self.assert_fails(self.provium("worker"), 125, "worker: COMMAND is missing")
        told = self.provium("worker", "--help")
        self.assertEqual((told[0], told[2]), (0, ""))
        for name in ("spawn", "list", "kill"):
            self.assertIn(f"\n  worker {name} ".encode(), told[1])
        self.assertIn("waits 30 s", self.provium("worker", "spawn", "--help")[1].decode())


if __name__ == "__main__":
    tap.main()
