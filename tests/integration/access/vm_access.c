/*
 * Who may use the agent of a guest, and what a guest can do to its host: one boot for all of it.
 *
 *     vm-access KERNELS GUEST-DIAL GUEST-HOSTILE PROVIUM
 *
 * The guest's init is a script that looks for the token, waits to be told (an orphan's end
 * interrupts that), and then puts a hostile program in the place of the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define TIMEOUT 60000
#define NOBODY  65534

static const char init[] = "#!/bin/sh\n"
			   "mount -t proc proc /proc\n"
			   "mount -t devtmpfs dev /dev\n"
			   "ls -l /provium-token > /seen 2>&1\n"
			   "find / -xdev -name '*token*' >> /seen 2>&1\n"
			   "mkfifo /go\n"
			   "until read go < /go; do :; done\n"
			   "kill -9 $(pidof provium-agent)\n"
			   "exec /guest-hostile\n";

static const char *dial_program, *hostile_program, *provium_program;
static struct provium_vm *vm;
static struct provium_connection *connection;
static struct provium_error error;
static char socket_path[96], address[128], token_path[128];
static unsigned char token[PROVIUM_TOKEN_SIZE];

static void must(int result)
{
	ck_assert_msg(result == 0, "%s", error.message);
}

static void boot(void)
{
	static const char *const modules[] = { "vsock_loopback", NULL };
	char script[128];
	const struct provium_file files[] = {
		{ "/guest-dial", dial_program },
		{ "/guest-hostile", hostile_program },
		{ "/probe-init", script },
	};
	struct provium_vm_options options = machine_options();

	/* What is private is so whatever the user's mask is. */
	umask(0);
	machine_put("script", init, 0755);
	snprintf(script, sizeof(script), "%s", machine_path);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", machine_directory);
	snprintf(address, sizeof(address), "unix:%s", socket_path);
	snprintf(token_path, sizeof(token_path), "%s.token", socket_path);
	options.socket = socket_path;
	options.modules = modules;
	options.files = files;
	options.n_files = ARRAY_SIZE(files);
	options.init = "/probe-init";
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	must(unlink(script));
	must(provium_token_read(token_path, token, &error));
}

/* ------------------------------------------------------------------------------------------- */
/* The token */

/* Neither its bytes nor what somebody may have made of them. */
static void expect_no_token(const char *where, const void *data, size_t size)
{
	char hex[2 * 8 + 1];

	for (size_t i = 0; i < 8; i++)
		snprintf(hex + 2 * i, 3, "%02x", token[i]);
	ck_assert_msg(!memmem(data, size, token, 8) && !memmem(data, size, hex, 16),
		      "the token is in %s", where);
}

