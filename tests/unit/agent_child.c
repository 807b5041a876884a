/* Commands without a connection: what their owner may ask of them. */
#include <errno.h>
#include <string.h>

#include "agent/buffer.h"
#include "agent/child.h"
#include "agent/loop.h"
#include "agent/server.h"
#include "unit.h"

static const struct server_config config = {
	.listen_fd = -1,
	.connection_fd = -1,
	.stop_fd = -1,
	.life_fd = -1,
	.proc_fd = -1,
	.dev_fd = -1,
};

static struct loop loop;
static char output[4096];
static bool over;
static struct child_result result;

static bool on_has_room(void *owner)
{
	(void)owner;
	return true;
}

static void on_output(void *owner, enum child_output which, uint64_t offset, struct buffer *buffer,
		      size_t size)
{
	(void)owner;
	(void)which;
	ck_assert_uint_eq(offset, strlen(output));
	ck_assert_uint_lt(offset + size, sizeof(output));
	memcpy(output + offset, buffer->data + BULK_GAP, size);
	output[offset + size] = '\0';
	buffer_pool_give(&loop.pool, buffer);
}

static void on_ended(void *owner, const struct child_result *from)
{
	(void)owner;
	result = *from;
	over = true;
}

static const struct child_events events = {
	.has_room = on_has_room,
	.output = on_output,
	.ended = on_ended,
};

static void start(void)
{
	output[0] = '\0';
	over = false;
	ck_assert_int_eq(loop_init(&loop, &config), 0);
}

static void finish(void)
{
	loop_finish(&loop);
}

static struct child *start_command(const char *command, bool terminal)
{
	char *argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, (char *)(uintptr_t)command,
			 NULL };
	struct child_options options = {
		.argv = argv,
		.envp = (char *[]){ NULL },
		.cwd = "/",
		.terminal = terminal,
		.rows = 24,
		.cols = 80,
		.output_limit = UINT64_MAX,
	};
	struct spawn_result failure;
	struct child *child = child_start(&loop, &options, &events, NULL, &failure);

	ck_assert_ptr_nonnull(child);
	return child;
}

static void pass_until_shown(const char *text)
{
	while (!strstr(output, text)) {
		ck_assert(!over);
		loop_pass(&loop);
	}
}

START_TEST(resize)
{
	struct child *child = start_command("trap 'stty size' WINCH; stty size;"
					    "while :; do sleep 0.01; done",
					    true);

	pass_until_shown("24 80\r\n");
	ck_assert_int_eq(child_resize(child, 50, 132), 0);
	pass_until_shown("50 132\r\n");
	ck_assert_int_eq(child_resize(child, 1, 65535), 0);
	pass_until_shown("1 65535\r\n");
	child_kill(child, CHILD_CANCELLED);
	while (!over)
		loop_pass(&loop);
	ck_assert_int_eq(result.end, CHILD_CANCELLED);
	ck_assert_str_eq(output, "24 80\r\n50 132\r\n1 65535\r\n");
}
END_TEST

START_TEST(no_terminal)
{
	struct child *child = start_command("exit 5", false);

	ck_assert_int_eq(child_resize(child, 50, 132), ENOTTY);
	while (!over)
		loop_pass(&loop);
	ck_assert_int_eq(result.end, CHILD_NOT_KILLED);
	ck_assert_int_eq(result.status, 5);
}
END_TEST

static Suite *child_suite(void)
{
	Suite *suite = suite_create("agent: commands alone");
	TCase *tcase = unit_counted_case("alone");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, resize);
	tcase_add_test(tcase, no_terminal);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(child_suite());
}
