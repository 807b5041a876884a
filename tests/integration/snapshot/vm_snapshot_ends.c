/* Saving and resuming that fail: told clearly, within their time, and with nothing left. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/snapshot/snapshot.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

/* Ends of QEMU, spread over what a save takes. */
#define KILLS     10
#define MAX_PHASE 8

/* A program that runs QEMU, and delays what it says. */
static const char *late_reply;

static void check_error(enum provium_code code, const char *text)
{
	ck_assert_msg(error.code == code && strstr(error.message, text), "%d: %s", error.code,
		      error.message);
}

static struct provium_snapshot *make(const char *append)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;

	options.append = append;
	vm = machine_boot(&options);
	machine_expect(provium_vm_connection(vm), "echo saved >/file", "");
	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	provium_vm_free(vm);
	return snapshot;
}

/* It can be resumed still. */
static void expect_good(const struct provium_snapshot *snapshot)
{
	struct provium_vm *vm;

	check_ok(provium_snapshot_resume(snapshot, NULL, &vm, &error));
	machine_expect(provium_vm_connection(vm), "cat /file", "saved\n");
	provium_vm_free(vm);
}

/* ------------------------------------------------------------------------------------------- */
/* Resuming */

/* What happens as a phase of the resume begins. */
struct event {
	int phase;
	int at;
	/* QEMU is killed; or: the cancel fd becomes readable. */
	bool kills;
	int cancel_fd;
};

static void on_phase(void *user, const char *text)
{
	struct event *event = user;
	int pid;

	(void)text;
	if (event->phase++ != event->at)
		return;
	if (!event->kills)
		ck_assert_int_eq(write(event->cancel_fd, "x", 1), 1);
	else if (machine_children("qemu-system-x86", &pid) == 1)
		kill(pid, SIGKILL);
	else
		event->at++;
}

static bool fails_at(const struct provium_snapshot *snapshot, int at, bool kills)
{
	struct event event = { .at = at, .kills = kills };
	struct provium_resume_options options = {
		.has_cancel_fd = true,
		.on_phase = on_phase,
		.user = &event,
	};
	struct provium_vm *vm;
	int pair[2];
	int result;

	ck_assert_int_eq(pipe(pair), 0);
	options.cancel_fd = pair[0];
	event.cancel_fd = pair[1];
	result = provium_snapshot_resume(snapshot, &options, &vm, &error);
	close(pair[0]);
	close(pair[1]);
	if (result == 0) {
		/* There were fewer phases. */
		ck_assert_int_le(event.phase, event.at);
		provium_vm_free(vm);
		return false;
	}
	ck_assert_ptr_null(vm);
	if (kills)
		check_error(PROVIUM_BOOT, "killed by signal 9");
	else
		check_error(PROVIUM_CANCELLED, "");
	return true;
}

START_TEST(test_resume_ends)
{
	struct provium_snapshot *snapshot = make(NULL);
	int killed = 0;
	int cancelled = 0;

	for (int at = 0; at < MAX_PHASE; at++) {
		killed += fails_at(snapshot, at, true);
		cancelled += fails_at(snapshot, at, false);
	}
	ck_assert_int_ge(killed, 2);
	ck_assert_int_ge(cancelled, 3);
	expect_good(snapshot);
	provium_snapshot_free(snapshot);
}
END_TEST

START_TEST(test_resume_times_out)
{
	static const int timeouts[] = { 1, 20, 60, 120 };
	struct provium_snapshot *snapshot = make(NULL);
	struct provium_resume_options options = { 0 };
	struct provium_vm *vm;
	uint64_t start;

	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		options.timeout_ms = timeouts[i];
		start = machine_now_ms();
		if (provium_snapshot_resume(snapshot, &options, &vm, &error) == 0) {
			ck_assert_uint_ge(i, 2);
			provium_vm_free(vm);
		} else {
			ck_assert_msg(error.code == PROVIUM_TIMED_OUT || error.code == PROVIUM_BOOT,
				      "%d: %s", error.code, error.message);
		}
		ck_assert_uint_lt(machine_now_ms() - start, 10000);
	}
	expect_good(snapshot);
	provium_snapshot_free(snapshot);
}
END_TEST

START_TEST(test_resume_options)
{
	struct provium_snapshot *snapshot = make(NULL);
	struct provium_resume_options options = { 0 };
	struct provium_vm *vm;
	char path[128];

	options.qemu = "/nowhere/qemu";
	ck_assert_int_eq(provium_snapshot_resume(snapshot, &options, &vm, &error), -1);
	check_error(PROVIUM_NOT_FOUND, "/nowhere/qemu");
	options.qemu = "/bin/false";
	ck_assert_int_eq(provium_snapshot_resume(snapshot, &options, &vm, &error), -1);
	check_error(PROVIUM_BOOT, "exited with status 1");
	options.qemu = NULL;
	options.vsock_program = "/nowhere/vsock";
	ck_assert_int_eq(provium_snapshot_resume(snapshot, &options, &vm, &error), -1);
	check_error(PROVIUM_NOT_FOUND, "/nowhere/vsock");
	options.vsock_program = NULL;
	options.vsock = (enum provium_vsock)7;
	ck_assert_int_eq(provium_snapshot_resume(snapshot, &options, &vm, &error), -1);
	check_error(PROVIUM_INVALID, "kind of vsock");

	options.vsock = PROVIUM_VSOCK_AUTO;
	snprintf(path, sizeof(path), "%s/console", machine_directory);
	options.console = path;
	check_ok(provium_snapshot_resume(snapshot, &options, &vm, &error));
	machine_expect(provium_vm_connection(vm), "echo here >/dev/console; cat /file", "saved\n");
	provium_vm_free(vm);
	machine_on_host("grep -q here console && rm console");
	provium_snapshot_free(snapshot);
}
END_TEST

