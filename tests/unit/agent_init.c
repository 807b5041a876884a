/* RELEASE_INIT, with a wrapper that the test plays. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/init.h"
#include "agent_harness.h"
#include "unit.h"

static struct init_state *init;
/* The wrapper's ends. */
static int status_write;
static int release_read;

static void start_held(void)
{
	const uint64_t waiting = 0;
	int status[2], release[2];

	ck_assert_int_eq(pipe2(status, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(release, O_CLOEXEC | O_NONBLOCK), 0);
	status_write = status[1];
	release_read = release[0];
	init = init_share(status[0]);
	ck_assert_ptr_nonnull(init);
	init->path = "/sbin/init";
	init->root = "/dev/vda";
	init->release_fd = release[1];
	ck_assert(!init_held(init));
	ck_assert_int_eq(write(status_write, &waiting, sizeof(waiting)), sizeof(waiting));
	init_read(init);
	ck_assert(init_held(init) && !init->over);
	agent_config.init = init;
	agent_start_connected();
}

static void stop(void)
{
	agent_stop_connected();
	close(init->status_fd);
	close(init->release_fd);
	close(release_read);
	if (status_write >= 0)
		close(status_write);
}

static void expect_held(bool held)
{
	struct client other;

	client_connect_silent(&other);
	ck_assert_int_eq(client_expect(&other, BODY(READY))->ready->init_held, held);
	client_close(&other);
}

static uint32_t release(struct client *from)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReleaseInit body = PROVIUM__V1__RELEASE_INIT__INIT;

	message.body_case = BODY(RELEASE_INIT);
	message.release_init = &body;
	return client_send(from, &message);
}

/* The wrapper has the byte that it waits for, and no other. */
static void expect_released(void)
{
	char bytes[2];

	eventually(read(release_read, bytes, sizeof(bytes)) == 1);
}

/* The wrapper executes init, or has tried to. */
static void play_exec(int error, enum boot_step step)
{
	const struct boot_status status = { .started_ns = 7, .error = error, .step = step };
	size_t size = error ? sizeof(status) : sizeof(status.started_ns);

	ck_assert_int_eq(write(status_write, &status, size), (ssize_t)size);
	close(status_write);
	status_write = -1;
}

static void expect_none(struct client *from)
{
	client_expect_error(from, release(from), CODE(UNSUPPORTED), "no init is held back");
}

START_TEST(runs_when_it_is_answered)
{
	const Provium__V1__Ready *ready;
	struct client other;
	uint32_t id;

	start_held();
	expect_held(true);
	id = release(&client);
	expect_released();
	/* What the wrapper does until then may take its time, and holds up nobody. */
	client_ping(&client);
	expect_held(false);
	expect_none(&client);
	play_exec(0, BOOT_EXECVE);
	client_expect_ok(&client, id);

	client_connect_silent(&other);
	ready = client_expect(&other, BODY(READY))->ready;
	ck_assert_uint_eq(ready->init_started_ns, 7);
	ck_assert(!ready->init_error && !ready->init_held);
	client_close(&other);
	stop();
}
END_TEST

START_TEST(cannot_be_executed)
{
	const Provium__V1__Ready *ready;
	struct client other;
	uint32_t id;

	start_held();
	id = release(&client);
	expect_released();
	play_exec(ENOENT, BOOT_EXECVE);
	client_expect_os_error(&client, id, ENOENT, "/sbin/init");
	expect_none(&client);

	client_connect_silent(&other);
	ready = client_expect(&other, BODY(READY))->ready;
	ck_assert_int_eq(ready->init_error->os_errno, ENOENT);
	ck_assert_str_eq(ready->init_error->operation, "execve");
	client_close(&other);
	stop();
}
END_TEST

/* The release stays, though nobody waits for its answer. */
START_TEST(connection_ends)
{
	struct client other;

	start_held();
	client_connect(&other);
	release(&other);
	expect_released();
	client_close(&other);
	client_ping(&client);
	expect_none(&client);
	play_exec(0, BOOT_EXECVE);
	eventually(init->over);
	client_ping(&client);
	stop();
}
END_TEST

/* A wrapper that gives up, as it does where it cannot come to its init, is told of without asking.
 */
START_TEST(fails_while_held)
{
	const Provium__V1__InitError *failure;
	struct client other;

	start_held();
	play_exec(EINVAL, BOOT_ROOT_MOUNT);
	eventually(init->over);
	expect_none(&client);
	expect_held(false);
	client_connect_silent(&other);
	failure = client_expect(&other, BODY(READY))->ready->init_error;
	ck_assert_str_eq(failure->operation, "mount");
	ck_assert_int_eq(failure->os_errno, EINVAL);
	ck_assert_mem_eq(failure->path.data, "/dev/vda", failure->path.len);
	client_close(&other);
	stop();
}
END_TEST

START_TEST(nothing_is_held)
{
	agent_start_connected();
	expect_none(&client);
	agent_stop_connected();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent-init");
	TCase *tcase = unit_counted_case("release");

	tcase_add_test(tcase, runs_when_it_is_answered);
	tcase_add_test(tcase, cannot_be_executed);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, fails_while_held);
	tcase_add_test(tcase, nothing_is_held);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
