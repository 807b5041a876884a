#include <unistd.h>

#include "tests/bench/runs.h"

void run_ping(void)
{
	struct provium_error error;

	check(provium_ping(guest.connection, RUN_TIMEOUT_MS, &error), &error);
}

void run_echo(void)
{
	guest_exchange(&guest, FLOOR_ECHO, 0);
}

void run_skeleton(void)
{
	guest_ask_skeleton(&guest);
}

static const char *const true_argv[] = { GUEST_TRUE, NULL };

static void check_result(const struct provium_exec_result *result)
{
	if (result->outcome != PROVIUM_EXITED || result->exit_code != 0)
		die("%s did not exit with 0", GUEST_TRUE);
}

void run_exec(void)
{
	const struct provium_exec_options options = { .argv = true_argv };
	struct provium_exec_result result;
	struct provium_error error;

	check(provium_exec_run(guest.connection, &options, 0, RUN_TIMEOUT_MS, &result, NULL, NULL,
			       &error),
	      &error);
	check_result(&result);
}

void run_spawn(void)
{
	guest_exchange(&guest, FLOOR_SPAWN, 0);
}

void run_promised_command(void)
{
	guest_exchange(&guest, FLOOR_COMMANDS, 1);
}

void run_execs(unsigned int count)
{
	const struct provium_exec_options options = { .argv = true_argv };
	struct provium_exec *commands[RUN_EXECS_MAX];
	struct provium_exec_result result;
	struct provium_error error;

	for (unsigned int i = 0; i < count; i++)
		check(provium_exec_start(guest.connection, &options, &commands[i], &error), &error);
	for (unsigned int i = 0; i < count; i++) {
		check(provium_exec_wait(commands[i], RUN_TIMEOUT_MS, &result, &error), &error);
		check_result(&result);
		provium_exec_free(commands[i]);
	}
}

void run_exec_parallel(void)
{
	run_execs(RUN_PARALLEL);
}

void run_spawn_parallel(void)
{
	guest_exchange(&guest, FLOOR_SPAWN_MANY, RUN_PARALLEL);
}

void run_promised_commands(void)
{
	guest_exchange(&guest, FLOOR_COMMANDS, RUN_PARALLEL);
}

struct provium_connection *run_worker_start(void)
{
	struct provium_connection *connection;
	struct provium_worker worker;
	struct provium_error error;

	check(provium_worker_spawn(guest.connection, NULL, RUN_TIMEOUT_MS, &worker, &error),
	      &error);
	check(provium_worker_connect(guest.connection, &worker, RUN_TIMEOUT_MS, &connection,
				     &error),
	      &error);
	check(provium_ping(connection, RUN_TIMEOUT_MS, &error), &error);
	return connection;
}

void run_worker(void)
{
	provium_connection_free(run_worker_start());
}

static int dial_forked(enum floor_kind kind)
{
	return guest_dial(guest.socket, (unsigned int)guest_exchange(&guest, kind, 0));
}

int run_fork_start(void)
{
	int fd = dial_forked(FLOOR_FORK);

	guest_echo(fd);
	return fd;
}

void run_fork(void)
{
	close(run_fork_start());
}

/* Its READY, then AUTH and PING. */
void run_promised_worker(void)
{
	int fd = dial_forked(FLOOR_WORKER);

	guest_hear(fd);
	guest_echo(fd);
	guest_echo(fd);
	close(fd);
}
