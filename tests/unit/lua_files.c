/*
 * Runs a Lua file with the binding's globals: "lua_files AGENT FILE". The agent is the real one, at
 * a Unix socket whose address is in PROVIUM_TEST_ADDRESS; what it does happens on this machine, in
 * the directory PROVIUM_TEST_DIRECTORY.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lua/run.h"

/* The agent makes its socket within a few milliseconds; a busy machine takes its time. */
#define START_NS 20000000000u

static char directory[64] = "/tmp/provium-lua-XXXXXX";

static pid_t start_agent(const char *program)
{
	struct provium_connection *connection = NULL;
	uint64_t end = monotonic_ns() + START_NS;
	char address[120];
	pid_t pid;

	snprintf(address, sizeof(address), "unix:%s/agent", directory);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(program, program, "--listen", address, NULL);
		_exit(127);
	}
	snprintf(address, sizeof(address), "agent-unix:%s/agent", directory);
	/* Not there; there, and not listening yet. */
	while (provium_connect(address, 20000, &connection, NULL) < 0) {
		if (monotonic_ns() > end)
			break;
		usleep(1000);
	}
	provium_connection_free(connection);
	setenv("PROVIUM_TEST_ADDRESS", address, 1);
	setenv("PROVIUM_TEST_DIRECTORY", directory, 1);
	return pid;
}

static void remove_directory(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", directory, NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	pid_t agent;
	int status;

	if (argc != 3 || !mkdtemp(directory)) {
		fprintf(stderr, "usage: lua_files AGENT FILE\n");
		return 2;
	}
	agent = start_agent(argv[1]);
	status = lua_run_file(argv[2], NULL);
	kill(agent, SIGTERM);
	waitpid(agent, NULL, 0);
	remove_directory();
	return status;
}
