/* Commands and files through the library, on the real agent (lib_real.h). */
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
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

static struct provium_exec_result result;

/* ------------------------------------------------------------------------------------------- */
/* Helpers */

static int run(const struct provium_exec_options *options, char *out, char *err, size_t size)
{
	struct provium_buffer output = { 0 };
	struct provium_buffer errors = { 0 };

	if (provium_exec_run(connection, options, 0, SOON, &result, &output, &errors, &error) < 0)
		return -1;
	ck_assert_uint_lt(output.size, size);
	ck_assert_uint_lt(errors.size, size);
	memcpy(out, output.data, output.size + 1);
	memcpy(err, errors.data, errors.size + 1);
	free(output.data);
	free(errors.data);
	return 0;
}

static void run_shell(const char *line, char *out, char *err, size_t size)
{
	const struct provium_exec_options options = { .shell = line };

	check_ok(run(&options, out, err, size));
}

/* Bytes that differ at every place within a period that no chunk is a multiple of. */
static void fill(uint8_t *data, size_t size, uint64_t offset)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((offset + i) % 65537 * 251 >> 3);
}

static void wait_until_gone(int pid)
{
	for (int i = 0; i < 1000; i++) {
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return;
		usleep(10000);
	}
	ck_abort_msg("process %d is still there", pid);
}

/* ------------------------------------------------------------------------------------------- */
/* Commands */

START_TEST(test_agent)
{
	const struct provium_agent *agent = provium_connection_agent(connection);
	struct provium_info info;
	struct utsname system;

	ck_assert_int_eq(uname(&system), 0);
	ck_assert_str_eq(agent->version, provium_version());
	ck_assert_str_eq(agent->arch, system.machine);
	ck_assert_str_eq(agent->kernel_release, system.release);
	ck_assert_int_gt(agent->pid, 0);
	ck_assert_uint_eq(agent->restarts, 0);
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.connections, 1);
	ck_assert_uint_gt(info.memory_total, 0);
	ck_assert_uint_gt(info.frames_received, 0);
	ck_assert_uint_eq(info.commands_running, 0);
}
END_TEST

/* Others can only be sent the way that this connection came. */
START_TEST(test_worker_address)
{
	const struct provium_worker worker = { .number = 7, .port = 1234567890 };
	char address[PROVIUM_ADDRESS_SIZE] = "x";
	size_t length;

	if (!real_is_program()) {
		ck_assert_int_eq(provium_worker_address(connection, &worker, address,
							sizeof(address), &error),
				 -1);
		check_error(PROVIUM_INVALID, "worker 7: it is not known how");
		ck_assert_str_eq(address, "");
		return;
	}
	check_ok(provium_worker_address(connection, &worker, address, sizeof(address), &error));
	length = strlen(address);
	ck_assert_int_eq(strncmp(address, "agent-unix:/", strlen("agent-unix:/")), 0);
	ck_assert_uint_gt(length, strlen("_1234567890"));
	ck_assert_str_eq(address + length - strlen("_1234567890"), "_1234567890");
	ck_assert_int_eq(provium_worker_address(connection, &worker, address, 0, &error), -1);
	check_error(PROVIUM_INVALID, "does not fit into 0 bytes");
}
END_TEST

START_TEST(test_streams_and_status)
{
	char out[64], err[64];

	run_shell("echo out; echo err >&2; exit 7", out, err, sizeof(out));
	ck_assert_str_eq(out, "out\n");
	ck_assert_str_eq(err, "err\n");
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 7);
	ck_assert_int_gt(result.pid, 0);
	ck_assert_uint_gt(result.wall_ns, 0);
	ck_assert_uint_gt(result.max_rss_kib, 0);
	ck_assert_uint_eq(result.stdout_bytes, 4);

	run_shell("kill -SEGV $$", out, err, sizeof(out));
	ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
	ck_assert_int_eq(result.signal, SIGSEGV);
}
END_TEST

