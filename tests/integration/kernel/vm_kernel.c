/*
 * What the kernel says of its faults, with a kernel that has them: tests/kmod, which is also the
 * example of a module under test. Loaded through the agent, asked by system calls and by commands.
 *
 *     vm-kernel KERNEL HELPER REPORTS MODULE
 *
 * The tests run in the order in which they stand here: after the first oops the kernel's watchdogs
 * are silent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/integration/vm/panic_watch.h"
#include "tests/kmod/provium_test.h"
#include "tests/unit/unit.h"

#define TIMEOUT       60000
#define VALUE(number) provium_value((uint64_t)(number))
#define OK(call)      ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

/* Bits of the taint mask (include/linux/panic.h). */
#define TAINT_DIE     (UINT64_C(1) << 7)
#define TAINT_WARN    (UINT64_C(1) << 9)
#define TAINT_MODULE  (UINT64_C(1) << 12 | UINT64_C(1) << 13)

static const char *helper;
static const char *reports;
static const char *module;
static struct provium_vm *vm;
static struct panic_watch watch;
static char address[160];

static struct provium_connection *connection;
static struct provium_program *program;
static struct provium_error error;

/* ------------------------------------------------------------------------------------------- */
/* The guest, in the process whose children the tests are */

static void boot(void)
{
	const struct provium_file files[] = { { .guest_path = "/test", .host_path = helper } };
	struct provium_vm_options options;
	char socket[96];

	machine_start();
	options = machine_options();
	snprintf(socket, sizeof(socket), "%s/socket", machine_directory);
	snprintf(address, sizeof(address), "unix:%s", socket);
	options.socket = socket;
	options.files = files;
	options.n_files = ARRAY_SIZE(files);
	options.cpus = 2;
	vm = machine_boot(&options);
}

static void shut_down(void)
{
	provium_vm_free(vm);
	machine_finish();
}

static void start(void)
{
	OK(provium_connect(address, TIMEOUT, &connection, &error));
	program = provium_program_new();
	ck_assert_ptr_nonnull(program);
}

static void finish(void)
{
	provium_program_free(program);
	provium_connection_free(connection);
}

/* ------------------------------------------------------------------------------------------- */

static int call_open(void)
{
	return PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD),
			    provium_address(provium_program_string(program, "/dev/provium-test")),
			    VALUE(O_RDWR));
}

static int call_ioctl(int fd, uint64_t command, const void *data, size_t size)
{
	int buffer = provium_program_input(program, data, size);

	return PROVIUM_CALL(program, SYS_ioctl, provium_result_of(fd), VALUE(command),
			    provium_address(buffer));
}

static void call_close(int fd)
{
	PROVIUM_CALL(program, SYS_close, provium_result_of(fd));
}

/* The program has the kernel report this; returns the call. */
static int call_splat(enum provium_test_kind kind, uint32_t later_ms)
{
	const struct provium_test_splat splat = { .kind = kind, .later_ms = later_ms };
	int fd = call_open();
	int call = call_ioctl(fd, PROVIUM_TEST_SPLAT, &splat, sizeof(splat));

	call_close(fd);
	return call;
}

static void run_program(void)
{
	OK(provium_program_run(connection, program, TIMEOUT, &error));
	OK(provium_program_check(program, &error));
}

