/* What the kernel says, as an agent that follows a script tells it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/lib/kernel.h"
#include "lib_fake.h"
#include "unit.h"

#define SOON 20000

static struct fake fake;
static struct provium_connection *connection;

static void send_event(struct fake *agent, uint64_t number, int kind, const char *text,
		       uint32_t request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelEvent event = PROVIUM__V1__KERNEL_EVENT__INIT;

	event.number = number;
	event.kind = (Provium__V1__KernelEventKind)kind;
	event.text.data = (uint8_t *)(uintptr_t)text;
	event.text.len = strlen(text);
	event.timestamp_us = 17;
	event.taint_before = 1;
	event.taint = 513;
	event.requests = &request;
	event.n_requests = request != 0;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_EVENT;
	message.kernel_event = &event;
	fake_send(agent, &message);
}

static void send_pong(struct fake *agent, uint64_t *numbers, size_t count)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Pong pong = PROVIUM__V1__PONG__INIT;

	message.has_id = true;
	message.id = agent->id;
	message.kernel_events = numbers;
	message.n_kernel_events = count;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_PONG;
	message.pong = &pong;
	fake_send(agent, &message);
}

static void finish(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static const struct provium_kernel_event *expect_next(uint64_t number)
{
	const struct provium_kernel_event *event;

	check_ok(provium_kernel_next(connection, SOON, &event, &error));
	ck_assert_uint_eq(event->number, number);
	return event;
}

/* ------------------------------------------------------------------------------------------- */

