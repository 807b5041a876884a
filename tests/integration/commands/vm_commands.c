/*
 * Commands in a guest, many and large: nothing lost, nothing left, nothing held up.
 *
 *     vm-commands KERNELS WRITER [full]    "full": as many and as large as it takes minutes
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define TIMEOUT 120000

static const char *writer;
static bool full;

static struct provium_vm *vm;
static struct provium_connection *connection;
static struct provium_error error;

#define CALL(call) ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

static void boot(void)
{
	const struct provium_file file = { .guest_path = "/writer", .host_path = writer };
	struct provium_vm_options options;

	machine_start();
	options = machine_options();
	options.files = &file;
	options.n_files = 1;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
}

static void shut_down(void)
{
	CALL(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, TIMEOUT, &error));
	provium_vm_free(vm);
	machine_finish();
}

static struct provium_info info(void)
{
	struct provium_info now;

	CALL(provium_info(connection, TIMEOUT, &now, &error));
	return now;
}

/* Processes of the guest but init; the shell that asks and its cat are always among them. Not the
 * kernel's threads, whose parent is kthreadd, 2: workers come and go as they like. */
static int count_processes(void)
{
	const struct provium_exec_options options = {
		.shell = "all=$(cat /proc/[1-9]*/status); "
			 "echo \"$all\" | grep PPid: | grep -vc '[[:space:]][02]$'",
	};
	struct provium_buffer output;
	int count;

	CALL(provium_exec_run(connection, &options, 0, TIMEOUT, NULL, &output, NULL, &error));
	count = atoi(output.data);
	free(output.data);
	return count;
}

