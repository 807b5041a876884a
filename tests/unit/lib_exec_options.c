/* What a command's options become, of EXEC's every field; and what is refused before it is sent. */
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;
static struct provium_exec_result result;

static const char *const argv[] = { "program", "argument", NULL };

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static bool is(ProtobufCBinaryData data, const char *text)
{
	return data.len == strlen(text) && memcmp(data.data, text, data.len) == 0;
}

static void options_script(struct fake *agent)
{
	const Provium__V1__Exec *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	fake_check(agent, body->n_argv == 2 && is(body->argv[0], "program"));
	fake_check(agent, is(body->argv[1], "argument"));
	fake_check(agent, !body->has_shell);
	fake_check(agent, body->n_env == 2 && is(body->env[0], "A=1") && is(body->env[1], "B=x=y"));
	fake_check(agent, body->has_clear_env && body->clear_env);
	fake_check(agent, body->has_cwd && is(body->cwd, "/tmp"));
	fake_check(agent, !body->has_stdin_kind);
	fake_check(agent, body->has_input && is(body->input, "input"));
	fake_check(agent, body->has_merge_stderr && body->merge_stderr);
	fake_check(agent, body->has_timeout_ms && body->timeout_ms == 1234);
	fake_check(agent, body->has_output_limit && body->output_limit == 99);
	fake_result(agent, 0, 0, 0, 0);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	fake_check(agent, body->n_argv == 0 && is(body->shell, "exit 3"));
	fake_check(agent, body->n_env == 0 && !body->has_clear_env && !body->has_cwd);
	fake_check(agent, body->has_stdin_kind &&
				  body->stdin_kind == PROVIUM__V1__STDIN_KIND__STDIN_STREAM);
	fake_check(agent, !body->has_input && !body->has_merge_stderr && !body->has_timeout_ms);
	fake_check(agent, !body->has_uid && !body->has_gid && !body->groups && !body->pty);
	fake_check(agent, !body->has_output_limit && !body->has_nice && body->n_rlimits == 0);
	fake_check(agent, !body->has_kill_scope);
	fake_result(agent, 0, 3, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_options)
{
	const char *const env[] = { "A=1", "B=x=y", NULL };
	const struct provium_exec_options full = {
		.argv = argv,
		.env = env,
		.clear_env = true,
		.cwd = "/tmp",
		.input = "input",
		.input_size = 5,
		.merge_stderr = true,
		.timeout_ms = 1234,
		.output_limit = 99,
	};
	const struct provium_exec_options shell = {
		.shell = "exit 3",
		.stdin_kind = PROVIUM_STDIN_STREAM,
	};
	struct provium_exec *exec;

	connection = fake_connect(&fake, options_script);
	check_ok(provium_exec_start(connection, &full, &exec, &error));
	ck_assert(!provium_exec_done(exec));
	check_ok(provium_exec_wait(exec, 5000, NULL, &error));
	ck_assert(provium_exec_done(exec));
	provium_exec_free(exec);
	check_ok(provium_exec_start(connection, &shell, &exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_int_eq(result.exit_code, 3);
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Whose, with what, on what */

static void credentials_script(struct fake *agent)
{
	const Provium__V1__Exec *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	fake_check(agent, body->has_uid && body->uid == 1000);
	fake_check(agent, body->has_gid && body->gid == UINT32_MAX - 1);
	fake_check(agent, body->groups && body->groups->n_gid == 2);
	fake_check(agent, body->groups->gid[0] == 5 && body->groups->gid[1] == 6);
	fake_check(agent, body->has_nice && body->nice == -20);
	fake_check(agent, body->n_rlimits == 2);
	fake_check(agent, body->rlimits[0]->resource == 7 && body->rlimits[0]->soft == 10 &&
				  body->rlimits[0]->hard == 20);
	fake_check(agent, body->rlimits[1]->has_resource && body->rlimits[1]->resource == 0 &&
				  body->rlimits[1]->has_soft && body->rlimits[1]->soft == 0 &&
				  body->rlimits[1]->hard == UINT64_MAX);
	fake_check(agent, body->has_kill_scope &&
				  body->kill_scope == PROVIUM__V1__KILL_SCOPE__KILL_CGROUP);
	fake_result(agent, 0, 0, 0, 0);

	/* Root is somebody too, and no groups are something else than those of the agent. */
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	fake_check(agent, body->has_uid && body->uid == 0 && !body->has_gid);
	fake_check(agent, body->groups && body->groups->n_gid == 0);
	fake_result(agent, 0, 0, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_credentials)
{
	static const uint32_t groups[] = { 5, 6 };
	static const struct provium_rlimit rlimits[] = {
		{ .resource = 7, .soft = 10, .hard = 20 },
		{ .resource = 0, .soft = 0, .hard = PROVIUM_UNLIMITED },
	};
	const struct provium_exec_options all = {
		.argv = argv,
		.has_uid = true,
		.uid = 1000,
		.has_gid = true,
		.gid = UINT32_MAX - 1,
		.has_groups = true,
		.groups = groups,
		.n_groups = 2,
		.nice = -20,
		.rlimits = rlimits,
		.n_rlimits = 2,
		.kill_scope = PROVIUM_KILL_CGROUP,
	};
	const struct provium_exec_options root = {
		.argv = argv,
		.has_uid = true,
		.has_groups = true,
	};

	connection = fake_connect(&fake, credentials_script);
	check_ok(provium_exec_run(connection, &all, 0, 5000, &result, NULL, NULL, &error));
	check_ok(provium_exec_run(connection, &root, 0, 5000, &result, NULL, NULL, &error));
	disconnect();
}
END_TEST

static void terminal_script(struct fake *agent)
{
	const Provium__V1__Exec *body;
	const Provium__V1__Resize *resize;
	uint32_t id;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	fake_check(agent, body->pty && !body->pty->has_rows && !body->pty->has_cols);
	fake_check(agent, !body->pty->has_term);
	fake_result(agent, 0, 0, 0, 0);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec;
	id = agent->id;
	fake_check(agent, body->pty && body->pty->rows == 65535 && body->pty->cols == 1);
	fake_check(agent, body->pty->has_term && is(body->pty->term, "xterm"));
	resize = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESIZE)->resize;
	fake_check(agent, resize->target->target_case == PROVIUM__V1__TARGET__TARGET_REQUEST);
	fake_check(agent, resize->target->request == id);
	fake_check(agent, resize->rows == 40 && resize->cols == 132);
	fake_ok(agent, 0, -1);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESIZE);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 25, "ENOTTY", "ioctl", "RESIZE");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESIZE);
	fake_pong(agent, 0);
}

START_TEST(test_terminal)
{
	const struct provium_exec_options plain = { .argv = argv, .pty = true };
	const struct provium_exec_options full = {
		.argv = argv,
		.pty = true,
		.rows = 65535,
		.cols = 1,
		.term = "xterm",
	};
	static const unsigned int wrong[][2] = { { 0, 1 }, { 1, 0 }, { 65536, 1 }, { 1, 65536 } };
	struct provium_exec *exec;

	connection = fake_connect(&fake, terminal_script);
	check_ok(provium_exec_start(connection, &plain, &exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_int_eq(provium_exec_resize(exec, 1, 1, 5000, &error), -1);
	check_error(PROVIUM_NOT_FOUND, "program: resize: the command has ended");
	provium_exec_free(exec);

	check_ok(provium_exec_start(connection, &full, &exec, &error));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_int_eq(provium_exec_resize(exec, wrong[i][0], wrong[i][1], 5000, &error),
				 -1);
		check_error(PROVIUM_INVALID, "1 to 65535");
	}
	check_ok(provium_exec_resize(exec, 40, 132, 5000, &error));
	ck_assert_int_eq(provium_exec_resize(exec, 1, 1, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "program: RESIZE (ioctl: ENOTTY)");
	ck_assert_int_eq(provium_exec_resize(exec, 1, 1, 5000, &error), -1);
	check_error(PROVIUM_PROTOCOL, "reply to \"resize\"");
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What is refused */

static void ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

START_TEST(test_bad_options)
{
	static const struct provium_rlimit above[] = { { 2, 1, 1 }, { 3, 2, 1 } };
	const char *const no_argv[] = { NULL };
	const char *const empty_name[] = { "", NULL };
	const char *const no_equals[] = { "A=1", "B", NULL };
	const char *const no_name[] = { "=1", NULL };
	const struct {
		struct provium_exec_options options;
		const char *why;
	} cases[] = {
		{ { 0 }, "either a program" },
		{ { .argv = argv, .shell = "true" }, "either a program" },
		{ { .argv = no_argv }, "name is empty" },
		{ { .argv = empty_name }, "name is empty" },
		{ { .argv = argv, .env = no_equals }, "\"B\" is not NAME=VALUE" },
		{ { .argv = argv, .env = no_name }, "\"=1\" is not NAME=VALUE" },
		{ { .argv = argv,
		    .stdin_kind = PROVIUM_STDIN_STREAM,
		    .input = "x",
		    .input_size = 1 },
		  "streamed" },
		{ { .argv = argv, .rows = 24 }, "there is none" },
		{ { .argv = argv, .cols = 80 }, "there is none" },
		{ { .argv = argv, .term = "xterm" }, "there is none" },
		{ { .argv = argv, .pty = true, .rows = 65536 }, "at most 65535" },
		{ { .argv = argv, .pty = true, .cols = 65536 }, "at most 65535" },
		{ { .argv = argv, .rlimits = above, .n_rlimits = 2 }, "limit 3: the soft limit" },
	};
	struct provium_exec *exec;

	connection = fake_connect(&fake, ready_script);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(provium_exec_start(connection, &cases[i].options, &exec, &error),
				 -1);
		check_error(PROVIUM_INVALID, cases[i].why);
		ck_assert_ptr_null(exec);
	}
	disconnect();
}
END_TEST

START_TEST(test_too_long_for_a_message)
{
	char *input = calloc(1, PROVIUM_MAX_FRAME);
	const struct provium_exec_options options = {
		.argv = argv,
		.input = input,
		.input_size = PROVIUM_MAX_FRAME,
	};
	struct provium_exec *exec;

	connection = fake_connect(&fake, ready_script);
	ck_assert_int_eq(provium_exec_start(connection, &options, &exec, &error), -1);
	check_error(PROVIUM_LIMIT, "program: exec: the request has");
	disconnect();
	free(input);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-exec-options");
	TCase *tcase = unit_counted_case("options");

	tcase_add_test(tcase, test_options);
	tcase_add_test(tcase, test_credentials);
	tcase_add_test(tcase, test_terminal);
	tcase_add_test(tcase, test_bad_options);
	tcase_add_test(tcase, test_too_long_for_a_message);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
