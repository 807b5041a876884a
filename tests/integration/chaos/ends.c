/* Processes of the agent's that are killed and stopped. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/chaos/chaos.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static struct provium_error error;

static void send_signal(struct chaos *chaos, int pid, int signal)
{
	const uint64_t args[] = { (uint64_t)pid, (uint64_t)signal };
	int64_t result;

	check_ok(provium_syscall(chaos->connection, SYS_kill, args, 2, SOON, &result, &error));
	ck_assert_int_eq(result, 0);
}

/* By a command of its own, which ends with it, as a job does. */
static void end_server(struct chaos *chaos, int signal, const char *reason)
{
	static const struct provium_exec_options sleeper = { .shell = "sleep 1000" };
	struct provium_exec_options killer = { 0 };
	const struct provium_agent *agent;
	char shell[64];

	check_ok(provium_job_start(chaos->connection, &sleeper, NULL, SOON, NULL, NULL, &error));
	snprintf(shell, sizeof(shell), "kill -%d %d; sleep 1000", signal,
		 provium_connection_agent(chaos->connection)->pid);
	killer.shell = shell;
	ck_assert_int_eq(
		provium_exec_run(chaos->connection, &killer, 0, SOON, NULL, NULL, NULL, &error),
		-1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED && strstr(error.message, reason), "%s",
		      error.message);
	chaos->own = false;
	chaos->kills++;
	chaos_reconnect(chaos);
	agent = provium_connection_agent(chaos->connection);
	ck_assert_uint_eq(agent->restarts, chaos->kills);
	ck_assert_msg(strstr(agent->restart_reason, reason), "%s", agent->restart_reason);
	chaos_served(chaos);
}

void chaos_server(struct chaos *chaos)
{
	end_server(chaos, SIGKILL, "signal 9");
	end_server(chaos, SIGSTOP, "stopped by signal 19");
	end_server(chaos, SIGKILL, "signal 9");
}

/* The server goes on; what ends meanwhile is noticed afterwards. */
void chaos_supervisor(struct chaos *chaos)
{
	send_signal(chaos, chaos->base.supervisor, SIGSTOP);
	for (int i = 0; i < 5; i++)
		chaos_served(chaos);
	send_signal(chaos, chaos->base.supervisor, SIGCONT);
}

static struct provium_connection *employ(struct chaos *chaos, struct provium_worker *worker)
{
	struct provium_connection *connection;

	check_ok(provium_worker_spawn(chaos->connection, NULL, SOON, worker, &error));
	check_ok(provium_worker_connect(chaos->connection, worker, SOON, &connection, &error));
	return connection;
}

static void check_end(struct chaos *chaos, const struct provium_worker *worker, int signal)
{
	struct provium_worker_end end;

	check_ok(provium_worker_next_end(chaos->connection, SOON, &end, &error));
	ck_assert_uint_eq(end.number, worker->number);
	ck_assert_int_eq(end.signal, signal);
}

void chaos_workers(struct chaos *chaos)
{
	struct provium_connection *killed, *stopped, *continued;
	struct provium_worker workers[3];

	killed = employ(chaos, &workers[0]);
	stopped = employ(chaos, &workers[1]);
	continued = employ(chaos, &workers[2]);

	send_signal(chaos, workers[0].pid, SIGKILL);
	check_end(chaos, &workers[0], SIGKILL);
	ck_assert_int_eq(provium_ping(killed, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	provium_connection_free(killed);

	send_signal(chaos, workers[2].pid, SIGSTOP);
	ck_assert_int_eq(provium_ping(continued, 300, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	send_signal(chaos, workers[2].pid, SIGCONT);
	check_ok(provium_ping(continued, SOON, &error));
	provium_connection_free(continued);
	check_end(chaos, &workers[2], 0);

	/* One that stays stopped does not keep the others. */
	send_signal(chaos, workers[1].pid, SIGSTOP);
	chaos_served(chaos);
	check_ok(provium_worker_kill(chaos->connection, workers[1].number, SOON, &error));
	check_end(chaos, &workers[1], SIGKILL);
	provium_connection_free(stopped);
}
