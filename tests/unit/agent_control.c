/* The life of a connection: READY, PING, INFO, CANCEL, SHUTDOWN, and its end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/init.h"
#include "agent_harness.h"
#include "proto/limits.h"
#include "unit.h"

/* ------------------------------------------------------------------------------------------- */
/* READY */

START_TEST(ready_comes_first)
{
	const Provium__V1__Ready *ready;
	struct client other;
	struct utsname system;

	uname(&system);
	client_connect_silent(&other);
	ready = client_expect(&other, BODY(READY))->ready;
	ck_assert_uint_eq(ready->protocol_major, PROVIUM_PROTOCOL_MAJOR);
	ck_assert_uint_eq(ready->protocol_minor, PROVIUM_PROTOCOL_MINOR);
	ck_assert_str_eq(ready->arch, system.machine);
	ck_assert_str_eq(ready->kernel_release, system.release);
	ck_assert_uint_eq(strlen(ready->boot_id), 36);
	ck_assert_int_eq(ready->pid, getpid());
	ck_assert_uint_eq(ready->max_frame, PROVIUM_MAX_FRAME);
	ck_assert(!ready->has_restarts && !ready->restart_reason && !ready->init_error);
	ck_assert(!ready->has_init_started_ns && !ready->has_listening_ns &&
		  !ready->has_modules_ns);
	/* Begun by nobody's wrapper it follows no init, and holds none. */
	ck_assert(ready->own_root && !ready->init_held);
	client_close(&other);
}
END_TEST

START_TEST(ready_tells_the_configuration)
{
	static struct init_state init = {
		.path = "/sbin/\xffinit",
		.status = { .started_ns = 5, .error = ENOENT },
		.used = sizeof(init.status),
		.over = true,
		.release_fd = -1,
	};
	const Provium__V1__Ready *ready;

	agent_config.restarts = 3;
	agent_config.restart_reason = "killed by \xff signal 9";
	agent_config.init = &init;
	agent_config.listening_ns = 6;
	agent_config.modules_ns = 7;
	agent_start();
	client_connect_silent(&client);
	ready = client_expect(&client, BODY(READY))->ready;
	ck_assert_uint_eq(ready->restarts, 3);
	/* A string of the schema is UTF-8; a path is not. */
	ck_assert_str_eq(ready->restart_reason, "killed by ? signal 9");
	ck_assert_uint_eq(ready->init_error->path.len, strlen("/sbin/\xffinit"));
	ck_assert_int_eq(ready->init_error->os_errno, ENOENT);
	ck_assert_uint_eq(ready->init_started_ns, 5);
	ck_assert_uint_eq(ready->listening_ns, 6);
	ck_assert_uint_eq(ready->modules_ns, 7);
	agent_stop_connected();
}
END_TEST

/* What READY lists is served, and nothing else is. */
START_TEST(ready_lists_what_is_served)
{
	const Provium__V1__Ready *ready;
	bool served[128] = { false };
	struct client other;

	client_connect_silent(&other);
	ready = client_expect(&other, BODY(READY))->ready;
	for (size_t i = 0; i < ready->n_requests; i++)
		served[ready->requests[i]] = true;
	client_close(&other);
	ck_assert(served[BODY(PING)] && served[BODY(EXEC)] && served[BODY(WRITE_DATA)]);
	/* Nobody has said how. */
	ck_assert(!served[BODY(SHUTDOWN)]);

	for (uint32_t code = 1; code < 128; code++) {
		/* id 9, and the body: a message of no fields. */
		uint8_t frame[16] = { 0, 0, 0, 0, 0x80, 0x01, 9 };
		size_t size = 7;
		const Provium__V1__Message *reply;

		/*
		 * The first is no message, the next two have no reply of their own at once, and of
		 * the last there is nothing to be done.
		 */
		if (code == 16 || code == BODY(WRITE_DATA) || code == BODY(KERNEL_LOG) ||
		    code == BODY(RELEASE_INIT))
			continue;
		frame[size++] = (uint8_t)((code << 3 | 2) & 0x7f) | (code >= 16 ? 0x80 : 0);
		if (code >= 16)
			frame[size++] = (uint8_t)(code >> 4);
		frame[size++] = 0;
		frame_put_header(frame, (uint32_t)(size - FRAME_HEADER));
		client_send_bytes(&client, frame, size);
		reply = client_receive(&client);
		ck_assert_ptr_nonnull(reply);
		ck_assert_uint_eq(reply->id, 9);
		if (served[code])
			ck_assert(reply->body_case != BODY(ERROR) ||
				  reply->error->code == CODE(INVALID));
		else
			ck_assert(reply->body_case == BODY(ERROR) &&
				  (reply->error->code == CODE(UNSUPPORTED) ||
				   reply->error->code == CODE(UNKNOWN_MESSAGE)));
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* PING, INFO */

static uint32_t send_ping(struct client *to, const void *payload, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;

	ping.has_payload = payload != NULL;
	ping.payload = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)payload };
	message.body_case = BODY(PING);
	message.ping = &ping;
	return client_send(to, &message);
}

