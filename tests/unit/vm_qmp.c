/* The QMP client against a scripted QEMU at the other end of a socket pair. */
#include "host/lib/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "unit.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"

static struct qmp qmp;
static int peer;
static char events[256];

static void on_event(void *user, const char *name, const json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));

	ck_assert_ptr_eq(user, &qmp);
	snprintf(events + strlen(events), sizeof(events) - strlen(events), "%s(%s) ", name,
		 reason ? reason : "");
}

static void start(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	qmp_init(&qmp, pair[0], on_event, &qmp);
	peer = pair[1];
	events[0] = '\0';
}

static void finish(void)
{
	qmp_finish(&qmp);
	peer = close_fd(peer);
}

static void say(const char *text)
{
	ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

static struct wait_limits limits_of(int timeout_ms)
{
	return (struct wait_limits){ .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };
}

static void check_heard(const char *wanted)
{
	char text[1024] = "";
	ssize_t n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

	ck_assert_int_gt(n, 0);
	ck_assert_str_eq(text, wanted);
}

START_TEST(test_negotiate)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		say(GREETING);
		while (recv(peer, &(char){ 0 }, 1, MSG_PEEK) != 1)
			;
		check_heard("{\"execute\":\"qmp_capabilities\",\"arguments\":{},\"id\":1}");
		say("{\"return\": {}, \"id\": 1}\r\n");
		_exit(0);
	}
	ck_assert_int_eq(qmp_negotiate(&qmp, &limits, &error), 0);
	waitpid(child, NULL, 0);
}
END_TEST

START_TEST(test_execute)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;
	json_t *result;

	say("{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n");
	ck_assert_int_eq(qmp_execute(&qmp, "query-status", json_object(), &limits, &result, &error),
			 0);
	ck_assert_str_eq(json_string_value(json_object_get(result, "status")), "running");
	json_decref(result);
	check_heard("{\"execute\":\"query-status\",\"arguments\":{},\"id\":1}");

	say("{\"return\": {}, \"id\": 2}\r\n");
	ck_assert_int_eq(qmp_execute(&qmp, "device_del", json_pack("{s:s}", "id", "vsock0"),
				     &limits, NULL, &error),
			 0);
	check_heard("{\"execute\":\"device_del\",\"arguments\":{\"id\":\"vsock0\"},\"id\":2}");
}
END_TEST

START_TEST(test_refused)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;
	json_t *result = NULL;

	say("{\"id\": 1, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no device x\"}}\n");
	ck_assert_int_eq(qmp_execute(&qmp, "device_del", json_object(), &limits, &result, &error),
			 -1);
	ck_assert_ptr_null(result);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_str_eq(error.message, "QEMU refused 'device_del': no device x");
	/* The connection goes on. */
	say("{\"return\": {}, \"id\": 2}\n");
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), 0);
}
END_TEST

/* The reply is taken by whoever handles what arrives. */
START_TEST(test_two_halves)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;
	json_t *result;

	ck_assert_int_eq(qmp_send(&qmp, "migrate", json_object(), &limits, &error), 0);
	check_heard("{\"execute\":\"migrate\",\"arguments\":{},\"id\":1}");
	ck_assert(!qmp_has_refused(&qmp));
	say("{\"id\": 1, \"error\": {\"desc\": \"not now\"}}\n");
	ck_assert_int_eq(qmp_dispatch(&qmp, &error), 0);
	ck_assert(qmp_has_refused(&qmp));
	ck_assert_int_eq(qmp_await_reply(&qmp, "migrate", &limits, &result, &error), -1);
	ck_assert_str_eq(error.message, "QEMU refused 'migrate': not now");

	ck_assert_int_eq(qmp_send(&qmp, "migrate", json_object(), &limits, &error), 0);
	/* Of the last command only. */
	ck_assert(!qmp_has_refused(&qmp));
	say("{\"return\": {\"a\": 1}, \"id\": 2}\n");
	ck_assert_int_eq(qmp_await_reply(&qmp, "migrate", &limits, &result, &error), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(result, "a")), 1);
	json_decref(result);
	ck_assert(!qmp_has_refused(&qmp));
}
END_TEST