START_TEST(test_options)
{
	const char *const argv[] = { "sh", "-c", "echo $A $B; pwd; cat; echo e >&2; ls $PWD/file",
				     NULL };
	const char *const env[] = { "A=1", "B=x=y", "PATH=/usr/bin:/bin", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.env = env,
		.clear_env = true,
		.cwd = directory,
		.input = "input\n",
		.input_size = 6,
		.merge_stderr = true,
	};
	char expected[512];
	char out[1024], err[1024];

	check_ok(run(&options, out, err, sizeof(out)));
	snprintf(expected, sizeof(expected), "1 x=y\n%s\ninput\ne\n", directory);
	ck_assert_int_eq(strncmp(out, expected, strlen(expected)), 0);
	ck_assert_ptr_nonnull(strstr(out, "No such file"));
	ck_assert_str_eq(err, "");
	ck_assert_int_ne(result.exit_code, 0);
}
END_TEST

START_TEST(test_not_executed)
{
	const char *const missing[] = { "no-such-program", NULL };
	const char *const is_directory[] = { "/etc", NULL };
	const char *const fine[] = { "true", NULL };
	struct provium_exec_options options = { .argv = missing };
	char out[64], err[64];

	ck_assert_int_eq(run(&options, out, err, sizeof(out)), -1);
	check_error(PROVIUM_GUEST, "no-such-program");
	check_error(PROVIUM_GUEST, "No such file or directory (execve: ENOENT)");
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_str_eq(error.operation, "execve");

	options.argv = is_directory;
	ck_assert_int_eq(run(&options, out, err, sizeof(out)), -1);
	check_error(PROVIUM_GUEST, "/etc");
	ck_assert_int_eq(error.os_errno, EACCES);

	options.argv = fine;
	options.cwd = "/no/such/directory";
	ck_assert_int_eq(run(&options, out, err, sizeof(out)), -1);
	check_error(PROVIUM_GUEST, "/no/such/directory");
	ck_assert_str_eq(error.operation, "chdir");
}
END_TEST

START_TEST(test_guest_timeout)
{
	const struct provium_exec_options options = { .shell = "echo begun; sleep 100",
						      .timeout_ms = 300 };
	char out[64], err[64];

	check_ok(run(&options, out, err, sizeof(out)));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	ck_assert_str_eq(out, "begun\n");
	ck_assert_uint_ge(result.wall_ns, 300000000);
	ck_assert_uint_lt(result.wall_ns, 20000000000);
}
END_TEST

