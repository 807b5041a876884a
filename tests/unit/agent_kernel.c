/*
 * What the kernel says: events, and the records themselves. A socket pair stands for /dev/kmsg, one
 * packet a record, and a file for the taint mask.
 */
#include "agent_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/kmsg.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

#define KIND(name) PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_##name

static struct kmsg_source source;
static int kernel_fd;
static uint64_t sequence;
static char proc_path[256];
static int proc_fd;

static void set_taint(uint64_t taint)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%s/sys/kernel/tainted", proc_path);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "%llu\n", (unsigned long long)taint);
	ck_assert_int_eq(fclose(file), 0);
}

static void make_source(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	source = (struct kmsg_source){ .fd = ends[0] };
	kernel_fd = ends[1];
	sequence = 0;
}

static void start_agent(void)
{
	agent_config.kmsg = &source;
	agent_config.proc_fd = proc_fd;
	agent_start();
}

static void start(void)
{
	char path[300];

	make_source();
	snprintf(proc_path, sizeof(proc_path), "%s", test_path("proc"));
	ck_assert_int_eq(mkdir(proc_path, 0700), 0);
	snprintf(path, sizeof(path), "%s/sys", proc_path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/sys/kernel", proc_path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	set_taint(0);
	proc_fd = open(proc_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	start_agent();
}

static void finish(void)
{
	agent_stop();
	close(proc_fd);
	close(source.fd);
	if (kernel_fd >= 0)
		close(kernel_fd);
}

/* A record of the kernel's log. */
static void print(const char *text)
{
	char record[1200];
	int size =
		snprintf(record, sizeof(record), "4,%llu,%llu,-;%s\n", (unsigned long long)sequence,
			 (unsigned long long)sequence + 1000, text);

	sequence++;
	ck_assert_int_eq(send(kernel_fd, record, (size_t)size, 0), size);
}

static const char warning[] = "------------[ cut here ]------------\n"
			      "WARNING: CPU: 0 PID: 90 at a.c:1 f+0x1/0x2\n"
			      "---[ end trace 0000000000000000 ]---";

static void print_warning(void)
{
	print("------------[ cut here ]------------");
	print("WARNING: CPU: 0 PID: 90 at a.c:1 f+0x1/0x2");
	print("---[ end trace 0000000000000000 ]---");
}

static const Provium__V1__KernelEvent *expect_event(struct client *from, uint64_t number, int kind,
						    const char *text)
{
	const Provium__V1__KernelEvent *event =
		client_expect(from, BODY(KERNEL_EVENT))->kernel_event;

	ck_assert_uint_eq(event->number, number);
	ck_assert_int_eq((int)event->kind, kind);
	ck_assert_uint_eq(event->text.len, strlen(text));
	ck_assert_mem_eq(event->text.data, text, event->text.len);
	return event;
}

static uint32_t send_ping(struct client *to)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;

	message.body_case = BODY(PING);
	message.ping = &ping;
	return client_send(to, &message);
}

static void expect_numbers(const Provium__V1__Message *message, uint32_t id, uint64_t first,
			   size_t count)
{
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->n_kernel_events, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(message->kernel_events[i], first + i);
}

/* ------------------------------------------------------------------------------------------- */
/* Who may know */

static const uint8_t token[PROVIUM_TOKEN_SIZE] = "of the guest";

static void start_with_token(void)
{
	agent_config.token = token;
	start();
}

/* PINGs, until the agent reads no more of them. Returns how many are whole. */
static unsigned int flood(struct client *to)
{
	static const uint8_t ping[] = { 5, 0, 0, 0, 0x6a, 0, 0x80, 0x01, 7 };
	size_t sent = 0;

	for (int refused = 0; refused < 10;) {
		size_t at = sent % sizeof(ping);
		ssize_t count = send(to->fd, ping + at, sizeof(ping) - at, MSG_DONTWAIT);

		if (count > 0) {
			sent += (size_t)count;
			refused = 0;
			continue;
		}
		ck_assert_int_eq(errno, EAGAIN);
		refused++;
		usleep(20000);
	}
	return (unsigned int)(sent / sizeof(ping));
}

/* Neither at once nor when it reads again, which is when others are told what they have missed. */
START_TEST(tells_no_stranger)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Auth auth = PROVIUM__V1__AUTH__INIT;
	struct client stranger;
	unsigned int count;

	client_connect(&stranger);
	print_warning();
	count = flood(&stranger);
	ck_assert_uint_gt(count, 10000);
	for (unsigned int i = 0; i < count; i++)
		client_expect_error(&stranger, 7, CODE(AUTH), "AUTH must come first");
	client_close(&stranger);

	client_connect(&stranger);
	auth.has_token = true;
	auth.token = (ProtobufCBinaryData){ sizeof(token), (uint8_t *)(uintptr_t)token };
	message.body_case = BODY(AUTH);
	message.auth = &auth;
	client_send(&stranger, &message);
	client_expect(&stranger, BODY(READY));
	expect_event(&stranger, 1, KIND(WARNING), warning);
	client_ping(&stranger);
	client_close(&stranger);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Events */

START_TEST(tells_everyone_at_once)
{
	const Provium__V1__KernelEvent *event;
	struct client first, second;

	client_connect(&first);
	client_connect(&second);
	print("some line");
	client_ping(&first);
	set_taint(512);
	print_warning();
	for (int i = 0; i < 2; i++) {
		event = expect_event(i ? &second : &first, 1, KIND(WARNING), warning);
		ck_assert_uint_eq(event->timestamp_us, 1001);
		ck_assert_uint_eq(event->taint_before, 0);
		ck_assert_uint_eq(event->taint, 512);
		ck_assert_uint_eq(event->n_requests, 0);
		ck_assert(!event->has_lost);
	}
	print_warning();
	event = expect_event(&first, 2, KIND(WARNING), warning);
	ck_assert_uint_eq(event->taint_before, 512);
	client_close(&first);
	client_close(&second);
}
END_TEST

START_TEST(is_read_before_a_final_reply)
{
	uint32_t id;

	client_connect(&client);
	set_taint(512);
	for (uint64_t number = 1; number < 100; number++) {
		print_warning();
		id = send_ping(&client);
		/* Never behind it; the agent may have told of it before the PING came. */
		expect_event(&client, number, KIND(WARNING), warning);
		ck_assert_uint_eq(client_expect(&client, BODY(PONG))->id, id);
	}
	id = send_ping(&client);
	expect_numbers(client_expect(&client, BODY(PONG)), id, 0, 0);
	client_close(&client);
}
END_TEST

START_TEST(names_what_was_running)
{
	const Provium__V1__KernelEvent *event;
	const Provium__V1__Message *message;
	struct client other;
	uint32_t ids[2];

	client_connect(&client);
	client_connect(&other);
	ids[0] = client_shell(&client, "echo; exec sleep 1000");
	expect_output(&client);
	set_taint(512);
	print_warning();
	event = expect_event(&client, 1, KIND(WARNING), warning);
	ck_assert_uint_eq(event->n_requests, 1);
	ck_assert_uint_eq(event->requests[0], ids[0]);
	ck_assert_uint_eq(expect_event(&other, 1, KIND(WARNING), warning)->n_requests, 0);

	ids[1] = client_shell(&client, "echo; exec sleep 1000");
	expect_output(&client);
	print_warning();
	event = expect_event(&client, 2, KIND(WARNING), warning);
	ck_assert_uint_eq(event->n_requests, 2);
	ck_assert_uint_eq(event->requests[0] + event->requests[1], ids[0] + ids[1]);

	/* Each says what was seen while it ran. */
	for (int i = 1; i >= 0; i--) {
		uint32_t cancel = client_cancel(&client, ids[i]);

		client_expect_ok(&client, cancel);
		message = client_expect(&client, BODY(EXEC_RESULT));
		expect_numbers(message, ids[i], (uint64_t)i + 1, (size_t)(2 - i));
	}
	expect_event(&other, 2, KIND(WARNING), warning);
	client_close(&client);
	client_close(&other);
}
END_TEST

START_TEST(keeps_events_for_the_next_connection)
{
	struct client second;

	set_taint(512);
	print_warning();
	print("INFO: task a:1 blocked for more than 1 seconds.");
	print(" </TASK>");
	eventually(__atomic_load_n(&source.events, __ATOMIC_RELAXED) == 2);
	client_connect(&client);
	expect_event(&client, 1, KIND(WARNING), warning);
	expect_event(&client, 2, KIND(HUNG_TASK),
		     "INFO: task a:1 blocked for more than 1 seconds.\n </TASK>");
	client_connect(&second);
	client_ping(&second);
	client_close(&second);
	client_close(&client);
}
END_TEST

/* The newest are kept. */
START_TEST(bounds_what_it_keeps)
{
	set_taint(512);
	for (int i = 0; i < KMSG_MAX_KEPT + 4; i++)
		print("kmemleak: 1 new suspected memory leaks (see there)");
	eventually(__atomic_load_n(&source.events, __ATOMIC_RELAXED) == KMSG_MAX_KEPT + 4);
	client_connect(&client);
	for (uint64_t number = 5; number <= KMSG_MAX_KEPT + 4; number++)
		expect_event(&client, number, KIND(KMEMLEAK),
			     "kmemleak: 1 new suspected memory leaks (see there)");
	client_ping(&client);
	client_close(&client);
}
END_TEST

/* After an oops in a system call: another server reads on. */
START_TEST(numbers_go_on_in_the_next_server)
{
	client_connect(&client);
	set_taint(512);
	print_warning();
	expect_event(&client, 1, KIND(WARNING), warning);
	client_close(&client);
	agent_stop();
	/* The mask cannot be read any more: it stays as it was. */
	print_warning();
	start_agent();
	client_connect(&client);
	expect_event(&client, 2, KIND(WARNING), warning);
	client_close(&client);
}
END_TEST

START_TEST(ends_a_block_when_time_is_up)
{
	client_connect(&client);
	print("BUG: sleeping function called from invalid context at a.c:1");
	print("in_atomic(): 1");
	expect_event(&client, 1, KIND(BUG),
		     "BUG: sleeping function called from invalid context at a.c:1\n"
		     "in_atomic(): 1");
	client_close(&client);
}
END_TEST

START_TEST(tells_a_change_of_the_taint_mask)
{
	static const char line[] = "m: loading out-of-tree module taints kernel.";
	const Provium__V1__KernelEvent *event;

	client_connect(&client);
	set_taint(4096);
	print(line);
	event = expect_event(&client, 1, KIND(TAINT), line);
	ck_assert_uint_eq(event->timestamp_us, 1000);
	ck_assert_uint_eq(event->taint_before, 0);
	ck_assert_uint_eq(event->taint, 4096);

	/* The kernel says it before it does it. */
	print(line);
	client_ping(&client);
	set_taint(4096 | 8192);
	event = expect_event(&client, 2, KIND(TAINT), line);
	ck_assert_uint_eq(event->taint_before, 4096);
	ck_assert_uint_eq(event->taint, 4096 | 8192);
	client_close(&client);
}
END_TEST

/* The mask changes behind the warning's last line. */
START_TEST(waits_for_a_warnings_taint)
{
	const Provium__V1__KernelEvent *event;

	client_connect(&client);
	print_warning();
	client_ping(&client);
	set_taint(512);
	event = expect_event(&client, 1, KIND(WARNING), warning);
	ck_assert_uint_eq(event->taint_before, 0);
	ck_assert_uint_eq(event->taint, 512);
	client_close(&client);
}
END_TEST

/* Of a warning that sets another bit, or none. */
START_TEST(does_not_wait_for_ever)
{
	client_connect(&client);
	print_warning();
	ck_assert_uint_eq(expect_event(&client, 1, KIND(WARNING), warning)->taint, 0);
	client_close(&client);
}
END_TEST

START_TEST(counts_lost_records)
{
	const Provium__V1__KernelEvent *event;

	client_connect(&client);
	print("a line");
	client_ping(&client);
	set_taint(512);
	sequence += 7;
	print_warning();
	event = expect_event(&client, 1, KIND(WARNING), warning);
	ck_assert(event->has_lost);
	ck_assert_uint_eq(event->lost, 7);
	print_warning();
	ck_assert(!expect_event(&client, 2, KIND(WARNING), warning)->has_lost);
	client_close(&client);
}
END_TEST

START_TEST(takes_what_is_no_record)
{
	static const char *const bad[] = { "", "\n", "4,1;x\n", "no record at all", ";;;;" };

	client_connect(&client);
	for (size_t i = 1; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(send(kernel_fd, bad[i], strlen(bad[i]), 0),
				 (ssize_t)strlen(bad[i]));
	client_ping(&client);
	set_taint(512);
	print_warning();
	expect_event(&client, 1, KIND(WARNING), warning);
	client_close(&client);
}
END_TEST

START_TEST(serves_on_without_its_source)
{
	client_connect(&client);
	close(kernel_fd);
	kernel_fd = -1;
	for (int i = 0; i < 3; i++)
		client_ping(&client);
	client_close(&client);
}
END_TEST

/*
 * A connection that does not read gets them when it does; nothing is queued for it meanwhile. One
 * that comes then gets what nobody has got, and no more.
 */
START_TEST(keeps_events_for_who_does_not_read)
{
	struct client other, late;
	uint32_t id;
	bool ended = false;
	uint64_t next = 1;

	client_connect(&client);
	client_connect(&other);
	set_taint(512);
	id = client_shell(&client, "exec head -c 8388608 /dev/zero");
	eventually(client_info(&other).queued_bytes > (1 << 20));
	for (uint64_t number = 1; number <= 5; number++) {
		print_warning();
		expect_event(&other, number, KIND(WARNING), warning);
	}
	client_connect(&late);
	client_ping(&late);
	client_close(&late);
	while (!ended || next <= 5) {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(KERNEL_EVENT)) {
			ck_assert_uint_eq(message->kernel_event->number, next);
			next++;
		} else if (message->body_case == BODY(EXEC_RESULT)) {
			expect_numbers(message, id, 1, 5);
			ended = true;
		} else {
			ck_assert_int_eq((int)message->body_case, BODY(OUTPUT));
		}
	}
	client_close(&client);
	client_close(&other);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* System calls */

#define LINES 3

/*
 * A program that lets the kernel warn, as a call that is long enough would: a write for each line
 * of the warning, and a sleep.
 */
static uint32_t send_program(void)
{
	static const char *const lines[LINES] = {
		"------------[ cut here ]------------",
		"WARNING: CPU: 0 PID: 90 at a.c:1 f+0x1/0x2",
		"---[ end trace 0000000000000000 ]---",
	};
	static const struct timespec pause = { .tv_nsec = 1000000 };
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Syscall program = PROVIUM__V1__SYSCALL__INIT;
	Provium__V1__Buffer buffers[LINES + 1], *pointers[LINES + 1];
	Provium__V1__ReferenceKind kinds[LINES + 1] = { 0 };
	uint32_t numbers[LINES + 1], counts[LINES + 1], arguments[LINES + 1], indexes[LINES + 1];
	uint64_t args[3 * LINES + 2] = { 0 };
	char records[LINES][256];

	for (uint32_t i = 0; i <= LINES; i++) {
		buffers[i] = (Provium__V1__Buffer)PROVIUM__V1__BUFFER__INIT;
		buffers[i].has_input = true;
		pointers[i] = &buffers[i];
		numbers[i] = SYS_write;
		counts[i] = 3;
		arguments[i] = 3 * i + 1;
		indexes[i] = i;
		if (i == LINES)
			break;
		buffers[i].input.len =
			(size_t)snprintf(records[i], sizeof(records[i]), "4,%llu,1,-;%s\n",
					 (unsigned long long)sequence++, lines[i]);
		buffers[i].input.data = (uint8_t *)records[i];
		args[(size_t)3 * i] = (uint64_t)kernel_fd;
		args[(size_t)3 * i + 2] = buffers[i].input.len;
	}
	buffers[LINES].input = (ProtobufCBinaryData){ sizeof(pause), (uint8_t *)&pause };
	numbers[LINES] = SYS_nanosleep;
	counts[LINES] = 2;
	arguments[LINES] = 3 * LINES;

	program.buffers = pointers;
	program.n_buffers = LINES + 1;
	program.numbers = numbers;
	program.arg_counts = counts;
	program.n_numbers = program.n_arg_counts = LINES + 1;
	program.args = args;
	program.n_args = ARRAY_SIZE(args);
	program.reference_args = arguments;
	program.reference_kinds = kinds;
	program.reference_indexes = indexes;
	program.n_reference_args = program.n_reference_kinds = program.n_reference_indexes =
		LINES + 1;
	message.body_case = BODY(SYSCALL);
	message.syscall = &program;
	return client_send(&client, &message);
}

START_TEST(names_the_call)
{
	const Provium__V1__KernelEvent *event;
	const Provium__V1__Message *message;
	const Provium__V1__CallDetail *detail;
	uint32_t id;

	client_connect(&client);
	set_taint(512);
	id = send_program();
	event = expect_event(&client, 1, KIND(WARNING), warning);
	ck_assert_uint_eq(event->n_requests, 1);
	ck_assert_uint_eq(event->requests[0], id);
	message = client_expect(&client, BODY(SYSCALL_RESULT));
	expect_numbers(message, id, 1, 1);
	ck_assert_uint_eq(message->syscall_result->n_details, 1);
	detail = message->syscall_result->details[0];
	ck_assert(!detail->has_interrupted);
	ck_assert_uint_eq(detail->n_kernel_events, 1);
	ck_assert_uint_eq(detail->kernel_events[0], 1);
	client_close(&client);
}
END_TEST

START_TEST(names_no_call_while_others_run)
{
	const Provium__V1__Message *message;
	uint32_t command, id;

	client_connect(&client);
	set_taint(512);
	command = client_shell(&client, "echo; exec sleep 1000");
	expect_output(&client);
	id = send_program();
	ck_assert_uint_eq(expect_event(&client, 1, KIND(WARNING), warning)->n_requests, 2);
	message = client_expect(&client, BODY(SYSCALL_RESULT));
	expect_numbers(message, id, 1, 1);
	ck_assert_uint_eq(message->syscall_result->n_details, 0);
	client_cancel(&client, command);
	client_receive(&client);
	expect_numbers(client_expect(&client, BODY(EXEC_RESULT)), command, 1, 1);
	client_close(&client);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* KERNEL_LOG */

static int dev_fd;
static int log_writer;

static void start_log(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s", test_path("dev"));
	ck_assert_int_eq(mkdir(path, 0700), 0);
	dev_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkfifoat(dev_fd, "kmsg", 0600), 0);
	agent_config.dev_fd = dev_fd;
	/* A FIFO with a writer; each write is read as a packet (pipe(2), O_DIRECT). */
	log_writer = openat(dev_fd, "kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(log_writer, 0);
	ck_assert_int_eq(fcntl(log_writer, F_SETFL, O_NONBLOCK | O_DIRECT), 0);
	agent_start_connected();
}

static void finish_log(void)
{
	agent_stop_connected();
	close(dev_fd);
	if (log_writer >= 0)
		close(log_writer);
}

static void put_record(const char *record)
{
	ck_assert_int_eq(write(log_writer, record, strlen(record)), (ssize_t)strlen(record));
}

static uint32_t send_kernel_log(bool from_start)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelLog body = PROVIUM__V1__KERNEL_LOG__INIT;

	message.body_case = BODY(KERNEL_LOG);
	message.kernel_log = &body;
	body.has_from_start = from_start;
	body.from_start = from_start;
	return client_send(&client, &message);
}

static const Provium__V1__KernelLogRecord *expect_record(uint64_t number, const char *text)
{
	const Provium__V1__KernelLogRecord *record =
		client_expect(&client, BODY(KERNEL_LOG_RECORD))->kernel_log_record;

	ck_assert_uint_eq(record->sequence, number);
	ck_assert_uint_eq(record->text.len, strlen(text));
	ck_assert_mem_eq(record->text.data, text, record->text.len);
	return record;
}

START_TEST(follows_the_log)
{
	const Provium__V1__KernelLogRecord *record;
	uint32_t id = send_kernel_log(true), cancel;

	put_record("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n");
	record = expect_record(339, "NET: Registered");
	ck_assert_uint_eq(record->priority, 6);
	ck_assert_uint_eq(record->timestamp_us, 5140900);
	ck_assert(!record->has_lost);
	put_record("12,340,5140901,-;tab\\x09 and \\x5c\n");
	record = expect_record(340, "tab\t and \\");
	ck_assert_uint_eq(record->priority, 12);
	/* Others go on beside it. */
	client_ping(&client);
	put_record("nonsense");
	put_record("6,351,5140902,-;behind a gap\n");
	record = expect_record(351, "behind a gap");
	ck_assert(record->has_lost);
	ck_assert_uint_eq(record->lost, 10);
	put_record("6,352,5140902,-;and on\n");
	ck_assert(!expect_record(352, "and on")->has_lost);

	cancel = client_cancel(&client, id);
	client_expect_ok(&client, id);
	client_expect_ok(&client, cancel);
}
END_TEST

START_TEST(loses_no_record_for_a_slow_reader)
{
	static const char text[] = "a record of some length, as most of those of a kernel are";
	uint32_t id = send_kernel_log(true);
	uint64_t next = 0, done = 0;

	/* More than the connection's queue and its socket hold. */
	while (done < 40000) {
		char record[128];

		snprintf(record, sizeof(record), "6,%llu,1,-;%s\n", (unsigned long long)done, text);
		if (write(log_writer, record, strlen(record)) > 0) {
			done++;
			continue;
		}
		ck_assert_int_eq(errno, EAGAIN);
		/* The pipe is full because nobody reads: then we do. */
		ck_assert(!expect_record(next, text)->has_lost);
		next++;
	}
	while (next < done) {
		ck_assert(!expect_record(next, text)->has_lost);
		next++;
	}
	client_cancel(&client, id);
	client_expect_ok(&client, id);
}
END_TEST

START_TEST(ends_with_its_device)
{
	uint32_t id = send_kernel_log(true);

	put_record("6,1,1,-;the last\n");
	expect_record(1, "the last");
	log_writer = close_fd(log_writer);
	client_expect_ok(&client, id);
	client_ping(&client);
}
END_TEST

START_TEST(needs_a_device)
{
	uint32_t id;

	ck_assert_int_eq(unlinkat(dev_fd, "kmsg", 0), 0);
	id = send_kernel_log(true);
	client_expect_os_error(&client, id, ENOENT, "/dev/kmsg");
	client_ping(&client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: what the kernel says");
	TCase *tcase = unit_counted_case("events");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, tells_everyone_at_once);
	tcase_add_test(tcase, is_read_before_a_final_reply);
	tcase_add_test(tcase, names_what_was_running);
	tcase_add_test(tcase, keeps_events_for_the_next_connection);
	tcase_add_test(tcase, bounds_what_it_keeps);
	tcase_add_test(tcase, numbers_go_on_in_the_next_server);
	tcase_add_test(tcase, ends_a_block_when_time_is_up);
	tcase_add_test(tcase, tells_a_change_of_the_taint_mask);
	tcase_add_test(tcase, waits_for_a_warnings_taint);
	tcase_add_test(tcase, does_not_wait_for_ever);
	tcase_add_test(tcase, counts_lost_records);
	tcase_add_test(tcase, takes_what_is_no_record);
	tcase_add_test(tcase, serves_on_without_its_source);
	tcase_add_test(tcase, keeps_events_for_who_does_not_read);
	tcase_add_test(tcase, names_the_call);
	tcase_add_test(tcase, names_no_call_while_others_run);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("strangers");
	tcase_add_checked_fixture(tcase, start_with_token, finish);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, tells_no_stranger);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("records");
	tcase_add_checked_fixture(tcase, start_log, finish_log);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, follows_the_log);
	tcase_add_test(tcase, loses_no_record_for_a_slow_reader);
	tcase_add_test(tcase, ends_with_its_device);
	tcase_add_test(tcase, needs_a_device);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