/* Events come at any time, and none is lost. */
START_TEST(test_events)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;

	say("{\"event\": \"RESUME\", \"timestamp\": {}}\r\n"
	    "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
	    "\"guest-reset\"}}\r\n"
	    "{\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\"}\r\n");
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), 0);
	ck_assert_int_eq(qmp_dispatch(&qmp, &error), 0);
	ck_assert_str_eq(events, "RESUME() SHUTDOWN(guest-reset) STOP() ");
}
END_TEST

/* The reply to a command that was given up is not the next one's. */
START_TEST(test_late_reply)
{
	struct wait_limits limits = limits_of(20);
	struct provium_error error;
	json_t *result;

	ck_assert_int_eq(qmp_execute(&qmp, "query-status", json_object(), &limits, NULL, &error),
			 -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	limits = limits_of(5000);
	say("{\"return\": {\"which\": \"first\"}, \"id\": 1}\r\n"
	    "{\"return\": {\"which\": \"without id\"}}\r\n"
	    "{\"return\": {\"which\": \"odd\"}, \"id\": \"2\"}\r\n"
	    "{\"return\": {\"which\": \"second\"}, \"id\": 2}\r\n");
	ck_assert_int_eq(qmp_execute(&qmp, "query-status", json_object(), &limits, &result, &error),
			 0);
	ck_assert_str_eq(json_string_value(json_object_get(result, "which")), "second");
	json_decref(result);
}
END_TEST

START_TEST(test_byte_by_byte)
{
	static const char text[] = "{\"event\": \"STOP\"}\r\n\r\n  \n{\"event\": \"RESUME\"}\n";
	struct provium_error error;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		ck_assert_int_eq(write(peer, text + i, 1), 1);
		ck_assert_int_eq(qmp_dispatch(&qmp, &error), 0);
	}
	ck_assert_str_eq(events, "STOP() RESUME() ");
}
END_TEST

START_TEST(test_garbage)
{
	static const char *const lines[] = {
		"hello\n", "[]\n", "42\n", "{\n", "{\"a\": }\n", "{} {}\n", "\xff\xfe\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct provium_error error;

		say(lines[i]);
		ck_assert_int_eq(qmp_dispatch(&qmp, &error), -1);
		ck_assert_int_eq(error.code, PROVIUM_HOST);
		ck_assert_msg(strstr(error.message, "not a JSON object"), "%s", error.message);
		ck_assert_int_eq(qmp.fd, -1);
		finish();
		start();
	}
}
END_TEST

/* Objects that are no message of the protocol are no reply either. */
START_TEST(test_strange_objects)
{
	struct wait_limits limits = limits_of(50);
	struct provium_error error;

	say("{}\n{\"event\": 7}\n{\"id\": {}}\n{\"id\": 99, \"return\": {}}\n");
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_str_eq(events, "");
	say("{\"id\": 2, \"error\": 7}\n");
	limits = limits_of(5000);
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "does not say why"));
}
END_TEST

/* A line without end is refused when it is too long, not when memory is. */
START_TEST(test_too_long)
{
	struct wait_limits limits = limits_of(20000);
	struct provium_error error;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		static char junk[65536];

		close(qmp.fd);
		memset(junk, ' ', sizeof(junk));
		for (int i = 0; i < 64; i++) {
			if (send(peer, junk, sizeof(junk), MSG_NOSIGNAL) < 0)
				break;
		}
		_exit(0);
	}
	ck_assert_int_eq(qmp_negotiate(&qmp, &limits, &error), -1);
	ck_assert_msg(strstr(error.message, "a line of more than 1048576 bytes"), "%s",
		      error.message);
	ck_assert_uint_le(qmp.capacity, 4u << 20);
	waitpid(child, NULL, 0);
}
END_TEST

/* Long lines up to the limit are taken. */
START_TEST(test_long)
{
	struct wait_limits limits = limits_of(20000);
	struct provium_error error;
	json_t *result = NULL;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		static char text[900000];
		size_t sent = 0;

		memset(text, 'x', sizeof(text));
		memcpy(text, "{\"id\": 1, \"return\": \"", 21);
		memcpy(text + sizeof(text) - 3, "\"}\n", 3);
		while (sent < sizeof(text))
			sent += (size_t)write(peer, text + sent, sizeof(text) - sent);
		_exit(0);
	}
	ck_assert_int_eq(qmp_execute(&qmp, "x", json_object(), &limits, &result, &error), 0);
	ck_assert_uint_eq(json_string_length(result), 900000 - 24);
	json_decref(result);
	waitpid(child, NULL, 0);
}
END_TEST