START_TEST(ping_echoes)
{
	static uint8_t payload[PROVIUM_MAX_PING];
	const Provium__V1__Message *reply;
	uint32_t id;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	id = send_ping(&client, payload, sizeof(payload));
	reply = client_expect(&client, BODY(PONG));
	ck_assert_uint_eq(reply->id, id);
	ck_assert_uint_eq(reply->pong->payload.len, sizeof(payload));
	ck_assert_mem_eq(reply->pong->payload.data, payload, sizeof(payload));

	send_ping(&client, "", 0);
	reply = client_expect(&client, BODY(PONG));
	ck_assert(reply->pong->has_payload && reply->pong->payload.len == 0);
	send_ping(&client, NULL, 0);
	ck_assert(!client_expect(&client, BODY(PONG))->pong->has_payload);
}
END_TEST

START_TEST(ping_too_long)
{
	static uint8_t payload[PROVIUM_MAX_PING + 1];
	uint32_t id = send_ping(&client, payload, sizeof(payload));

	client_expect_error(&client, id, CODE(LIMIT), "PING: payload: 65537 bytes; at most 65536");
	client_ping(&client);
}
END_TEST

START_TEST(info_counts)
{
	Provium__V1__InfoResult before = client_info(&client), after;
	struct client other;
	struct outcome outcome;

	ck_assert_uint_gt(before.uptime_ns, 0);
	ck_assert_uint_gt(before.memory_total, before.memory_free);
	ck_assert_uint_gt(before.resident_bytes, 4096);
	ck_assert_uint_eq(before.connections, 1);
	client_connect(&other);
	client_run(&other, "true", &outcome);
	outcome_expect_exit(&outcome, 0);
	after = client_info(&client);
	ck_assert_uint_eq(after.connections, 2);
	ck_assert_uint_eq(after.commands_started, before.commands_started + 1);
	ck_assert_uint_eq(after.commands_running, 0);
	/* READY, EXEC_RESULT and INFO_RESULT. */
	ck_assert_uint_eq(after.frames_sent, before.frames_sent + 3);
	ck_assert_uint_eq(after.frames_received, before.frames_received + 2);
	ck_assert_uint_gt(after.bytes_sent, before.bytes_sent);
	ck_assert_uint_gt(after.bytes_received, before.bytes_received);
	/* Both of its ends are in this process. */
	ck_assert_uint_eq(after.open_fds, before.open_fds + 2);
	client_close(&other);
	eventually(client_info(&client).connections == 1);
	ck_assert_uint_eq(client_info(&client).open_fds, before.open_fds);
}
END_TEST

/* The agent's own fds are out of the way of what a test opens. */
START_TEST(own_fds_are_high)
{
	struct outcome outcome;
	uint32_t id = client_shell(&client, "read -r line </dev/zero");
	char path[64];
	int lowest = dup(0);

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (access(path, F_OK) < 0)
			continue;
		/* The test's own: its socket and pipes. */
		ck_assert_int_lt(fd, lowest + 8);
	}
	close(lowest);
	client_expect_ok(&client, client_cancel(&client, id));
	client_collect(&client, id, &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* CANCEL, SHUTDOWN, ends */

START_TEST(cancel_nothing)
{
	uint32_t id = client_cancel(&client, 12345);

	client_expect_error(&client, id, CODE(NOT_FOUND), "12345");
}
END_TEST

START_TEST(cancel_without_request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Cancel cancel = PROVIUM__V1__CANCEL__INIT;
	uint32_t id;

	message.body_case = BODY(CANCEL);
	message.cancel = &cancel;
	id = client_send(&client, &message);
	client_expect_error(&client, id, CODE(INVALID), "CANCEL: request: is absent");
}
END_TEST

static int power_mode = -1;
static bool power_sync;
static unsigned int power_timeout_ms;
static int power_result;

static int take_power(int mode, bool sync, unsigned int sync_timeout_ms)
{
	power_mode = mode;
	power_sync = sync;
	power_timeout_ms = sync_timeout_ms;
	errno = EOPNOTSUPP;
	return power_result;
}

static uint32_t send_shutdown(struct client *to, const Provium__V1__Shutdown *shutdown)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = BODY(SHUTDOWN);
	message.shutdown = (Provium__V1__Shutdown *)(uintptr_t)shutdown;
	return client_send(to, &message);
}

START_TEST(shutdown_waits_for_the_host)
{
	Provium__V1__Shutdown shutdown = PROVIUM__V1__SHUTDOWN__INIT;
	uint32_t id;

	agent_config.power = take_power;
	agent_start_connected();
	client_shell(&client, "sleep 1000");
	shutdown.has_mode = true;
	shutdown.mode = PROVIUM__V1__SHUTDOWN__MODE__REBOOT;
	shutdown.has_sync = true;
	shutdown.has_sync_timeout_ms = true;
	shutdown.sync_timeout_ms = 77;
	id = send_shutdown(&client, &shutdown);
	ck_assert_uint_eq(client_expect(&client, BODY(READY))->id, id);
	client_expect_end(&client);
	/* The host has not closed its end yet. */
	ck_assert_int_eq(power_mode, -1);
	client_close(&client);
	eventually(power_mode == PROVIUM__V1__SHUTDOWN__MODE__REBOOT);
	ck_assert(!power_sync);
	ck_assert_uint_eq(power_timeout_ms, 77);
	agent_stop();
}
END_TEST

