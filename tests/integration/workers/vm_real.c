/*
 * What tests/unit/lib_worker.c needs of an agent (lib_real.h), in a guest of 256 MiB.
 *
 *     vm-workers KERNELS
 */
#include "tests/unit/lib_real.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

char directory[128] = "/workers";
char path[160] = "/workers/file";
struct provium_connection *connection;
struct provium_error error;

static struct provium_vm *vm;
static char address[160];

bool real_arguments(int argc, char **argv)
{
	if (argc != 2)
		return false;
	machine_kernels = argv[1];
	return true;
}

void check_error(enum provium_code code, const char *text)
{
	if (error.code != code || !strstr(error.message, text))
		ck_abort_msg("code %d, wanted %d: \"%s\", wanted \"%s\"", error.code, code,
			     error.message, text);
}

/* The guest, in the process whose children the tests are. */
static void boot(void)
{
	struct provium_vm_options options;
	char socket[96];

	machine_start();
	options = machine_options();
	options.memory = UINT64_C(256) << 20;
	snprintf(socket, sizeof(socket), "%s/socket", machine_directory);
	snprintf(address, sizeof(address), "unix:%s", socket);
	options.socket = socket;
	vm = machine_boot(&options);
}

static void shut_down(void)
{
	provium_vm_free(vm);
	machine_finish();
}

static void start(void)
{
	check_ok(provium_connect(address, SOON, &connection, &error));
	check_ok(provium_mkdir(connection, directory, 0755, true, SOON, &error));
}

static void count(void *user, const struct provium_worker *worker, const char *stuck)
{
	(void)worker;
	(void)stuck;
	++*(unsigned int *)user;
}

/* The next test begins with a server as this one has: what cannot be undone ends it. */
static void finish(void)
{
	unsigned int workers = 0;
	int64_t user;

	check_ok(provium_syscall(connection, SYS_geteuid, NULL, 0, SOON, &user, &error));
	check_ok(provium_worker_list(connection, count, &workers, SOON, &error));
	if (user != 0 || workers > 0) {
		ck_assert_int_eq(
			provium_syscall(connection, SYS_exit_group, NULL, 0, SOON, &user, &error),
			-1);
		real_connect_again();
	}
	check_ok(provium_remove(connection, path, false, true, SOON, &error));
	provium_connection_free(connection);
}

TCase *real_case(const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_unchecked_fixture(tcase, boot, shut_down);
	tcase_add_checked_fixture(tcase, start, finish);
	return tcase;
}

void real_connect_again(void)
{
	provium_connection_free(connection);
	check_ok(provium_connect(address, SOON, &connection, &error));
}

bool real_is_root(void)
{
	return true;
}

void real_open_directory(void)
{
	check_ok(provium_chmod(connection, directory, 0777, SOON, &error));
}
