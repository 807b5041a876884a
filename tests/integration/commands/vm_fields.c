/* Every field of every request in a wrong way (fields.h): the program in its guest. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/agent_harness.h"
#include "tests/unit/fields.h"
#include "tests/unit/unit.h"

#define TIMEOUT   60000
#define DIRECTORY "/fields"

static struct provium_connection *connection;
static struct provium_error error;
static char socket_path[96];

#define CALL(call) ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

/* The protocol of a hybrid socket, whose answer is one line. */
static int connect_agent(void)
{
	static const char request[] = "CONNECT 5123\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[64];
	size_t length = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	do {
		ck_assert_uint_lt(length, sizeof(answer) - 1);
		ck_assert_int_eq(recv(fd, answer + length, 1, 0), 1);
	} while (answer[length++] != '\n');
	answer[length] = '\0';
	ck_assert_msg(strncmp(answer, "OK ", 3) == 0, "%s", answer);
	return fd;
}

static void make_files(void)
{
	CALL(provium_mkdir(connection, DIRECTORY "/D", 0700, true, TIMEOUT, &error));
	CALL(provium_write_file_memory(connection, DIRECTORY "/F", NULL, "some text", 9, TIMEOUT,
				       &error));
	CALL(provium_remove(connection, DIRECTORY "/L", false, true, TIMEOUT, &error));
	CALL(provium_symlink(connection, "to", DIRECTORY "/L", TIMEOUT, &error));
	CALL(provium_remove(connection, DIRECTORY "/N", false, true, TIMEOUT, &error));
}

static struct provium_info info(void)
{
	struct provium_info now;

	CALL(provium_info(connection, TIMEOUT, &now, &error));
	return now;
}

START_TEST(each_field)
{
	unsigned char token[PROVIUM_TOKEN_SIZE];
	const struct fields_agent guest = {
		.connect = connect_agent,
		.make_files = make_files,
		.directory = DIRECTORY,
		.token = token,
		.supervised = true,
	};
	struct provium_vm_options options = machine_options();
	struct provium_connection *again;
	const struct provium_agent *agent;
	struct provium_info before;
	struct provium_vm *vm;
	char token_path[128];
	unsigned int cases = 0;
	int pid;

	snprintf(socket_path, sizeof(socket_path), "%s/socket", machine_directory);
	options.socket = socket_path;
	vm = machine_boot(&options);
	snprintf(token_path, sizeof(token_path), "%s.token", socket_path);
	CALL(provium_token_read(token_path, token, &error));
	connection = provium_vm_connection(vm);
	pid = provium_connection_agent(connection)->pid;
	before = info();
	for (size_t i = 0; i < fields_requests; i++)
		cases += fields_try(&guest, i);
	printf("# %u cases\n", cases);

	/* The server is the same one, and what the cases have made is gone. */
	eventually(info().commands_running == 0);
	eventually(info().connections == 1);
	ck_assert_uint_eq(before.commands_running, 0);
	ck_assert_uint_eq(info().open_fds, before.open_fds);
	ck_assert_uint_eq(info().restarts, 0);
	CALL(provium_vm_connect(vm, 0, TIMEOUT, &again, &error));
	agent = provium_connection_agent(again);
	ck_assert_uint_eq(agent->restarts, 0);
	ck_assert_int_eq(agent->pid, pid);
	provium_connection_free(again);
	CALL(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, TIMEOUT, &error));
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-fields");
	TCase *tcase = unit_counted_case("fields");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, each_field);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