START_TEST(test_host_timeout)
{
	const struct provium_exec_options options = { .shell = "echo $$; exec sleep 100" };
	struct provium_buffer out;
	uint64_t begin = monotonic_ns();

	ck_assert_int_eq(
		provium_exec_run(connection, &options, 0, 300, &result, &out, NULL, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out after 300 ms");
	ck_assert_uint_lt(monotonic_ns() - begin, 10000000000);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

struct line {
	char text[64];
	size_t size;
};

static void take_line(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct line *line = user;

	(void)stream;
	ck_assert_uint_lt(line->size + size, sizeof(line->text));
	memcpy(line->text + line->size, data, size);
	line->size += size;
}

static void await_line(const struct line *line, size_t size)
{
	while (line->size < size)
		check_ok(provium_connection_dispatch(connection, SOON, &error));
}

/* Output comes when it is written, not when the command ends. */
START_TEST(test_conversation)
{
	struct line line = { .size = 0 };
	const char *const argv[] = { "cat", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.stdin_kind = PROVIUM_STDIN_STREAM,
		.on_output = take_line,
		.user = &line,
	};
	struct provium_exec *exec;

	check_ok(provium_exec_start(connection, &options, &exec, &error));
	check_ok(provium_exec_write(exec, "one\n", 4, SOON, &error));
	await_line(&line, 4);
	check_ok(provium_exec_write(exec, "two\n", 4, SOON, &error));
	await_line(&line, 8);
	ck_assert_str_eq(line.text, "one\ntwo\n");
	ck_assert(!provium_exec_done(exec));
	check_ok(provium_exec_close_stdin(exec, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.exit_code, 0);
	provium_exec_free(exec);
}
END_TEST

struct comparison {
	uint64_t at;
	uint8_t expected[KIB(256)];
};

static void compare(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct comparison *comparison = user;

	ck_assert_int_eq(stream, PROVIUM_STDOUT);
	while (size > 0) {
		size_t count = MIN(size, sizeof(comparison->expected));

		fill(comparison->expected, count, comparison->at);
		ck_assert_mem_eq(data, comparison->expected, count);
		comparison->at += count;
		data = (const uint8_t *)data + count;
		size -= count;
	}
}

/* Both ways at once, more than all buffers between can hold. */
START_TEST(test_stream_through_cat)
{
	static struct comparison comparison;
	static uint8_t chunk[KIB(100)];
	const uint64_t total = MIB(32) + 77;
	const char *const argv[] = { "cat", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.stdin_kind = PROVIUM_STDIN_STREAM,
		.on_output = compare,
		.user = &comparison,
	};
	struct provium_exec *exec;

	check_ok(provium_exec_start(connection, &options, &exec, &error));
	for (uint64_t at = 0; at < total;) {
		size_t count = MIN(sizeof(chunk), total - at);

		fill(chunk, count, at);
		check_ok(provium_exec_write(exec, chunk, count, SOON, &error));
		at += count;
	}
	check_ok(provium_exec_close_stdin(exec, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.exit_code, 0);
	ck_assert_uint_eq(comparison.at, total);
	ck_assert_uint_eq(result.stdout_bytes, total);
	provium_exec_free(exec);
}
END_TEST

START_TEST(test_input_in_memory)
{
	const size_t size = MIB(17) + 5;
	uint8_t *input = malloc(size);
	const char *const argv[] = { "cat", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.input = input,
		.input_size = size,
	};
	struct provium_buffer out;

	ck_assert_ptr_nonnull(input);
	fill(input, size, 0);
	check_ok(provium_exec_run(connection, &options, 2 * size, SOON, &result, &out, NULL,
				  &error));
	ck_assert_uint_eq(out.size, size);
	ck_assert_int_eq(memcmp(out.data, input, size), 0);
	free(out.data);

	/* A limit on what is kept. */
	check_ok(provium_exec_run(connection, &options, 1000, SOON, &result, &out, NULL, &error));
	ck_assert_uint_eq(out.size, 1000);
	ck_assert(result.stdout_truncated);
	ck_assert_uint_eq(result.stdout_bytes, size);
	free(out.data);
	free(input);
}
END_TEST

/* A command that does not read its input ends it for the writer. */
START_TEST(test_reader_gone)
{
	static uint8_t chunk[KIB(64)];
	const struct provium_exec_options options = { .shell = "exec 0<&-; sleep 100",
						      .stdin_kind = PROVIUM_STDIN_STREAM };
	struct provium_exec *exec;

	check_ok(provium_exec_start(connection, &options, &exec, &error));
	while (provium_exec_write(exec, chunk, sizeof(chunk), SOON, &error) == 0)
		continue;
	check_error(PROVIUM_GUEST, "EPIPE");
	ck_assert_int_eq(error.os_errno, EPIPE);
	ck_assert(!provium_exec_done(exec));
	check_ok(provium_exec_signal(exec, SIGTERM, false, SOON, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
	ck_assert_int_eq(result.signal, SIGTERM);
	provium_exec_free(exec);
}
END_TEST

/* One that neither reads nor ends: the writer's timeout counts, others go on. */
START_TEST(test_slow_reader)
{
	static uint8_t chunk[KIB(64)];
	const struct provium_exec_options options = { .shell = "sleep 100",
						      .stdin_kind = PROVIUM_STDIN_STREAM };
	struct provium_exec *exec;
	size_t written = 0;

	check_ok(provium_exec_start(connection, &options, &exec, &error));
	while (provium_exec_write(exec, chunk, sizeof(chunk), 200, &error) == 0)
		written += sizeof(chunk);
	check_error(PROVIUM_TIMED_OUT, "standard input");
	/* The window and a pipe. */
	ck_assert_uint_le(written, KIB(256 + 64 + 64));
	check_ok(provium_ping(connection, SOON, &error));
	check_ok(provium_exec_cancel(exec, &error));
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_CANCELLED);
	provium_exec_free(exec);
}
END_TEST

START_TEST(test_many_at_once)
{
	struct provium_exec *execs[64];
	struct line lines[64] = { { .size = 0 } };
	struct provium_info info;

	for (size_t i = 0; i < ARRAY_SIZE(execs); i++) {
		char shell[64];
		const struct provium_exec_options options = {
			.shell = shell,
			.stdin_kind = PROVIUM_STDIN_STREAM,
			.on_output = take_line,
			.user = &lines[i],
		};

		snprintf(shell, sizeof(shell), "read line; echo $line; exit %zu", i);
		check_ok(provium_exec_start(connection, &options, &execs[i], &error));
	}
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.commands_running, 64);
	/* The last one first: none waits for another. */
	for (size_t i = ARRAY_SIZE(execs); i-- > 0;) {
		char text[16];
		int length = snprintf(text, sizeof(text), "line %zu\n", i);

		check_ok(provium_exec_write(execs[i], text, (size_t)length, SOON, &error));
		check_ok(provium_exec_wait(execs[i], SOON, &result, &error));
		ck_assert_int_eq(result.exit_code, (int)i);
		ck_assert_str_eq(lines[i].text, text);
		provium_exec_free(execs[i]);
	}
}
END_TEST

/* Whoever lets go of a command, by its handle or with the connection, ends it. */
START_TEST(test_let_go)
{
	struct line line = { .size = 0 };
	const struct provium_exec_options options = {
		.shell = "echo $$; exec sleep 1000",
		.on_output = take_line,
		.user = &line,
	};
	struct provium_exec *exec;

	check_ok(provium_exec_start(connection, &options, &exec, &error));
	while (!strchr(line.text, '\n'))
		check_ok(provium_connection_dispatch(connection, SOON, &error));
	ck_assert_int_eq(provium_exec_wait(exec, 0, &result, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out");
	provium_exec_free(exec);
	wait_until_gone(atoi(line.text));
	check_ok(provium_ping(connection, SOON, &error));

	line = (struct line){ .size = 0 };
	check_ok(provium_exec_start(connection, &options, &exec, &error));
	while (!strchr(line.text, '\n'))
		check_ok(provium_connection_dispatch(connection, SOON, &error));
	provium_exec_free(exec);
	provium_connection_free(connection);
	connection = NULL;
	wait_until_gone(atoi(line.text));
}
END_TEST

START_TEST(test_pings)
{
	struct provium_info before, after;

	for (int i = 0; i < 1000; i++)
		check_ok(provium_ping(connection, SOON, &error));
	check_ok(provium_info(connection, SOON, &before, &error));
	for (int i = 0; i < 100000; i++)
		check_ok(provium_ping(connection, SOON, &error));
	check_ok(provium_info(connection, SOON, &after, &error));
	ck_assert_uint_eq(after.open_fds, before.open_fds);
	/* The sanitizer's quarantine makes the native server grow; the program must not. */
	if (real_is_program())
		ck_assert_uint_le(after.resident_bytes, before.resident_bytes + KIB(64));
	ck_assert_uint_ge(after.frames_received, before.frames_received + 100000);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Files */

static void write_pattern(const char *name, uint64_t size)
{
	static uint8_t chunk[MIB(1)];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	for (uint64_t at = 0; at < size;) {
		size_t count = MIN(sizeof(chunk), size - at);

		fill(chunk, count, at);
		ck_assert_int_eq(write(fd, chunk, count), (ssize_t)count);
		at += count;
	}
	close(fd);
}

static void check_pattern(const char *name, uint64_t size)
{
	static uint8_t chunk[MIB(1)];
	static uint8_t expected[MIB(1)];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	uint64_t at = 0;
	ssize_t count;

	ck_assert_int_ge(fd, 0);
	while ((count = read(fd, chunk, sizeof(chunk))) > 0) {
		fill(expected, (size_t)count, at);
		ck_assert_int_eq(memcmp(chunk, expected, (size_t)count), 0);
		at += (uint64_t)count;
	}
	ck_assert_uint_eq(at, size);
	close(fd);
}

static mode_t mode_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return status.st_mode & 07777;
}

START_TEST(test_push_and_pull)
{
	const uint64_t size = MIB(64) + 12345;

	write_pattern(path, size);
	ck_assert_int_eq(chmod(path, 0751), 0);
	check_ok(provium_push(connection, path, other_path, NULL, 60000, &error));
	ck_assert_int_eq(mode_of(other_path), 0751);
	check_pattern(other_path, size);
	ck_assert_int_eq(unlink(path), 0);
	check_ok(provium_pull(connection, other_path, path, NULL, 60000, &error));
	check_pattern(path, size);
}
END_TEST

START_TEST(test_memory_files)
{
	struct provium_buffer content;
	struct provium_write_options options = { .mode = 0640, .exclusive = true };

	check_ok(provium_write_file_memory(connection, path, &options, "one", 3, SOON, &error));
	ck_assert_int_eq(mode_of(path), 0640);
	ck_assert_int_eq(
		provium_write_file_memory(connection, path, &options, "two", 3, SOON, &error), -1);
	check_error(PROVIUM_GUEST, path);
	ck_assert_int_eq(error.os_errno, EEXIST);
	options = (struct provium_write_options){ .append = true };
	check_ok(provium_write_file_memory(connection, path, &options, "two", 3, SOON, &error));
	check_ok(provium_read_file_memory(connection, path, 6, SOON, &content, &error));
	ck_assert_str_eq(content.data, "onetwo");
	free(content.data);
	ck_assert_int_eq(provium_read_file_memory(connection, path, 5, SOON, &content, &error), -1);
	check_error(PROVIUM_LIMIT, "longer than 5 bytes");

	options = (struct provium_write_options){ .atomic = true };
	check_ok(provium_write_file_memory(connection, path, &options, "", 0, SOON, &error));
	check_ok(provium_read_file_memory(connection, path, 0, SOON, &content, &error));
	ck_assert_uint_eq(content.size, 0);
	free(content.data);
}
END_TEST

static int count_bytes(void *user, const void *data, size_t size)
{
	(void)data;
	*(uint64_t *)user += size;
	return 0;
}

START_TEST(test_read_parts)
{
	const struct provium_read_options options = { .offset = MIB(1) - 1, .length = MIB(2) };
	struct provium_buffer content;
	uint64_t counted = 0;
	uint64_t bytes = 0;

	write_pattern(path, MIB(10));
	check_ok(provium_read_file(connection, path, &options, count_bytes, &counted, SOON, &bytes,
				   &error));
	ck_assert_uint_eq(counted, MIB(2));
	ck_assert_uint_eq(bytes, MIB(2));
	/* A file whose size is told as 0. */
	check_ok(provium_read_file_memory(connection, "/proc/self/status", MIB(1), SOON, &content,
					  &error));
	ck_assert_ptr_nonnull(strstr(content.data, "Pid:"));
	free(content.data);
}
END_TEST

START_TEST(test_file_errors)
{
	struct provium_buffer content;

	ck_assert_int_eq(provium_read_file_memory(connection, path, 10, SOON, &content, &error),
			 -1);
	check_error(PROVIUM_GUEST, path);
	check_error(PROVIUM_GUEST, "No such file or directory (open: ENOENT)");
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_int_eq(
		provium_read_file_memory(connection, directory, 10, SOON, &content, &error), -1);
	ck_assert_int_eq(error.os_errno, EISDIR);
	ck_assert_int_eq(provium_write_file_memory(connection, "/proc/none/file", NULL, "x", 1,
						   SOON, &error),
			 -1);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_int_eq(
		provium_write_file_memory(connection, "/dev/full", NULL, "x", 1, SOON, &error), -1);
	check_error(PROVIUM_GUEST, "ENOSPC");
	ck_assert_int_eq(provium_pull(connection, "/nonexistent", path, NULL, SOON, &error), -1);
	check_error(PROVIUM_GUEST, "ENOENT");
	ck_assert_int_eq(access(path, F_OK), -1);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* Endless files: the caller stops, or time does. */
static int stop_after(void *user, const void *data, size_t size)
{
	(void)data;
	*(uint64_t *)user += size;
	return *(uint64_t *)user > MIB(4);
}

START_TEST(test_endless_file)
{
	uint64_t counted = 0;

	ck_assert_int_eq(provium_read_file(connection, "/dev/zero", NULL, stop_after, &counted,
					   SOON, NULL, &error),
			 -1);
	check_error(PROVIUM_CANCELLED, "/dev/zero");
	ck_assert_int_eq(provium_read_file(connection, "/dev/zero", NULL, count_bytes, &counted,
					   200, NULL, &error),
			 -1);
	check_error(PROVIUM_TIMED_OUT, "/dev/zero");
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* Only the server without a machine of its own can be told to shut down here. */
START_TEST(test_shutdown)
{
	if (real_is_program()) {
		ck_assert_int_eq(
			provium_shutdown(connection, PROVIUM_POWER_OFF, true, SOON, &error), -1);
		ck_assert_int_eq(error.code, PROVIUM_UNSUPPORTED);
		check_ok(provium_ping(connection, SOON, &error));
		return;
	}
	check_ok(provium_shutdown(connection, PROVIUM_POWER_OFF, true, SOON, &error));
	ck_assert_int_eq(provium_ping(connection, SOON, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "told to shut down");
}
END_TEST

static TCase *command_cases(void)
{
	TCase *tcase = unit_counted_case("commands");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, real_start, real_finish);
	tcase_add_test(tcase, test_agent);
	tcase_add_test(tcase, test_worker_address);
	tcase_add_test(tcase, test_streams_and_status);
	tcase_add_test(tcase, test_options);
	tcase_add_test(tcase, test_not_executed);
	tcase_add_test(tcase, test_guest_timeout);
	tcase_add_test(tcase, test_host_timeout);
	tcase_add_test(tcase, test_conversation);
	tcase_add_test(tcase, test_stream_through_cat);
	tcase_add_test(tcase, test_input_in_memory);
	tcase_add_test(tcase, test_reader_gone);
	tcase_add_test(tcase, test_slow_reader);
	tcase_add_test(tcase, test_many_at_once);
	tcase_add_test(tcase, test_let_go);
	tcase_add_test(tcase, test_pings);
	tcase_add_test(tcase, test_shutdown);
	return tcase;
}

static TCase *file_cases(void)
{
	TCase *tcase = unit_counted_case("files");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, real_start, real_finish);
	tcase_add_test(tcase, test_push_and_pull);
	tcase_add_test(tcase, test_memory_files);
	tcase_add_test(tcase, test_read_parts);
	tcase_add_test(tcase, test_file_errors);
	tcase_add_test(tcase, test_endless_file);
	return tcase;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("lib-agent");

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	suite_add_tcase(suite, command_cases());
	suite_add_tcase(suite, file_cases());
	return unit_run(suite);
}
