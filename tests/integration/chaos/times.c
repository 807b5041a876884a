/* Time that jumps, time that others take, and a guest that stands still or goes on elsewhere. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/chaos/chaos.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define YEAR_NS  (INT64_C(365) * 86400 * 1000000000)
/* Milliseconds for what is to pass its time. */
#define SHORT    500
/* Milliseconds for which all processors are taken, and QEMU is stopped. */
#define HOGS_MS  3000
#define STOP_MS  3000
#define MAX_HOGS 16u

static struct provium_error error;

/* ------------------------------------------------------------------------------------------- */
/* The clock */

/* A command, a job and a call that last, while the clock goes to another time. */
static void check_timeouts(struct chaos *chaos, int64_t to_ns)
{
	static const struct provium_exec_options sleeper = {
		.shell = "sleep 1000",
		.timeout_ms = SHORT,
	};
	static const struct provium_exec_options long_sleeper = { .shell = "sleep 1000" };
	static const struct provium_job_wait_options briefly = { .wait_ms = SHORT };
	static const struct timespec long_time = { .tv_sec = 1000 };
	struct provium_program *program = provium_program_new();
	int time = provium_program_input(program, &long_time, sizeof(long_time));
	int call = PROVIUM_CALL(program, SYS_nanosleep, provium_address(time), provium_value(0));
	uint64_t start = machine_now_ms();
	struct provium_exec_result result;
	struct provium_job_result job;
	struct provium_job_ref ref = { 0 };
	struct provium_exec *exec;

	provium_program_deadline(program, SHORT);
	check_ok(provium_job_start(chaos->connection, &long_sleeper, NULL, SOON, &ref.number, NULL,
				   &error));
	check_ok(provium_exec_start(chaos->connection, &sleeper, &exec, &error));
	check_ok(provium_program_start(chaos->connection, program, &error));
	check_ok(provium_clock_set(chaos->connection, to_ns, SOON, &error));
	check_ok(provium_job_wait(chaos->connection, &ref, &briefly, SOON, &job, &error));
	ck_assert(job.running);
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	/* By a clock that does not jump. */
	ck_assert_uint_ge(result.wall_ns, UINT64_C(1000000) * SHORT);
	ck_assert_uint_lt(result.wall_ns, UINT64_C(1000000) * SOON);
	provium_exec_free(exec);
	check_ok(provium_program_wait(program, SOON, &error));
	ck_assert_int_eq(provium_program_result(program, call), -EINTR);
	ck_assert_ptr_nonnull(provium_program_interrupted(program, call));
	provium_program_free(program);
	check_ok(provium_job_kill(chaos->connection, &ref, NULL, SOON, &job, &error));
	ck_assert_int_eq(job.result.signal, SIGKILL);
	ck_assert_uint_ge(machine_now_ms() - start, SHORT);
}

void chaos_clock(struct chaos *chaos)
{
	int64_t now = (int64_t)clock_ns(CLOCK_REALTIME);
	const int64_t times[] = { now + 10 * YEAR_NS, now - 10 * YEAR_NS, YEAR_NS,
				  now + 100 * YEAR_NS, now };
	struct provium_clock clock;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		check_timeouts(chaos, times[i]);
		check_ok(provium_clock_get(chaos->connection, SOON, &clock, &error));
		ck_assert_int_ge(clock.realtime_ns, times[i]);
		ck_assert_int_lt(clock.realtime_ns, times[i] + INT64_C(1000000) * 3 * SOON);
		chaos_served(chaos);
	}
	snprintf(chaos->note, sizeof(chaos->note), "%zu jumps of up to 110 years",
		 ARRAY_SIZE(times));
}

/* ------------------------------------------------------------------------------------------- */
/* Processors */