static const struct provium_kernel_event *next_event(void)
{
	const struct provium_kernel_event *event;

	OK(provium_kernel_next(connection, TIMEOUT, &event, &error));
	return event;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The next event that is no changed taint mask. Its text begins and ends so, and holds that. */
static const struct provium_kernel_event *expect_fault(enum provium_kernel_kind kind,
						       const char *beginning, const char *part,
						       const char *end)
{
	const struct provium_kernel_event *event;

	do {
		event = next_event();
	} while (!provium_kernel_is_fault(event->kind));
	ck_assert_msg(event->kind == kind, "%s: %s", provium_kernel_kind_name(event->kind),
		      event->text);
	ck_assert_msg(strncmp(event->text, beginning, strlen(beginning)) == 0, "%s", event->text);
	ck_assert_msg(strstr(event->text, part), "%s", event->text);
	ck_assert_msg(ends_with(event->text, end), "%s", event->text);
	ck_assert_uint_eq(event->lost, 0);
	return event;
}

#define CUT   "------------[ cut here ]------------\n"
#define TRACE "\n---[ end trace 0000000000000000 ]---"

static struct provium_exec_result run_helper(const char *kind, const char *later_ms)
{
	const char *const argv[] = { "/test", "splat", kind, later_ms, NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct provium_exec_result result;

	OK(provium_exec_run(connection, &options, 0, TIMEOUT, &result, NULL, NULL, &error));
	return result;
}

/* ------------------------------------------------------------------------------------------- */

/* As any file of the host's: written, and loaded by a system call. */
START_TEST(loads_a_module)
{
	cleanup_close int host = open(module, O_RDONLY | O_CLOEXEC);
	static char content[4 << 20];
	ssize_t size = read(host, content, sizeof(content));
	uint64_t taint = 0;
	int fd;

	ck_assert_int_gt(size, 0);
	OK(provium_write_file_memory(connection, "/module.ko", NULL, content, (size_t)size, TIMEOUT,
				     &error));
	fd = PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD),
			  provium_address(provium_program_string(program, "/module.ko")),
			  VALUE(O_RDONLY));
	PROVIUM_CALL(program, SYS_finit_module, provium_result_of(fd),
		     provium_address(provium_program_string(program, "")), VALUE(0));
	call_close(fd);
	run_program();

	/* It is foreign and not signed: no fault, but the kernel is marked. */
	while (taint != TAINT_MODULE) {
		const struct provium_kernel_event *event = next_event();

		ck_assert_int_eq(event->kind, PROVIUM_KERNEL_TAINT);
		ck_assert_msg(strstr(event->text, "provium_test"), "%s", event->text);
		ck_assert_uint_eq(event->taint_before, taint);
		taint = event->taint;
	}
	OK(provium_kernel_check(connection, 0, TIMEOUT, &error));
}
END_TEST

/* A struct that points to structs that point to bytes, and what the kernel makes of them. */
START_TEST(tries_an_ioctl_with_nested_pointers)
{
	static const char *const words[] = { "kernel", " ", "evidence" };
	struct provium_test_piece pieces[ARRAY_SIZE(words)] = { 0 };
	struct provium_test_gather request = { .count = ARRAY_SIZE(words), .target_size = 16 };
	const struct provium_buffer_options in_out[] = {
		{ .input = &request, .input_size = sizeof(request), .output = true },
		{ .input = pieces, .input_size = sizeof(pieces), .output = true },
	};
	int gather, list, target, fd;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		pieces[i].size = (uint32_t)strlen(words[i]);
	gather = provium_program_buffer(program, &in_out[0]);
	list = provium_program_buffer(program, &in_out[1]);
	target = provium_program_output(program, 16);
	provium_program_pointer(program, gather, offsetof(struct provium_test_gather, pieces), list,
				0);
	provium_program_pointer(program, gather, offsetof(struct provium_test_gather, target),
				target, 0);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		provium_program_pointer(
			program, list,
			i * sizeof(*pieces) + offsetof(struct provium_test_piece, data),
			provium_program_input(program, words[i], strlen(words[i])), 0);
	fd = call_open();
	PROVIUM_CALL(program, SYS_ioctl, provium_result_of(fd), VALUE(PROVIUM_TEST_GATHER),
		     provium_address(gather));
	call_close(fd);
	run_program();

	memcpy(&request, provium_program_data(program, gather), sizeof(request));
	memcpy(pieces, provium_program_data(program, list), sizeof(pieces));
	ck_assert_uint_eq(request.written, 15);
	ck_assert_mem_eq(provium_program_data(program, target), "kernel evidence", 15);
	ck_assert_uint_eq(pieces[1].sum, ' ');
	ck_assert_uint_eq(pieces[0].sum, 'k' + 'e' + 'r' + 'n' + 'e' + 'l');
}
END_TEST

static void write_setting(const char *path, const char *text)
{
	const struct provium_write_options options = { .no_create = true };

	OK(provium_write_file_memory(connection, path, &options, text, strlen(text), TIMEOUT,
				     &error));
}