static void script_events(struct fake *agent)
{
	uint64_t numbers[] = { 3, 4 };

	fake_ready(agent);
	send_event(agent, 3, PROVIUM_KERNEL_TAINT, "m: taints\x1b[2J kernel.", 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_event(agent, 4, PROVIUM_KERNEL_OOPS, "BUG: a\n\tb", agent->id);
	send_pong(agent, numbers, 2);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_pong(agent, NULL, 0);
	fake_expect_end(agent);
}

START_TEST(keeps_events)
{
	const struct provium_kernel_event *event;
	const uint64_t *numbers;
	size_t count;

	connection = fake_connect(&fake, script_events);
	check_ok(provium_ping(connection, SOON, &error));
	ck_assert_uint_eq(provium_kernel_last(connection), 4);
	numbers = provium_kernel_numbers(connection, &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(numbers[0], 3);
	ck_assert_uint_eq(numbers[1], 4);

	event = expect_next(3);
	ck_assert_int_eq(event->kind, PROVIUM_KERNEL_TAINT);
	ck_assert_str_eq(event->text, "m: taints?[2J kernel.");
	ck_assert_str_eq(event->running, "");
	event = expect_next(4);
	ck_assert_str_eq(event->text, "BUG: a\n\tb");
	ck_assert_str_eq(event->running, "ping");
	ck_assert_uint_eq(event->timestamp_us, 17);
	ck_assert_uint_eq(event->taint_before, 1);
	ck_assert_uint_eq(event->taint, 513);
	ck_assert_int_eq(provium_kernel_next(connection, 0, &event, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "");
	ck_assert_ptr_null(event);

	check_ok(provium_ping(connection, SOON, &error));
	provium_kernel_numbers(connection, &count);
	ck_assert_uint_eq(count, 0);
	finish();
}
END_TEST

static void script_checks(struct fake *agent)
{
	fake_ready(agent);
	send_event(agent, 1, PROVIUM_KERNEL_TAINT, "taint", 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_pong(agent, NULL, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_event(agent, 2, PROVIUM_KERNEL_WARNING, "the first", agent->id);
	/* Of a version to come. */
	send_event(agent, 3, 99, "the second", 0);
	send_pong(agent, NULL, 0);
	for (int i = 0; i < 2; i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
		send_pong(agent, NULL, 0);
	}
	fake_expect_end(agent);
}

START_TEST(checks)
{
	connection = fake_connect(&fake, script_checks);
	check_ok(provium_kernel_check(connection, 0, SOON, &error));
	ck_assert_int_eq(provium_kernel_check(connection, 0, SOON, &error), -1);
	check_error(PROVIUM_SPLAT, "the guest's kernel reported a fault: warning (and 1 more) "
				   "while this ran: ping\nthe first");
	ck_assert_int_eq(provium_kernel_check(connection, 2, SOON, &error), -1);
	check_error(PROVIUM_SPLAT, "kernel event\nthe second");
	check_ok(provium_kernel_check(connection, 3, SOON, &error));
	/* It has fetched nothing. */
	expect_next(1);
	expect_next(2);
	finish();
}
END_TEST

static void script_many(struct fake *agent)
{
	fake_ready(agent);
	for (uint64_t number = 1; number <= KERNEL_MAX_EVENTS + 10; number++)
		send_event(agent, number, PROVIUM_KERNEL_BUG, "again", 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_pong(agent, NULL, 0);
}

/* The newest are kept; also when the connection has ended. */
START_TEST(bounds_what_it_keeps)
{
	const struct provium_kernel_event *event;

	connection = fake_connect(&fake, script_many);
	check_ok(provium_ping(connection, SOON, &error));
	ck_assert_int_eq(provium_ping(connection, SOON, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "");
	for (uint64_t number = 11; number <= KERNEL_MAX_EVENTS + 10; number++)
		expect_next(number);
	ck_assert_int_eq(provium_kernel_next(connection, SOON, &event, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "");
	finish();
}
END_TEST

static void script_backwards(struct fake *agent)
{
	fake_ready(agent);
	send_event(agent, 2, PROVIUM_KERNEL_BUG, "a", 0);
	send_event(agent, 2, PROVIUM_KERNEL_BUG, "b", 0);
	fake_expect_end(agent);
}

START_TEST(refuses_numbers_that_do_not_grow)
{
	const struct provium_kernel_event *event;

	connection = fake_connect(&fake, script_backwards);
	expect_next(2);
	ck_assert_int_eq(provium_kernel_next(connection, SOON, &event, &error), -1);
	check_error(PROVIUM_PROTOCOL, "kernel event 2 after 2");
	finish();
}
END_TEST

static void send_record(struct fake *agent, uint64_t sequence, const char *text, uint64_t lost)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelLogRecord record = PROVIUM__V1__KERNEL_LOG_RECORD__INIT;

	record.priority = 6;
	record.sequence = sequence;
	record.timestamp_us = 5;
	record.text.data = (uint8_t *)(uintptr_t)text;
	record.text.len = strlen(text);
	record.has_lost = lost > 0;
	record.lost = lost;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG_RECORD;
	message.kernel_log_record = &record;
	fake_send(agent, &message);
}

static void script_log(struct fake *agent)
{
	const Provium__V1__Message *message;
	uint32_t id;

	fake_ready(agent);
	message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG);
	fake_check(agent, message->kernel_log->from_start == (agent->number == 0));
	id = agent->id;
	send_record(agent, 7, "one", 0);
	send_record(agent, 9, "two", 1);
	send_record(agent, 10, "nobody wants it", 0);
	message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL);
	fake_check(agent, message->cancel->request == id);
	fake_expect_end(agent);
}

static int take_record(void *user, const struct provium_kernel_record *record)
{
	unsigned int *count = user;

	ck_assert_uint_eq(record->priority, 6);
	ck_assert_uint_eq(record->timestamp_us, 5);
	ck_assert_uint_eq(record->sequence, *count ? 9 : 7);
	ck_assert_str_eq(record->text, *count ? "two" : "one");
	ck_assert_uint_eq(record->size, 3);
	ck_assert_uint_eq(record->lost, *count);
	return ++*count == 2;
}

START_TEST(follows_the_log)
{
	unsigned int count = 0;

	fake.number = _i;
	connection = fake_connect(&fake, script_log);
	check_ok(provium_kernel_log(connection, _i == 0, take_record, &count, SOON, &error));
	ck_assert_uint_eq(count, 2);
	finish();
}
END_TEST

static void script_refused_log(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, EPERM, "EPERM", "open",
		   "KERNEL_LOG: \"/dev/kmsg\": Operation not permitted");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(log_that_fails)
{
	unsigned int count = 0;

	connection = fake_connect(&fake, script_refused_log);
	ck_assert_int_eq(provium_kernel_log(connection, true, take_record, &count, SOON, &error),
			 -1);
	check_error(PROVIUM_GUEST, "/dev/kmsg");
	ck_assert_int_eq(provium_kernel_log(connection, true, take_record, &count, SOON, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "kernel log");
	finish();
}
END_TEST

START_TEST(names_kinds)
{
	for (int kind = PROVIUM_KERNEL_WARNING; kind <= PROVIUM_KERNEL_GENERAL_PROTECTION; kind++) {
		ck_assert_str_ne(provium_kernel_kind_name((enum provium_kernel_kind)kind),
				 "kernel event");
		ck_assert_int_eq(provium_kernel_is_fault((enum provium_kernel_kind)kind),
				 kind != PROVIUM_KERNEL_TAINT);
	}
	ck_assert_str_eq(provium_kernel_kind_name((enum provium_kernel_kind)0), "kernel event");
	ck_assert_str_eq(provium_kernel_kind_name((enum provium_kernel_kind)99), "kernel event");
	/* The schema's numbers. */
	ck_assert_int_eq(PROVIUM_KERNEL_WARNING, PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_WARNING);
	ck_assert_int_eq(PROVIUM_KERNEL_KMEMLEAK, PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_KMEMLEAK);
	ck_assert_int_eq(PROVIUM_KERNEL_GENERAL_PROTECTION,
			 PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_GENERAL_PROTECTION);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib: what the kernel says");
	TCase *tcase = unit_counted_case("kernel");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, keeps_events);
	tcase_add_test(tcase, checks);
	tcase_add_test(tcase, bounds_what_it_keeps);
	tcase_add_test(tcase, refuses_numbers_that_do_not_grow);
	tcase_add_loop_test(tcase, follows_the_log, 0, 2);
	tcase_add_test(tcase, log_that_fails);
	tcase_add_test(tcase, names_kinds);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