static void run_true(void)
{
	static const char *const argv[] = { "/bin/busybox", "true", NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct provium_exec_result result;

	CALL(provium_exec_run(connection, &options, 0, TIMEOUT, &result, NULL, NULL, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 0);
}

/* What the agent holds does not grow with what it has done. */
START_TEST(in_a_row)
{
	const int count = full ? 10000 : 500;
	struct provium_info before, after;
	int processes;

	for (int i = 0; i < 100; i++)
		run_true();
	processes = count_processes();
	before = info();
	for (int i = 0; i < count; i++)
		run_true();
	after = info();
	printf("# %d commands: resident %+lld bytes, fds %+d\n", count,
	       (long long)(after.resident_bytes - before.resident_bytes),
	       (int)(after.open_fds - before.open_fds));
	ck_assert_uint_eq(after.open_fds, before.open_fds);
	/* The kernel counts in steps of up to 64 pages for each task (mm/memory.c,
	 * TASK_RSS_EVENTS_THRESH). */
	ck_assert_uint_le(after.resident_bytes, before.resident_bytes + KIB(256 + 64));
	ck_assert_uint_eq(after.commands_running, 0);
	ck_assert_int_eq(count_processes(), processes);
}
END_TEST

enum {
	AT_ONCE = 500,
	LINES = 40,
};

struct many {
	struct provium_exec *exec;
	int number;
	char output[2][4096];
	size_t size[2];
};

static void take_many(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct many *many = user;
	int index = stream == PROVIUM_STDERR;

	if (size > sizeof(many->output[0]) - many->size[index])
		size = sizeof(many->output[0]) - many->size[index];
	memcpy(many->output[index] + many->size[index], data, size);
	many->size[index] += size;
}

/* The first lines of one of its streams, and nothing else. */
static void expect_lines_of(const struct many *many, int index, const char *word, int lines)
{
	char wanted[4096];
	size_t used = 0;

	for (int line = 0; line < lines; line++)
		used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s %d %d\n", word,
					 many->number, line);
	ck_assert_uint_eq(many->size[index], used);
	ck_assert_int_eq(memcmp(many->output[index], wanted, used), 0);
}

static void start_one_of_many(struct many *many)
{
	struct provium_exec_options options = {
		.stdin_kind = PROVIUM_STDIN_STREAM,
		.on_output = take_many,
		.user = many,
	};
	char shell[192];

	/* Half of the lines, then it waits, with all the others, for its input's end. */
	snprintf(shell, sizeof(shell),
		 "lines() { while [ $i -lt $1 ]; do echo out %d $i; echo err %d $i >&2; "
		 "i=$((i + 1)); done; }; i=0; lines %d; read end; lines %d; exit %d",
		 many->number, many->number, LINES / 2, LINES, many->number % 256);
	options.shell = shell;
	CALL(provium_exec_start(connection, &options, &many->exec, &error));
}

static bool has_lines(const struct many *many, int lines)
{
	int counts[2] = { 0 };

	for (int i = 0; i < 2; i++)
		for (size_t at = 0; at < many->size[i]; at++)
			counts[i] += many->output[i][at] == '\n';
	return counts[0] >= lines && counts[1] >= lines;
}

/* All of them run at one moment, each with its own output so far. */
static void await_all(const struct many *all)
{
	for (uint64_t end = machine_now_ms() + TIMEOUT;; usleep(100000)) {
		int arrived = 0;

		ck_assert_uint_lt(machine_now_ms(), end);
		ck_assert_uint_le(info().commands_running, AT_ONCE);
		for (int i = 0; i < AT_ONCE; i++)
			arrived += has_lines(&all[i], LINES / 2);
		if (arrived == AT_ONCE)
			break;
	}
	ck_assert_uint_eq(info().commands_running, AT_ONCE);
	for (int i = 0; i < AT_ONCE; i++) {
		ck_assert(!provium_exec_done(all[i].exec));
		expect_lines_of(&all[i], 0, "out", LINES / 2);
		expect_lines_of(&all[i], 1, "err", LINES / 2);
	}
	/* Their shells, as the guest sees them; beside them the one that asks. */
	ck_assert_int_ge(count_processes(), AT_ONCE);
}

START_TEST(at_once)
{
	static struct many all[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++) {
		all[i] = (struct many){ .number = i };
		start_one_of_many(&all[i]);
	}
	await_all(all);
	for (int i = 0; i < AT_ONCE; i++)
		CALL(provium_exec_close_stdin(all[i].exec, &error));
	for (int i = 0; i < AT_ONCE; i++) {
		struct provium_exec_result result;

		CALL(provium_exec_wait(all[i].exec, TIMEOUT, &result, &error));
		ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
		ck_assert_int_eq(result.exit_code, i % 256);
		expect_lines_of(&all[i], 0, "out", LINES);
		expect_lines_of(&all[i], 1, "err", LINES);
		provium_exec_free(all[i].exec);
	}
	ck_assert_uint_eq(info().commands_running, 0);
}
END_TEST

static struct provium_exec_result run(const char *shell, uint64_t timeout_ms,
				      struct provium_buffer *output)
{
	const struct provium_exec_options options = { .shell = shell, .timeout_ms = timeout_ms };
	struct provium_exec_result result;

	CALL(provium_exec_run(connection, &options, 0, TIMEOUT, &result, output, NULL, &error));
	return result;
}

/* A daemon that keeps standard output holds nobody up. */
static uint64_t held_output_ms(void)
{
	struct provium_exec_result result;
	struct provium_buffer output;
	uint64_t start = machine_now_ms(), end;

	result = run("sleep 1000 & echo started", 0, &output);
	end = machine_now_ms();
	ck_assert_str_eq(output.data, "started\n");
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert(result.pipes_held);
	free(output.data);
	machine_expect(connection, "killall sleep", "");
	return end - start;
}

START_TEST(outcomes)
{
	struct provium_exec_result result;
	uint64_t best = UINT64_MAX;

	/* Under TCG, beside whatever else the machine does, a try can be slow for no reason of
	 * ours; the agent that waited for the daemon would be in each of them. */
	for (int i = 0; i < 3; i++)
		best = MIN(best, held_output_ms());
	ck_assert_uint_lt(best, 1000);

	result = run("kill -SEGV $$", 0, NULL);
	ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
	ck_assert_int_eq(result.signal, SIGSEGV);

	result = run("exec sleep 1000", 300, NULL);
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);

	/* What has left the process group and the session dies with it. */
	result = run("setsid sleep 1000 & exec sleep 1000", 1000, NULL);
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	machine_expect(connection, "pidof sleep || echo none", "none\n");
	result = run("setsid sh -c \"trap '' TERM; sleep 1000\" & sleep 1000", 1000, NULL);
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	machine_expect(connection, "pidof sleep || echo none", "none\n");
}
END_TEST