static void expect_not_in_file(const char *path)
{
	static char data[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t count;

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	while ((count = read(fd, data + used, sizeof(data) - used)) > 0)
		used += (size_t)count;
	close(fd);
	ck_assert_msg(used > 0, "%s is empty", path);
	expect_no_token(path, data, used);
}

static void expect_not_in_process(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	expect_not_in_file(path);
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	expect_not_in_file(path);
}

static void check_token_is_nowhere(void)
{
	static const char command[] =
		"cat /proc/cmdline /proc/[0-9]*/cmdline /proc/[0-9]*/environ; dmesg; env; set; "
		"find / -xdev -type f ! -name libc* -size -64 -exec cat {} +";
	const struct provium_exec_options options = { .shell = command };
	struct provium_exec_result result;
	struct provium_buffer output;
	int pid;

	must(provium_exec_run(connection, &options, 0, TIMEOUT, &result, &output, NULL, &error));
	ck_assert_uint_gt(output.size, 4096);
	expect_no_token("the guest", output.data, output.size);
	free(output.data);
	machine_expect(connection, "cat /seen", "ls: /provium-token: No such file or directory\n");

	expect_not_in_file(provium_vm_console(vm));
	expect_not_in_process(provium_vm_qemu_pid(vm));
	ck_assert_int_eq(machine_children("provium-vsock", &pid), 1);
	expect_not_in_process(pid);
	expect_no_token("the notices", machine_notices, strlen(machine_notices));
}

static void expect_refusal(const unsigned char *given, const char *text)
{
	struct provium_connection *refused;

	ck_assert_int_eq(provium_connect_token(address, given, TIMEOUT, &refused, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_AUTH);
	ck_assert_msg(strstr(error.message, text), "%s", error.message);
	expect_no_token("the error", &error, sizeof(error));
}

static void check_token_is_wanted(void)
{
	unsigned char wrong[PROVIUM_TOKEN_SIZE];
	struct provium_connection *other;
	char hidden[160];

	memcpy(wrong, token, sizeof(wrong));
	wrong[31] ^= 1;
	expect_refusal(wrong, "not the guest's token");
	snprintf(hidden, sizeof(hidden), "%s.hidden", token_path);
	must(rename(token_path, hidden));
	expect_refusal(NULL, "asks for a token");
	must(rename(hidden, token_path));
	must(provium_connect(address, TIMEOUT, &other, &error));
	must(provium_ping(other, TIMEOUT, &error));
	provium_connection_free(other);
}

/* A server that is started again asks for it, too, and the library brings it. */
static void check_restart(void)
{
	const struct provium_exec_options options = { .shell = "kill -KILL $PPID; sleep 60" };
	struct provium_connection *other;
	struct provium_exec_result result;

	must(provium_vm_connect(vm, 0, TIMEOUT, &other, &error));
	ck_assert_int_eq(provium_exec_run(other, &options, 0, TIMEOUT, &result, NULL, NULL, &error),
			 -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED && strstr(error.message, "signal 9"),
		      "%d: %s", error.code, error.message);
	provium_connection_free(other);
	must(provium_vm_connect(vm, 0, TIMEOUT, &connection, &error));
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, 1);
	check_token_is_wanted();
}

/* ------------------------------------------------------------------------------------------- */
/* The guest's own processes */

static void expect_dial(uint32_t uid, const char *cid, uint32_t port, const char *file,
			const char *wanted)
{
	char number[16];
	const char *argv[] = { "/guest-dial", cid, number, file, NULL };
	const struct provium_exec_options options = { .argv = argv, .has_uid = true, .uid = uid };
	struct provium_exec_result result;
	struct provium_buffer output;

	snprintf(number, sizeof(number), "%u", port);
	must(provium_exec_run(connection, &options, 0, TIMEOUT, &result, &output, NULL, &error));
	ck_assert_msg(strcmp(output.data, wanted) == 0, "uid %u, CID %s, port %s: %s", uid, cid,
		      number, (char *)output.data);
	free(output.data);
}

/* What the program does where it is let in, so that "closed" means something. */
static void check_dial_itself(const char *own)
{
	const struct provium_exec_options hostile = { .shell = "exec /guest-hostile 7000" };
	const struct provium_job_kill_options kill = { 0 };
	struct provium_job_ref ref = { 0 };

	must(provium_job_start(connection, &hostile, NULL, TIMEOUT, &ref.number, NULL, &error));
	machine_expect(connection,
		       "until /guest-dial 1 7000 | grep bytes; do sleep 0.1; done | tail -n 1",
		       "4096 bytes\n");
	expect_dial(NOBODY, own, 7000, NULL, "4096 bytes\n");
	must(provium_job_kill(connection, &ref, &kill, TIMEOUT, NULL, &error));
	expect_dial(NOBODY, "1", 7000, NULL, "refused\n");
}

static void check_loopback(void)
{
	const struct provium_worker_options kinds[] = {
		{ .kind = PROVIUM_WORKER_FORK },
		{ .kind = PROVIUM_WORKER_THREAD },
	};
	struct provium_worker workers[ARRAY_SIZE(kinds)];
	struct provium_connection *other;
	struct provium_buffer output;
	struct provium_info before, after;
	const char *argv[] = { "/guest-dial", NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct provium_exec_result result;
	char own[16];

	must(provium_exec_run(connection, &options, 0, TIMEOUT, &result, &output, NULL, &error));
	snprintf(own, sizeof(own), "%.*s", (int)strcspn(output.data, "\n"), (char *)output.data);
	free(output.data);
	ck_assert_int_ge(atoi(own), 3);
	check_dial_itself(own);

	/* Even one who has stolen the token. */
	must(provium_write_file_memory(connection, "/stolen", NULL, token, sizeof(token), TIMEOUT,
				       &error));
	must(provium_chmod(connection, "/stolen", 0644, TIMEOUT, &error));
	must(provium_info(connection, TIMEOUT, &before, &error));
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++)
		must(provium_worker_spawn(connection, &kinds[i], TIMEOUT, &workers[i], &error));
	for (size_t i = 0; i < 2 + ARRAY_SIZE(workers) * 2; i++) {
		uint32_t port = i < 2 ? 5123 : workers[i / 2 - 1].port;
		const char *file = i % 2 ? "/stolen" : NULL;

		expect_dial(0, "1", port, file, "closed\n");
		expect_dial(0, own, port, file, "closed\n");
		expect_dial(NOBODY, "1", port, file, "closed\n");
		expect_dial(NOBODY, own, port, file, "closed\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		must(provium_worker_connect(connection, &workers[i], TIMEOUT, &other, &error));
		must(provium_ping(other, TIMEOUT, &error));
		provium_connection_free(other);
	}
	machine_expect(connection, "ls /got-in 2>&1; rm /stolen",
		       "ls: /got-in: No such file or directory\n");
	machine_expect(connection, "dmesg | grep -o 'CID .* refused: not the host' | sort -u",
		       "CID 1 refused: not the host\n");
	must(provium_info(connection, TIMEOUT, &after, &error));
	ck_assert_uint_eq(after.connections, before.connections);
	ck_assert_uint_eq(after.restarts, before.restarts);
}

/* ------------------------------------------------------------------------------------------- */
/* The host's files */

static unsigned int private_entries;

static int expect_private(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)type;
	if (at->level == 0)
		return 0;
	ck_assert_msg((status->st_mode & 0077) == 0, "%s: %o", path, status->st_mode);
	ck_assert_uint_eq(status->st_uid, geteuid());
	private_entries++;
	return 0;
}

static void check_files(void)
{
	must(nftw(machine_directory, expect_private, 8, FTW_PHYS));
	/* Socket, token, and the private directory with the console. */
	ck_assert_uint_ge(private_entries, 4);
}

/* ------------------------------------------------------------------------------------------- */
/* A hostile guest */

struct outcome {
	int status;
	uint64_t took_ms;
	long peak_kib;
	char said[4096];
};

/* provium exec at this port, with 2 s for the command. */
static void run_provium(uint32_t port, struct outcome *outcome)
{
	uint64_t start = machine_now_ms();
	struct rusage usage;
	size_t used = 0;
	int fds[2], status;
	ssize_t count;
	char at[160];
	pid_t pid;

	snprintf(at, sizeof(at), "%s:%u", address, port);
	must(pipe2(fds, O_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execl(provium_program, provium_program, "exec", "--connect", at, "--timeout", "2",
		      "--", "true", NULL);
		_exit(99);
	}
	close(fds[1]);
	while ((count = read(fds[0], outcome->said + used, sizeof(outcome->said) - 1 - used)) > 0)
		used += (size_t)count;
	outcome->said[used] = '\0';
	close(fds[0]);
	ck_assert_int_eq(wait4(pid, &status, 0, &usage), pid);
	ck_assert_msg(WIFEXITED(status), "port %u: wait status %#x: %s", port, status,
		      outcome->said);
	outcome->status = WEXITSTATUS(status);
	outcome->took_ms = machine_now_ms() - start;
	outcome->peak_kib = usage.ru_maxrss;
}

/* By port, from 5123 on: the exit status, and what the error says. */
static const struct {
	int status;
	const char *text;
} tricks[] = {
	{ 125, "announced a frame of 1803648710 bytes" },
	{ 125, "announced a frame of 16777217 bytes" },
	{ 125, "instead of READY" },
	{ 124, "" },
	{ 124, "" },
	{ 124, "" },
	{ 125, "1000000" },
	{ 125, "asks for it again" },
	{ 125, "?[2Jnot for you" },
};

/* What the program needs by itself, and some for what may wait; not for what comes in 2 s. */
#define PEAK_KIB 65536

static void check_hostile(void)
{
	const struct provium_exec_options go = { .shell = "echo > /go" };
	struct provium_exec_result result;
	struct outcome outcome;
	uint64_t start = machine_now_ms();

	/* The agent may be dead before it has answered. */
	(void)provium_exec_run(connection, &go, 0, 5000, &result, NULL, NULL, NULL);
	do
		run_provium(5123 + ARRAY_SIZE(tricks) - 1, &outcome);
	while (!strstr(outcome.said, "not for you") && machine_now_ms() < start + TIMEOUT);

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		run_provium(5123 + (uint32_t)i, &outcome);
		printf("# port %zu: %d in %u ms, %ld KiB: %s", 5123 + i, outcome.status,
		       (unsigned int)outcome.took_ms, outcome.peak_kib, outcome.said);
		ck_assert_int_eq(outcome.status, tricks[i].status);
		ck_assert_uint_gt(strlen(outcome.said), 20);
		ck_assert_msg(strstr(outcome.said, tricks[i].text), "%s", outcome.said);
		ck_assert_ptr_null(strchr(outcome.said, '\x1b'));
		ck_assert_uint_lt(outcome.took_ms, 12000);
		ck_assert_int_lt(outcome.peak_kib, PEAK_KIB);
	}
}

/* The VM is ended all the same, and its owner told. */
static void check_end(void)
{
	uint64_t start = machine_now_ms();

	ck_assert_int_eq(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, TIMEOUT, &error), -1);
	ck_assert_uint_gt(strlen(error.message), 0);
	ck_assert_uint_lt(machine_now_ms() - start, TIMEOUT);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
}

START_TEST(who_may)
{
	boot();
	check_files();
	check_token_is_nowhere();
	check_token_is_wanted();
	check_loopback();
	check_restart();
	check_hostile();
	provium_connection_free(connection);
	check_end();
	provium_vm_free(vm);
	ck_assert_int_ne(access(token_path, F_OK), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-access");
	TCase *tcase = unit_counted_case("access");

	if (argc != 5)
		return 2;
	machine_kernels = argv[1];
	dial_program = argv[2];
	hostile_program = argv[3];
	provium_program = argv[4];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, who_may);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