/* A state that is none, or not all of one: QEMU says what it thinks of that. */
START_TEST(test_broken_state)
{
	struct provium_snapshot *snapshot = make(NULL);
	struct provium_snapshot *broken;
	char *text = provium_snapshot_text(snapshot);
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	size_t count = provium_snapshot_fds(snapshot, fds, PROVIUM_SNAPSHOT_MAX_FDS);
	struct provium_vm *vm;
	off_t size = lseek(fds[1], 0, SEEK_END);
	int state = fds[1];

	for (int i = 0; i < 2; i++) {
		char zeros[4096] = "";

		fds[1] = memfd_create("state", MFD_CLOEXEC);
		ck_assert_int_ge(fds[1], 0);
		ck_assert_int_eq(ftruncate(fds[1], size), 0);
		/* Nothing; or its first half. */
		for (off_t at = 0; i == 1 && at < size / 2; at += (off_t)sizeof(zeros)) {
			ck_assert_int_eq(pread(state, zeros, sizeof(zeros), at), sizeof(zeros));
			ck_assert_int_eq(pwrite(fds[1], zeros, sizeof(zeros), at), sizeof(zeros));
		}
		check_ok(provium_snapshot_open(text, fds, count, &broken, &error));
		ck_assert_int_eq(provium_snapshot_resume(broken, NULL, &vm, &error), -1);
		ck_assert_msg(error.code == PROVIUM_BOOT || error.code == PROVIUM_HOST, "%d: %s",
			      error.code, error.message);
		ck_assert_msg(strstr(error.message, "QEMU"), "%s", error.message);
		close(fds[1]);
		provium_snapshot_free(broken);
	}
	expect_good(snapshot);
	provium_snapshot_free(snapshot);
	free(text);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Saving */

struct killer {
	int pid;
	unsigned int delay_us;
};

static void *kill_later(void *arg)
{
	const struct killer *killer = arg;

	usleep(killer->delay_us);
	kill(killer->pid, SIGKILL);
	return NULL;
}

/* Whenever QEMU ends, the save has succeeded or says so, and the snapshot before it is as it was.
 */
START_TEST(test_save_ends)
{
	struct provium_snapshot *snapshot = make(NULL);
	uint64_t whole_us = 0;
	int failed = 0;

	for (unsigned int i = 0; i <= KILLS; i++) {
		struct provium_snapshot *again;
		struct killer killer;
		pthread_t thread;
		struct provium_vm *vm;
		uint64_t start;

		check_ok(provium_snapshot_resume(snapshot, NULL, &vm, &error));
		killer.pid = provium_vm_qemu_pid(vm);
		killer.delay_us = i ? (unsigned int)(whole_us * (i - 1) / KILLS) : 10 * 1000 * 1000;
		start = monotonic_ns();
		/* The first is left alone: how long does it take? */
		if (i > 0)
			ck_assert_int_eq(pthread_create(&thread, NULL, kill_later, &killer), 0);
		if (provium_vm_save(vm, SOON, &again, &error) == 0) {
			provium_snapshot_free(again);
		} else {
			ck_assert_msg(error.code == PROVIUM_VM_GONE, "%d: %s", error.code,
				      error.message);
			ck_assert_msg(strstr(error.message, "killed by signal 9"), "%s",
				      error.message);
			failed++;
		}
		if (i == 0)
			whole_us = (monotonic_ns() - start) / 1000;
		else
			pthread_join(thread, NULL);
		ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
		provium_vm_free(vm);
	}
	ck_assert_int_ge(failed, KILLS / 2);
	expect_good(snapshot);
	provium_snapshot_free(snapshot);
}
END_TEST

/* What is in use is not torn away, and goes on. */
START_TEST(test_busy)
{
	const struct provium_exec_options command = { .shell = "read line; echo got $line",
						      .stdin_kind = PROVIUM_STDIN_STREAM };
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_connection *connection = provium_vm_connection(vm);
	struct provium_connection *second;
	struct provium_snapshot *snapshot;
	struct provium_exec_result result;
	struct provium_exec *exec;

	check_ok(provium_exec_start(connection, &command, &exec, &error));
	ck_assert_int_eq(provium_vm_save(vm, SOON, &snapshot, &error), -1);
	ck_assert_ptr_null(snapshot);
	check_error(PROVIUM_BUSY, "in flight");
	check_ok(provium_exec_write(exec, "x\n", 2, SOON, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.exit_code, 0);
	provium_exec_free(exec);

	/* Others end with the VM. */
	check_ok(provium_vm_connect(vm, 0, SOON, &second, &error));
	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	ck_assert_int_eq(provium_ping(second, SOON, &error), -1);
	check_error(PROVIUM_VM_GONE, "provium_vm_save");
	provium_connection_free(second);
	ck_assert_int_eq(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, SOON, &error), -1);
	check_error(PROVIUM_VM_GONE, "provium_vm_save");
	provium_snapshot_free(snapshot);
	ck_assert_int_eq(provium_vm_save(vm, SOON, &snapshot, &error), -1);
	check_error(PROVIUM_VM_GONE, "provium_vm_save");
	ck_assert_ptr_null(snapshot);
	provium_vm_free(vm);
}
END_TEST

/* A guest that does not let its device go. */
START_TEST(test_no_hotplug)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;
	uint64_t start;

	options.append = "acpiphp.disable=1";
	vm = machine_boot(&options);
	start = machine_now_ms();
	ck_assert_int_eq(provium_vm_save(vm, 3000, &snapshot, &error), -1);
	ck_assert_uint_lt(machine_now_ms() - start, 15000);
	check_error(PROVIUM_TIMED_OUT, "CONFIG_HOTPLUG_PCI_ACPI");
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
}
END_TEST