/* The numbers that the writer writes. */
struct numbers {
	uint64_t bytes[2];
	bool wrong;
};

static void take_numbers(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct numbers *numbers = user;
	uint64_t *bytes = &numbers->bytes[stream == PROVIUM_STDERR];
	const uint8_t *at = data;

	for (size_t i = 0; i < size; i++, ++*bytes) {
		uint64_t number = *bytes / 8;

		numbers->wrong |= at[i] != (uint8_t)(number >> 8 * (*bytes % 8));
	}
}

START_TEST(both_streams)
{
	const uint64_t bytes = full ? MIB(1024) : MIB(32);
	char text[32];
	const char *const argv[] = { "/writer", text, NULL };
	struct numbers numbers = { 0 };
	const struct provium_exec_options options = {
		.argv = argv,
		.on_output = take_numbers,
		.user = &numbers,
	};
	struct provium_exec_result result;
	struct provium_exec *exec;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	CALL(provium_exec_start(connection, &options, &exec, &error));
	CALL(provium_exec_wait(exec, 1800000, &result, &error));
	provium_exec_free(exec);
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 0);
	ck_assert_uint_eq(numbers.bytes[0], bytes);
	ck_assert_uint_eq(numbers.bytes[1], bytes);
	ck_assert(!numbers.wrong);
}
END_TEST

struct slow_reader {
	struct provium_connection *connection;
	uint64_t wanted;
	/* So far; read by the other thread as well. */
	_Atomic uint64_t bytes;
	_Atomic bool ended;
	bool failed;
};

/* Takes what comes at 1 MiB/s. */
static void take_slowly(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct slow_reader *reader = user;

	(void)stream;
	(void)data;
	usleep((useconds_t)size);
	reader->bytes += size;
}

static void *read_slowly(void *user)
{
	struct slow_reader *reader = user;
	char shell[64];
	const struct provium_exec_options options = {
		.shell = shell,
		.on_output = take_slowly,
		.user = reader,
	};
	struct provium_exec_result result;
	struct provium_error failure;
	struct provium_exec *exec;

	snprintf(shell, sizeof(shell), "head -c %llu /dev/zero",
		 (unsigned long long)reader->wanted);
	if (provium_exec_start(reader->connection, &options, &exec, &failure) == 0) {
		reader->failed = provium_exec_wait(exec, TIMEOUT, &result, &failure) < 0;
		provium_exec_free(exec);
	}
	reader->ended = true;
	return NULL;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* The most memory that the agent was seen to have. */
static uint64_t most_resident;

static struct provium_info sample(void)
{
	struct provium_info now = info();

	most_resident = MAX(most_resident, now.resident_bytes);
	return now;
}

static uint64_t twenty_once_us(void)
{
	const struct provium_exec_options options = { .shell = "true" };
	struct provium_exec *all[20];
	uint64_t start = monotonic_ns();

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		CALL(provium_exec_start(connection, &options, &all[i], &error));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		CALL(provium_exec_wait(all[i], TIMEOUT, NULL, &error));
		provium_exec_free(all[i]);
	}
	return (monotonic_ns() - start) / 1000;
}

/*
 * Microseconds for 20 commands side by side: the median of some rounds, during all of which so many
 * others run.
 */
static uint64_t twenty_us(int rounds, unsigned int others)
{
	uint64_t times[32];

	for (int round = 0; round < rounds; round++) {
		times[round] = twenty_once_us();
		ck_assert_uint_eq(sample().commands_running, others);
	}
	qsort(times, (size_t)rounds, sizeof(times[0]), compare);
	return times[rounds / 2];
}

