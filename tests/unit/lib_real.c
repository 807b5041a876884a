#include "lib_real.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* One of the two. */
static const char *agent_program;
static const char *server_program;

pid_t agent_pid;
struct provium_connection *connection;
struct provium_error error;
char directory[128];
char path[160];
char other_path[160];

bool real_arguments(int argc, char **argv)
{
	if (argc != 3)
		return false;
	*(strcmp(argv[1], "program") == 0 ? &agent_program : &server_program) = argv[2];
	return true;
}

bool real_is_program(void)
{
	return agent_program != NULL;
}

void check_error(enum provium_code code, const char *text)
{
	if (error.code != code || !strstr(error.message, text))
		ck_abort_msg("code %d, wanted %d: \"%s\", wanted \"%s\"", error.code, code,
			     error.message, text);
}

/* ------------------------------------------------------------------------------------------- */
/* The agent */

static void start_server(void)
{
	char number[16];
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	agent_pid = fork();
	if (agent_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(pair[1], F_SETFD, 0);
		snprintf(number, sizeof(number), "%d", pair[1]);
		execl(server_program, server_program, number, NULL);
		_exit(127);
	}
	close(pair[1]);
	check_ok(provium_connect_fd(pair[0], SOON, &connection, &error));
}

static void start_program(void)
{
	char socket_path[160];
	char address[200];
	struct stat status;

	snprintf(socket_path, sizeof(socket_path), "%s/agent", directory);
	snprintf(address, sizeof(address), "unix:%s", socket_path);
	agent_pid = fork();
	if (agent_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(agent_program, agent_program, "--listen", address, NULL);
		_exit(127);
	}
	for (int i = 0; stat(socket_path, &status) < 0 && i < 1000; i++)
		usleep(10000);
	snprintf(address, sizeof(address), "agent-unix:%s", socket_path);
	/* Bound, and listening a moment later. */
	for (int i = 0; provium_connect(address, SOON, &connection, &error) < 0; i++) {
		if (error.os_errno != ECONNREFUSED || i == 1000)
			ck_abort_msg("%s", error.message);
		usleep(1000);
	}
}

void real_start(void)
{
	const char *base = getenv("TMPDIR");

	umask(022);
	snprintf(directory, sizeof(directory), "%s/lib-agent-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/file", directory);
	snprintf(other_path, sizeof(other_path), "%s/other", directory);
	if (agent_program)
		start_program();
	else
		start_server();
}

void real_finish(void)
{
	int status;

	provium_connection_free(connection);
	if (agent_program)
		kill(agent_pid, SIGTERM);
	ck_assert_int_eq(waitpid(agent_pid, &status, 0), agent_pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		ck_abort_msg("the agent's wait status is 0x%x", status);
	unlink(path);
	unlink(other_path);
	snprintf(path, sizeof(path), "%s/agent", directory);
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

TCase *real_case(const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, real_start, real_finish);
	return tcase;
}

void real_connect_again(void)
{
	char address[200];

	provium_connection_free(connection);
	snprintf(address, sizeof(address), "agent-unix:%s/agent", directory);
	check_ok(provium_connect(address, SOON, &connection, &error));
}

bool real_is_root(void)
{
	return unit_is_root();
}

void real_open_directory(void)
{
	ck_assert_int_eq(chmod(directory, 0777), 0);
}