/* What QEMU cannot read has no id. */
START_TEST(test_unread)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;

	say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\n");
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), -1);
	ck_assert_str_eq(error.message, "QMP: JSON parse error");
	/* Later calls learn the reason, too. */
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), -1);
	ck_assert_str_eq(error.message, "QMP: JSON parse error");
}
END_TEST

START_TEST(test_no_arguments)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;

	ck_assert_int_eq(qmp_execute(&qmp, "cont", NULL, &limits, NULL, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOMEM);
	/* Nothing has been sent, and it goes on. */
	say("{\"return\": {}, \"id\": 2}\n");
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), 0);
}
END_TEST

START_TEST(test_end)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;

	say("{\"event\": \"STOP\"}\r\n{\"cut");
	peer = close_fd(peer);
	ck_assert_int_eq(qmp_execute(&qmp, "quit", json_object(), &limits, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(qmp.fd, -1);
	ck_assert_int_eq(qmp_execute(&qmp, "quit", json_object(), &limits, NULL, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "has ended"));
	ck_assert_int_eq(qmp_dispatch(&qmp, &error), -1);
}
END_TEST

START_TEST(test_last_events)
{
	struct provium_error error;

	say("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}}\r\n");
	peer = close_fd(peer);
	ck_assert_int_eq(qmp_dispatch(&qmp, &error), -1);
	ck_assert_str_eq(events, "SHUTDOWN(guest-shutdown) ");
}
END_TEST

/* A QEMU that reads nothing stops neither us nor the deadline. */
START_TEST(test_no_reader)
{
	struct wait_limits limits = limits_of(100);
	struct provium_error error;
	char *long_name = malloc(1 << 20);

	memset(long_name, 'x', (1 << 20) - 1);
	long_name[(1 << 20) - 1] = '\0';
	ck_assert_int_eq(qmp_execute(&qmp, long_name, json_object(), &limits, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	free(long_name);
}
END_TEST

/* With the first byte of its command, and with no other. */
START_TEST(test_pass_fd)
{
	struct wait_limits limits = limits_of(5000);
	struct provium_error error;
	char control[CMSG_SPACE(sizeof(int))];
	char text[128] = "";
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int pair[2];
	int got;

	ck_assert_int_eq(pipe(pair), 0);
	say("{\"return\": {}, \"id\": 1}\r\n");
	ck_assert_int_eq(qmp_pass_fd(&qmp, "state", pair[1], &limits, &error), 0);
	ck_assert_int_gt(recvmsg(peer, &message, MSG_DONTWAIT), 0);
	ck_assert_str_eq(text,
			 "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"},\"id\":1}");
	ck_assert_uint_eq(message.msg_controllen, sizeof(control));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
	ck_assert_int_eq(write(got, "x", 1), 1);
	ck_assert_int_eq(read(pair[0], text, 1), 1);
	close(got);
	close(pair[0]);
	close(pair[1]);

	say("{\"return\": {}, \"id\": 2}\r\n");
	message.msg_controllen = sizeof(control);
	ck_assert_int_eq(qmp_execute(&qmp, "cont", json_object(), &limits, NULL, &error), 0);
	ck_assert_int_gt(recvmsg(peer, &message, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(message.msg_controllen, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-qmp");
	TCase *tcase = unit_counted_case("qmp");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_negotiate);
	tcase_add_test(tcase, test_execute);
	tcase_add_test(tcase, test_refused);
	tcase_add_test(tcase, test_two_halves);
	tcase_add_test(tcase, test_events);
	tcase_add_test(tcase, test_late_reply);
	tcase_add_test(tcase, test_byte_by_byte);
	tcase_add_test(tcase, test_garbage);
	tcase_add_test(tcase, test_strange_objects);
	tcase_add_test(tcase, test_too_long);
	tcase_add_test(tcase, test_long);
	tcase_add_test(tcase, test_unread);
	tcase_add_test(tcase, test_no_arguments);
	tcase_add_test(tcase, test_end);
	tcase_add_test(tcase, test_last_events);
	tcase_add_test(tcase, test_no_reader);
	tcase_add_test(tcase, test_pass_fd);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