/* Starts it, measures beside it, and waits for its end. */
static uint64_t beside_a_slow_reader(int rounds)
{
	struct slow_reader reader = { .wanted = full ? MIB(16) : MIB(4) };
	pthread_t thread;
	uint64_t beside;

	CALL(provium_vm_connect(vm, 0, TIMEOUT, &reader.connection, &error));
	ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	while (reader.bytes == 0 && !reader.ended)
		usleep(1000);
	/* The command's output is still on its way while these run, and so is the reader. */
	beside = twenty_us(rounds, 1);
	ck_assert(!reader.ended);
	while (!reader.ended) {
		sample();
		usleep(50000);
	}
	pthread_join(thread, NULL);
	provium_connection_free(reader.connection);
	ck_assert(!reader.failed);
	ck_assert_uint_eq(reader.bytes, reader.wanted);
	return beside;
}

/*
 * Not slowed by more than half. Another process on this machine slows them as well, for a while: so
 * in turns, and the middle one counts.
 */
START_TEST(a_slow_reader)
{
	const int rounds = full ? 20 : 3, turns = full ? 3 : 1;
	uint64_t percent[3], alone = twenty_us(rounds, 0);

	for (int turn = 0; turn < turns; turn++) {
		uint64_t before = alone, beside = beside_a_slow_reader(rounds);

		alone = twenty_us(rounds, 0);
		percent[turn] = 100 * beside / MAX(before, alone);
		printf("# 20 commands, us: %llu before, %llu beside a slow reader, %llu after\n",
		       (unsigned long long)before, (unsigned long long)beside,
		       (unsigned long long)alone);
	}
	printf("# agent %llu KiB at the most\n", (unsigned long long)most_resident >> 10);
	/* One that kept all of the little that the short test sends would have 3 MiB and more. */
	ck_assert_uint_lt(most_resident, full ? MIB(4) : MIB(3));
	/* Only over many rounds does a ratio of times say something. */
	qsort(percent, (size_t)turns, sizeof(percent[0]), compare);
	if (full)
		ck_assert_uint_le(percent[turns / 2], 150);
}
END_TEST

/* What has been read of a job's output so far, and up to what it is read. */
struct screen {
	char text[512];
	size_t size;
	const char *until;
};

static int show(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		size_t size)
{
	struct screen *screen = user;

	ck_assert_int_eq(stream, PROVIUM_STDOUT);
	ck_assert_uint_eq(offset, screen->size);
	ck_assert_uint_lt(size, sizeof(screen->text) - screen->size);
	memcpy(screen->text + screen->size, data, size);
	screen->size += size;
	return strstr(screen->text, screen->until) ? -1 : 0;
}

/* Goes on reading, from where it was left, until this has been shown. */
static void await_shown(const struct provium_job_ref *ref, struct screen *screen, const char *until)
{
	const struct provium_job_output_options options = { .offset = screen->size,
							    .follow = true };

	screen->until = until;
	ck_assert_msg(provium_job_output(connection, ref, &options, show, screen, TIMEOUT, NULL,
					 &error) == -1 &&
			      error.code == PROVIUM_CANCELLED,
		      "no \"%s\" in \"%s\": %s", until, screen->text, error.message);
}

/* Resized while it runs, and typed to, all of it by its name; its output is kept as it was shown.
 */