/* A watchdog of the kernel's finds it: no call's. */
START_TEST(tells_a_hung_task)
{
	const struct provium_kernel_event *event;
	int fd;

	write_setting("/proc/sys/kernel/hung_task_timeout_secs", "1");
	fd = call_open();
	PROVIUM_CALL(program, SYS_ioctl, provium_result_of(fd), VALUE(PROVIUM_TEST_HANG));
	call_close(fd);
	run_program();
	event = expect_fault(PROVIUM_KERNEL_HUNG_TASK, "INFO: task provium-hang:",
			     "disables this message.\ntask:provium-hang", "\n </TASK>");
	ck_assert_str_eq(event->running, "");

	write_setting("/proc/sys/kernel/hung_task_timeout_secs", "0");
	provium_program_free(program);
	program = provium_program_new();
	fd = call_open();
	PROVIUM_CALL(program, SYS_ioctl, provium_result_of(fd), VALUE(PROVIUM_TEST_WAKE));
	call_close(fd);
	run_program();
}
END_TEST

START_TEST(tells_a_warning_of_a_call)
{
	uint64_t before = provium_kernel_last(connection);
	const struct provium_kernel_event *event;
	const uint64_t *numbers;
	size_t count;
	int call = call_splat(PROVIUM_TEST_WARN, 0);

	run_program();
	/* It came before the result, which names it: nothing is waited for. */
	numbers = provium_kernel_numbers(connection, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_gt(numbers[0], before);
	ck_assert_uint_eq(provium_kernel_last(connection), numbers[0]);
	numbers = provium_program_kernel_events(program, call, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(numbers[0], provium_kernel_last(connection));
	ck_assert_ptr_null(provium_program_kernel_events(program, call - 1, &count));

	OK(provium_kernel_next(connection, 0, &event, &error));
	ck_assert_uint_eq(event->number, numbers[0]);
	ck_assert_int_eq(event->kind, PROVIUM_KERNEL_WARNING);
	ck_assert_msg(strncmp(event->text,
			      CUT "provium-test: this warning was asked for\nWARNING: CPU: ",
			      strlen(CUT) + 55) == 0,
		      "%s", event->text);
	ck_assert_msg(strstr(event->text, "\nCall Trace:\n"), "%s", event->text);
	ck_assert_msg(ends_with(event->text, TRACE), "%s", event->text);
	ck_assert_uint_eq(event->taint_before, TAINT_MODULE);
	ck_assert_uint_eq(event->taint, TAINT_MODULE | TAINT_WARN);
	ck_assert_str_eq(event->running, "system calls");

	ck_assert_int_eq(provium_kernel_check(connection, before, TIMEOUT, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_SPLAT);
	ck_assert_msg(strstr(error.message, "warning while this ran: system calls\n" CUT), "%s",
		      error.message);
	OK(provium_kernel_check(connection, numbers[0], TIMEOUT, &error));
}
END_TEST

START_TEST(tells_a_warning_of_a_command)
{
	struct provium_exec_result result = run_helper("0", NULL);
	const struct provium_kernel_event *event;

	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 0);
	event = expect_fault(PROVIUM_KERNEL_WARNING, CUT, "this warning was asked for", TRACE);
	ck_assert_uint_eq(result.first_kernel_event, event->number);
	ck_assert_uint_eq(result.last_kernel_event, event->number);
	ck_assert_str_eq(event->running, "exec: /test");
}
END_TEST

/* While a command runs nobody can say whose it is: the request's, and no call's. */
START_TEST(blames_no_call_while_a_command_runs)
{
	const struct provium_exec_options options = { .shell = "echo; exec sleep 1000",
						      .on_output = NULL };
	struct provium_exec_result result;
	struct provium_exec *exec;
	size_t count;
	int call;

	OK(provium_exec_start(connection, &options, &exec, &error));
	OK(provium_ping(connection, TIMEOUT, &error));
	call = call_splat(PROVIUM_TEST_WARN, 0);
	run_program();
	provium_kernel_numbers(connection, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_null(provium_program_kernel_events(program, call, &count));
	ck_assert_str_eq(expect_fault(PROVIUM_KERNEL_WARNING, CUT, "asked for", TRACE)->running,
			 "exec: echo; exec sleep 1000; system calls");
	OK(provium_exec_cancel(exec, &error));
	OK(provium_exec_wait(exec, TIMEOUT, &result, &error));
	ck_assert_uint_eq(result.first_kernel_event, provium_kernel_last(connection));
	provium_exec_free(exec);
}
END_TEST

/* By a kernel thread, when the call has returned. */
START_TEST(waits_for_a_late_report)
{
	size_t count;
	int call = call_splat(PROVIUM_TEST_WARN, 300);

	run_program();
	ck_assert_ptr_null(provium_program_kernel_events(program, call, &count));
	ck_assert_str_eq(expect_fault(PROVIUM_KERNEL_WARNING, CUT, "do_later", TRACE)->running, "");
}
END_TEST

START_TEST(tells_an_underflow)
{
	size_t count;
	int call = call_splat(PROVIUM_TEST_REFCOUNT, 0);

	run_program();
	ck_assert_ptr_nonnull(provium_program_kernel_events(program, call, &count));
	expect_fault(PROVIUM_KERNEL_REFCOUNT, CUT "refcount_t: underflow; use-after-free.\n",
		     "\nWARNING: CPU: ", TRACE);
}
END_TEST

/* What these kernels cannot make: the text of reports, as the log has it. */
START_TEST(takes_reports_of_other_kernels)
{
	static const struct {
		const char *name;
		enum provium_kernel_kind kind;
	} others[] = {
		{ "kasan", PROVIUM_KERNEL_KASAN },
		{ "kcsan", PROVIUM_KERNEL_KCSAN },
		{ "ubsan-6.1", PROVIUM_KERNEL_UBSAN },
		{ "ubsan-6.12", PROVIUM_KERNEL_UBSAN },
		{ "lockdep-circular", PROVIUM_KERNEL_LOCKDEP },
		{ "lockdep-rcu", PROVIUM_KERNEL_LOCKDEP },
		{ "kmemleak", PROVIUM_KERNEL_KMEMLEAK },
		{ "rcu-stall-6.12", PROVIUM_KERNEL_RCU_STALL },
		{ "soft-lockup-6.1", PROVIUM_KERNEL_SOFT_LOCKUP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct provium_exec_options options = {
			.shell = "while IFS= read -r line; do echo \"$line\" >/dev/kmsg; done",
		};
		const struct provium_kernel_event *event;
		struct provium_exec_result result;
		static char text[32768];
		char path[512];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s.txt", reports, others[i].name);
		file = fopen(path, "re");
		ck_assert_ptr_nonnull(file);
		options.input = text;
		options.input_size = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
		OK(provium_exec_run(connection, &options, 0, TIMEOUT, &result, NULL, NULL, &error));
		text[options.input_size - 1] = '\0';
		event = next_event();
		ck_assert_msg(event->kind == others[i].kind, "%s: %s", others[i].name, event->text);
		ck_assert_str_eq(event->text, text);
		ck_assert_uint_eq(result.first_kernel_event, event->number);
	}
}
END_TEST

struct log {
	uint64_t next;
	bool has_first;
};

/* Until the mark is there. */
static int take_record(void *user, const struct provium_kernel_record *record)
{
	struct log *log = user;

	ck_assert_uint_eq(record->lost, 0);
	if (log->next > 0)
		ck_assert_uint_eq(record->sequence, log->next);
	log->next = record->sequence + 1;
	log->has_first |= strncmp(record->text, "Linux version ", 14) == 0;
	return strcmp(record->text, "a mark\tof a test") == 0 && record->priority == 12;
}

START_TEST(follows_the_log)
{
	struct log log = { 0 };

	machine_expect(connection, "printf '<4>a mark\\tof a test\\n' >/dev/kmsg", "");
	OK(provium_kernel_log(connection, true, take_record, &log, TIMEOUT, &error));
	ck_assert(log.has_first);
	OK(provium_ping(connection, TIMEOUT, &error));
}
END_TEST

/* A call that sleeps where no signal reaches it: the connection ends, and says why. */
static void run_uninterruptible(struct provium_connection *where)
{
	static const uint32_t for_ever;
	int fd = call_open();
	int call = call_ioctl(fd, PROVIUM_TEST_SLEEP, &for_ever, sizeof(for_ever));

	provium_program_deadline_of(program, call, 100);
	ck_assert_int_eq(provium_program_run(where, program, TIMEOUT, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%s", error.message);
}

/* Another server takes over, though the thread goes on to sleep. */
START_TEST(survives_an_uninterruptible_call)
{
	run_uninterruptible(connection);
	ck_assert_msg(strstr(error.message, "call 1 of request 1 did not end at its deadline"),
		      "%s", error.message);
	finish();
	start();
	ck_assert_uint_gt(provium_connection_agent(connection)->restarts, 0);
	machine_expect(connection, "/test wake && echo woken", "woken\n");
}
END_TEST

static void note_stuck(void *user, const struct provium_worker *worker, const char *stuck)
{
	struct provium_worker_end *end = user;

	end->number = worker->number;
	ck_assert_msg(strstr(stuck, "call 1 of request 1 did not end at its deadline"), "%s",
		      stuck);
}

/* In a worker: the main agent goes on, and says which it is. */
START_TEST(tells_of_an_uninterruptible_worker)
{
	struct provium_connection *asleep;
	struct provium_worker_end end = { 0 };
	struct provium_worker worker;

	OK(provium_worker_spawn(connection, NULL, TIMEOUT, &worker, &error));
	OK(provium_worker_connect(connection, &worker, TIMEOUT, &asleep, &error));
	run_uninterruptible(asleep);
	provium_connection_free(asleep);
	OK(provium_worker_list(connection, note_stuck, &end, TIMEOUT, &error));
	ck_assert_uint_eq(end.number, worker.number);
	ck_assert_int_eq(provium_worker_next_end(connection, 0, &end, &error), -1);
	machine_expect(connection, "/test wake && echo woken", "woken\n");
	OK(provium_worker_next_end(connection, TIMEOUT, &end, &error));
	ck_assert_uint_eq(end.number, worker.number);
	ck_assert_int_eq(end.signal, SIGKILL);
	ck_assert_msg(strstr(end.reason, "did not end at its deadline"), "%s", end.reason);
}
END_TEST

START_TEST(tells_an_oops_of_a_command)
{
	struct provium_exec_result result = run_helper("2", NULL);
	const struct provium_kernel_event *event;

	ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
	event = expect_fault(PROVIUM_KERNEL_OOPS,
			     "BUG: kernel NULL pointer dereference, address: 0000000000000000\n",
			     "[#1]", TRACE);
	ck_assert_uint_eq(result.first_kernel_event, event->number);
	ck_assert_str_eq(event->running, "exec: /test");
	ck_assert_uint_eq(event->taint_before & TAINT_DIE, 0);
	ck_assert_uint_ne(event->taint & TAINT_DIE, 0);
}
END_TEST

START_TEST(tells_a_protection_fault_of_a_command)
{
	struct provium_exec_result result = run_helper("3", NULL);

	ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
	expect_fault(PROVIUM_KERNEL_GENERAL_PROTECTION, "",
		     "general protection fault, probably "
		     "for non-canonical address "
		     "0xdead000000000100",
		     TRACE);
}
END_TEST

/* It ends the server, which reads no log any more: the next one tells. */
START_TEST(tells_a_bug_of_a_call)
{
	const struct provium_kernel_event *event;
	struct provium_connection *lost = connection;

	call_splat(PROVIUM_TEST_BUG, 0);
	ck_assert_int_eq(provium_program_run(connection, program, TIMEOUT, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%s", error.message);
	event = expect_fault(PROVIUM_KERNEL_BUG, CUT "kernel BUG at ", "[#3]", TRACE);
	ck_assert_uint_gt(event->number, 1);
	ck_assert_str_eq(event->running, "");
	ck_assert_ptr_eq(lost, connection);
	/* It was told once. */
	finish();
	start();
	OK(provium_kernel_check(connection, 0, TIMEOUT, &error));
	ck_assert_uint_eq(provium_kernel_last(connection), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

/* Another guest, whose own connection knows of the machine. */
static void boot_for_panic(void)
{
	const struct provium_file files[] = {
		{ .guest_path = "/test", .host_path = helper },
		{ .guest_path = "/module.ko", .host_path = module },
	};
	struct provium_vm_options options;

	machine_start();
	options = machine_options();
	options.files = files;
	options.n_files = ARRAY_SIZE(files);
	panic_watch_open(&watch, &options);
	vm = machine_boot(&options);
	panic_watch_start(&watch);
	connection = provium_vm_connection(vm);
	machine_expect(connection, "insmod /module.ko", "");
}

/* *error tells of it, and what ran. */
static void check_panic(const char *what, const char *report)
{
	uint64_t told = machine_now_ms();

	ck_assert_msg(error.code == PROVIUM_VM_GONE, "%s", error.message);
	ck_assert_msg(strstr(error.message, what), "%s", error.message);
	ck_assert_msg(strstr(error.message, report), "%s", error.message);
	ck_assert_msg(strstr(error.message, "Call Trace:"), "%s", error.message);
	ck_assert(provium_vm_panicked(vm));
	provium_vm_free(vm);
	panic_watch_finish(&watch);
	printf("# told %llu ms after the panic\n", (unsigned long long)(told - watch.panicked));
	ck_assert_uint_lt(told - watch.panicked, PANIC_TOLD_MS);
	machine_finish();
}

/* Of a traced program the very call. */
START_TEST(tells_a_panic)
{
	boot_for_panic();
	ck_assert(!provium_vm_panicked(vm));
	program = provium_program_new();
	call_splat(PROVIUM_TEST_PANIC, 0);
	provium_program_trace(program);
	ck_assert_int_eq(provium_program_run(connection, program, TIMEOUT, &error), -1);
	check_panic("(system calls) ran call 1 (ioctl): the guest's kernel panicked: provium-test: "
		    "this panic was asked for\n",
		    "Kernel panic - not syncing: provium-test: this panic was asked for");
	ck_assert_int_eq(provium_program_last_started(program), 1);
	provium_program_free(program);
}
END_TEST

START_TEST(tells_the_report_of_a_panic)
{
	const struct provium_exec_options options = { .shell = "/test splat 2" };

	boot_for_panic();
	machine_expect(connection, "echo 1 >/proc/sys/kernel/panic_on_oops", "");
	ck_assert_int_eq(
		provium_exec_run(connection, &options, 0, TIMEOUT, NULL, NULL, NULL, &error), -1);
	check_panic("(exec: /test splat 2) ran: the guest's kernel panicked: Fatal exception\n",
		    "BUG: kernel NULL pointer dereference, address: 0000000000000000");
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-kernel");
	TCase *tcase = unit_counted_case("faults");

	if (argc < 5)
		return 2;
	machine_kernels = argv[1];
	helper = argv[2];
	reports = argv[3];
	module = argv[4];
	tcase_add_unchecked_fixture(tcase, boot, shut_down);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, loads_a_module);
	tcase_add_test(tcase, tries_an_ioctl_with_nested_pointers);
	tcase_add_test(tcase, tells_a_hung_task);
	tcase_add_test(tcase, tells_a_warning_of_a_call);
	tcase_add_test(tcase, tells_a_warning_of_a_command);
	tcase_add_test(tcase, blames_no_call_while_a_command_runs);
	tcase_add_test(tcase, waits_for_a_late_report);
	tcase_add_test(tcase, tells_an_underflow);
	tcase_add_test(tcase, takes_reports_of_other_kernels);
	tcase_add_test(tcase, follows_the_log);
	tcase_add_test(tcase, survives_an_uninterruptible_call);
	tcase_add_test(tcase, tells_of_an_uninterruptible_worker);
	tcase_add_test(tcase, tells_an_oops_of_a_command);
	tcase_add_test(tcase, tells_a_protection_fault_of_a_command);
	tcase_add_test(tcase, tells_a_bug_of_a_call);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("panics");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, tells_a_panic);
	tcase_add_test(tcase, tells_the_report_of_a_panic);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