/* Two for each processor, more urgent than all that the agent is. */
void chaos_hogs(struct chaos *chaos)
{
	static const struct provium_exec_options hog = { .shell = "while :; do :; done" };
	static const struct provium_job_wait_options to_the_end = { .wait_ms = SOON };
	struct provium_job_ref hogs[MAX_HOGS] = { 0 };
	const int urgent = 50;
	struct provium_call_buffer param = { .arg = 2,
					     .data = (void *)&urgent,
					     .size = sizeof(urgent) };
	size_t count = MIN(2u * chaos->cpus, MAX_HOGS);
	uint64_t start = machine_now_ms();
	struct provium_job_result result;
	unsigned int served = 0;
	int64_t outcome;
	int pids[MAX_HOGS];

	for (size_t i = 0; i < count; i++)
		check_ok(provium_job_start(chaos->connection, &hog, NULL, SOON, &hogs[i].number,
					   &pids[i], &error));
	for (size_t i = 0; i < count; i++) {
		const uint64_t args[] = { (uint64_t)pids[i], SCHED_FIFO, 0 };

		check_ok(provium_syscall_buf(chaos->connection, SYS_sched_setscheduler, args, 3,
					     &param, SOON, &outcome, &error));
		ck_assert_int_eq(outcome, 0);
	}
	for (; served == 0 || machine_now_ms() - start < HOGS_MS; served++)
		chaos_served(chaos);
	/* All at once: one that waits for another's processor does not die before it. */
	for (size_t i = 0; i < count; i++)
		check_ok(provium_job_signal(chaos->connection, &hogs[i], SIGKILL, false, SOON,
					    &error));
	for (size_t i = 0; i < count; i++) {
		check_ok(provium_job_wait(chaos->connection, &hogs[i], &to_the_end, SOON, &result,
					  &error));
		ck_assert_int_eq(result.result.signal, SIGKILL);
	}
	snprintf(chaos->note, sizeof(chaos->note), "served %u times beside %zu of them", served,
		 count);
}

/* ------------------------------------------------------------------------------------------- */
/* The machine */

void chaos_qemu(struct chaos *chaos)
{
	static const struct provium_exec_options sleeper = {
		.shell = "sleep 1000",
		.timeout_ms = STOP_MS / 2,
	};
	struct provium_exec_result result;
	struct provium_exec *exec;
	uint64_t start;

	check_ok(provium_exec_start(chaos->connection, &sleeper, &exec, &error));
	check_ok(provium_ping(chaos->connection, SOON, &error));
	kill(provium_vm_qemu_pid(chaos->vm), SIGSTOP);
	start = machine_now_ms();
	ck_assert_int_eq(provium_ping(chaos->connection, SHORT, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	while (machine_now_ms() - start < STOP_MS)
		usleep(10000);
	kill(provium_vm_qemu_pid(chaos->vm), SIGCONT);
	check_ok(provium_ping(chaos->connection, SOON, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	provium_exec_free(exec);
}

/* With a job that writes without end, a command that does, and a worker. */
void chaos_snapshot(struct chaos *chaos)
{
	static const struct provium_exec_options writer = { .shell = "yes" };
	const struct provium_resume_options options = { .socket = chaos->socket };
	struct provium_job_ref job = { 0 };
	struct provium_connection *worker_connection;
	struct provium_snapshot *snapshot;
	struct provium_job_result result;
	struct provium_worker worker;
	struct provium_exec *exec;

	check_ok(provium_job_start(chaos->connection, &writer, NULL, SOON, &job.number, NULL,
				   &error));
	check_ok(provium_worker_spawn(chaos->connection, NULL, SOON, &worker, &error));
	check_ok(provium_worker_connect(chaos->connection, &worker, SOON, &worker_connection,
					&error));
	check_ok(provium_exec_start(chaos->connection, &writer, &exec, &error));
	check_ok(provium_ping(chaos->connection, SOON, &error));
	probe_stop(&chaos->probe);
	check_ok(provium_vm_save(chaos->vm, SOON, &snapshot, &error));
	provium_exec_free(exec);
	provium_connection_free(worker_connection);
	provium_connection_free(chaos->connection);
	provium_vm_free(chaos->vm);
	check_ok(provium_snapshot_resume(snapshot, &options, &chaos->vm, &error));
	provium_snapshot_free(snapshot);
	chaos->own = true;
	check_ok(provium_vm_connect(chaos->vm, 0, SOON, &chaos->connection, &error));
	probe_start(&chaos->probe, chaos->address);
	check_ok(provium_job_wait(chaos->connection, &job, NULL, SOON, &result, &error));
	ck_assert(result.running);
	check_ok(provium_job_kill(chaos->connection, &job, NULL, SOON, &result, &error));
	ck_assert_uint_gt(result.result.stdout_bytes, 0);
}