START_TEST(a_job_on_a_terminal)
{
	const struct provium_exec_options command = {
		.shell = "trap 'echo resized; stty size; resized=1' WINCH; "
			 "test -t 0 && test -t 1 && test -t 2 && echo \"on a $TERM\"; stty size; "
			 "until test $resized; do sleep 0.1; done; "
			 "read line; echo \"got $line\"; exit 3",
		.stdin_kind = PROVIUM_STDIN_STREAM,
		.pty = true,
		.rows = 30,
		.cols = 90,
		.term = "vt100",
	};
	static const struct provium_job_options job = { .name = "screen" };
	static const struct provium_job_ref ref = { .name = "screen" };
	struct screen kept = { .until = "never shown" }, screen = { 0 };
	const struct provium_job_wait_options wait_options = {
		.wait_ms = PROVIUM_FOREVER,
		.on_output = show,
		.user = &kept,
	};
	struct provium_job_result result;
	uint64_t number;

	CALL(provium_job_start(connection, &command, &job, TIMEOUT, &number, NULL, &error));
	await_shown(&ref, &screen, "30 90\r\n");
	ck_assert_str_eq(screen.text, "on a vt100\r\n30 90\r\n");
	CALL(provium_job_resize(connection, &ref, 41, 132, TIMEOUT, &error));
	await_shown(&ref, &screen, "41 132\r\n");
	CALL(provium_job_write(connection, &ref, "hello\r", 6, TIMEOUT, &error));
	await_shown(&ref, &screen, "got hello\r\n");

	CALL(provium_job_wait(connection, &ref, &wait_options, TIMEOUT, &result, &error));
	ck_assert(!result.running);
	ck_assert_int_eq(result.result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.result.exit_code, 3);
	/* With what was typed, as a terminal echoes it. */
	ck_assert_str_eq(kept.text, "on a vt100\r\n30 90\r\nresized\r\n41 132\r\n"
				    "hello\r\ngot hello\r\n");
	ck_assert_uint_eq(result.stdout_dropped, 0);
	ck_assert_int_eq(provium_job_resize(connection, &ref, 1, 1, TIMEOUT, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_NOT_FOUND);
}
END_TEST

/* In a process of its own, which ends as nobody expects. */
static void start_job_and_die(const char *address)
{
	static const struct provium_exec_options options = {
		.shell = "echo started; sleep 2; echo over >&2; exit 9",
	};
	static const struct provium_job_options job = { .name = "orphan" };
	struct provium_connection *own;
	struct provium_error failure;
	uint64_t number;

	if (provium_connect(address, TIMEOUT, &own, &failure) == 0 &&
	    provium_job_start(own, &options, &job, TIMEOUT, &number, NULL, &failure) == 0)
		raise(SIGKILL);
	_exit(1);
}

static int take_kept(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		     size_t size)
{
	char *text = user;
	size_t used = strlen(text);

	ck_assert_uint_eq(offset, 0);
	snprintf(text + used, 64 - used, "%d:%.*s", (int)stream, (int)size, (const char *)data);
	return 0;
}

/* A job goes on when the host has gone, and the next one finds it. */
START_TEST(a_host_that_is_killed)
{
	const struct provium_job_ref ref = { .name = "orphan" };
	char output[64] = "", address[160], socket[96];
	struct provium_job_wait_options wait_options = {
		.wait_ms = PROVIUM_FOREVER,
		.on_output = take_kept,
		.user = output,
	};
	struct provium_job_result result;
	struct provium_vm_options options;
	int status;
	pid_t host;

	machine_start();
	options = machine_options();
	snprintf(socket, sizeof(socket), "%s/socket", machine_directory);
	snprintf(address, sizeof(address), "unix:%s", socket);
	options.socket = socket;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);

	host = fork();
	if (host == 0)
		start_job_and_die(address);
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);

	CALL(provium_job_wait(connection, &ref, &wait_options, TIMEOUT, &result, &error));
	ck_assert(!result.running);
	ck_assert_int_eq(result.result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.result.exit_code, 9);
	ck_assert_str_eq(output, "1:started\n2:over\n");
	shut_down();
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-commands");
	TCase *tcase = unit_counted_case("commands");

	if (argc < 3)
		return 2;
	machine_kernels = argv[1];
	writer = argv[2];
	full = argc > 3 && strcmp(argv[3], "full") == 0;
	tcase_add_checked_fixture(tcase, boot, shut_down);
	tcase_set_timeout(tcase, 1800);
	tcase_add_test(tcase, in_a_row);
	tcase_add_test(tcase, at_once);
	tcase_add_test(tcase, outcomes);
	tcase_add_test(tcase, both_streams);
	tcase_add_test(tcase, a_slow_reader);
	tcase_add_test(tcase, a_job_on_a_terminal);
	suite_add_tcase(suite, tcase);
	tcase = unit_counted_case("jobs");
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, a_host_that_is_killed);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