/* A host that never closes its end has 500 ms. */
START_TEST(shutdown_does_not_wait_for_ever)
{
	Provium__V1__Shutdown shutdown = PROVIUM__V1__SHUTDOWN__INIT;

	agent_config.power = take_power;
	agent_start_connected();
	send_shutdown(&client, &shutdown);
	client_expect(&client, BODY(READY));
	eventually(power_mode == PROVIUM__V1__SHUTDOWN__MODE__POWER_OFF);
	ck_assert(power_sync);
	ck_assert_uint_eq(power_timeout_ms, 5000);
	agent_stop_connected();
}
END_TEST

/* The agent goes on where the power does not go. */
START_TEST(shutdown_fails)
{
	Provium__V1__Shutdown shutdown = PROVIUM__V1__SHUTDOWN__INIT;

	power_result = -1;
	agent_config.power = take_power;
	agent_start_connected();
	send_shutdown(&client, &shutdown);
	client_expect(&client, BODY(READY));
	client_close(&client);
	eventually(power_mode == PROVIUM__V1__SHUTDOWN__MODE__POWER_OFF);
	client_connect(&client);
	client_ping(&client);
	agent_stop_connected();
}
END_TEST

START_TEST(shutdown_of_an_unknown_mode)
{
	Provium__V1__Shutdown shutdown = PROVIUM__V1__SHUTDOWN__INIT;
	uint32_t id;

	agent_config.power = take_power;
	agent_start_connected();
	shutdown.has_mode = true;
	shutdown.mode = 4;
	id = send_shutdown(&client, &shutdown);
	client_expect_error(&client, id, CODE(INVALID), "SHUTDOWN: mode: 4 is out of range");
	client_ping(&client);
	agent_stop_connected();
	ck_assert_int_eq(power_mode, -1);
}
END_TEST

START_TEST(shutdown_that_is_not_served)
{
	Provium__V1__Shutdown shutdown = PROVIUM__V1__SHUTDOWN__INIT;
	uint32_t id = send_shutdown(&client, &shutdown);

	client_expect_error(&client, id, CODE(UNSUPPORTED), "SHUTDOWN is not served");
	client_ping(&client);
}
END_TEST

START_TEST(one_connection)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	agent_config.connection_fd = pair[0];
	client_adopt(&client, pair[1]);
	shutdown(client.fd, SHUT_WR);
	ck_assert_int_eq(server_run(&agent_config), 0);
	client_expect(&client, BODY(READY));
	client_expect_end(&client);
	client_close(&client);
}
END_TEST

START_TEST(many_connections)
{
	enum {
		COUNT = 200
	};
	struct client clients[COUNT];

	for (int i = 0; i < COUNT; i++)
		client_connect(&clients[i]);
	for (int i = 0; i < COUNT; i++)
		client_ping(&clients[i]);
	for (int i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	eventually(client_info(&client).connections == 1);
}
END_TEST

START_TEST(connect_and_vanish)
{
	for (int i = 0; i < 300; i++) {
		struct client other;

		client_connect_silent(&other);
		client_close(&other);
	}
	eventually(client_info(&client).connections == 1);
	client_ping(&client);
}
END_TEST

static Suite *control_suite(void)
{
	Suite *suite = suite_create("agent: connections");
	TCase *alone = unit_counted_case("configured");
	TCase *connected = unit_counted_case("connected");

	tcase_add_test(alone, ready_tells_the_configuration);
	tcase_add_test(alone, shutdown_waits_for_the_host);
	tcase_add_test(alone, shutdown_does_not_wait_for_ever);
	tcase_add_test(alone, shutdown_fails);
	tcase_add_test(alone, shutdown_of_an_unknown_mode);
	tcase_add_test(alone, one_connection);
	tcase_set_timeout(alone, 60);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(connected, agent_start_connected, agent_stop_connected);
	tcase_add_test(connected, ready_comes_first);
	tcase_add_test(connected, ready_lists_what_is_served);
	tcase_add_test(connected, ping_echoes);
	tcase_add_test(connected, ping_too_long);
	tcase_add_test(connected, info_counts);
	tcase_add_test(connected, own_fds_are_high);
	tcase_add_test(connected, cancel_nothing);
	tcase_add_test(connected, cancel_without_request);
	tcase_add_test(connected, shutdown_that_is_not_served);
	tcase_add_test(connected, many_connections);
	tcase_add_test(connected, connect_and_vanish);
	tcase_set_timeout(connected, 60);
	suite_add_tcase(suite, connected);
	return suite;
}

int main(void)
{
	return unit_run(control_suite());
}