/* A state is larger than what its socket takes without a reader, and QEMU's answer may be last. */
START_TEST(test_late_reply)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;

	options.qemu = late_reply;
	vm = machine_boot(&options);
	machine_expect(provium_vm_connection(vm), "echo saved >/file", "");
	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	provium_vm_free(vm);
	expect_good(snapshot);
	provium_snapshot_free(snapshot);
}
END_TEST

/* A device that QEMU does not save. */
START_TEST(test_refused)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;
	uint64_t start;

	machine_put("qemu", "#!/bin/sh\nexec qemu-system-x86_64 \"$@\" -device nvme,serial=1\n",
		    0700);
	options.qemu = machine_path;
	vm = machine_boot(&options);
	start = machine_now_ms();
	ck_assert_int_eq(provium_vm_save(vm, SOON, &snapshot, &error), -1);
	ck_assert_uint_lt(machine_now_ms() - start, SOON / 2);
	check_error(PROVIUM_HOST, "QEMU refused 'migrate': ");
	provium_vm_free(vm);
	unlink(machine_path);
}
END_TEST

/* A VM that has been ended before. */
START_TEST(test_gone)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_snapshot *snapshot;

	provium_vm_kill(vm);
	ck_assert_int_eq(provium_vm_save(vm, SOON, &snapshot, &error), -1);
	check_error(PROVIUM_VM_GONE, "provium_vm_kill");
	provium_vm_free(vm);
}
END_TEST

/* Saves a guest with a disk that it may write to, and has it resumed where asked; does not end. */
static void save_and_wait(int told, bool resumes)
{
	struct provium_disk disk = { .path = machine_path };
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;

	options.disks = &disk;
	options.n_disks = 1;
	vm = machine_boot(&options);
	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	provium_vm_free(vm);
	if (resumes)
		check_ok(provium_snapshot_resume(snapshot, NULL, &vm, &error));
	ck_assert_int_eq(write(told, "x", 1), 1);
	pause();
}

/* Of a process that is killed no file stays, and none of the processes that it had started. */
START_TEST(test_killed)
{
	bool resumes = _i == 1;
	int pair[2];
	char byte;
	pid_t child;

	machine_put("disk", "disk", 0600);
	ck_assert_int_eq(truncate(machine_path, 1 << 20), 0);
	ck_assert_int_eq(pipe(pair), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		close(pair[0]);
		save_and_wait(pair[1], resumes);
	}
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &byte, 1), 1);
	/* While it lives, too. */
	machine_on_host("test -z \"$(find . -type f ! -name console ! -path ./disk)\"");
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	close(pair[0]);
	unlink(machine_path);
	if (resumes) {
		/* The VM's directory, which is known to stay: its console and its socket. */
		machine_on_host("test -z \"$(find . -type f ! -name console)\"");
		machine_clear();
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-snapshot-ends");
	TCase *tcase = unit_counted_case("ends");

	if (argc != 3)
		return 2;
	machine_kernels = argv[1];
	late_reply = argv[2];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_resume_ends);
	tcase_add_test(tcase, test_resume_times_out);
	tcase_add_test(tcase, test_resume_options);
	tcase_add_test(tcase, test_broken_state);
	tcase_add_test(tcase, test_save_ends);
	tcase_add_test(tcase, test_busy);
	tcase_add_test(tcase, test_no_hotplug);
	tcase_add_test(tcase, test_late_reply);
	tcase_add_test(tcase, test_refused);
	tcase_add_test(tcase, test_gone);
	tcase_add_loop_test(tcase, test_killed, 0, 2);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
