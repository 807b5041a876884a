/* EXEC requests that are wrong, and programs that cannot be started. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_harness.h"
#include "common/cleanup.h"
#include "unit.h"

static struct outcome outcome;

static void finish(void)
{
	outcome_free(&outcome);
}

static void expect_refused(const Provium__V1__Exec *exec, int code, const char *text)
{
	client_expect_error(&client, client_exec(&client, exec), code, text);
	client_ping(&client);
}

static void expect_not_started(const Provium__V1__Exec *exec, int os_errno, const char *text)
{
	client_expect_os_error(&client, client_exec(&client, exec), os_errno, text);
	client_ping(&client);
}

START_TEST(nothing_in_it)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	expect_refused(&exec, CODE(INVALID), "EXEC: exactly one of argv and shell");
}
END_TEST

START_TEST(argv_and_shell)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { BYTES("true") };

	exec.argv = argv;
	exec.n_argv = 1;
	exec.has_shell = true;
	exec.shell = BYTES("true");
	expect_refused(&exec, CODE(INVALID), "exactly one of argv and shell");
}
END_TEST

START_TEST(nul_bytes)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData good[] = { BYTES("true") };
	ProtobufCBinaryData bad[] = { BYTES("A=b"), BYTES("a\0b") };

	exec.argv = bad;
	exec.n_argv = 2;
	expect_refused(&exec, CODE(INVALID), "EXEC: argv: holds a NUL");
	exec.argv = good;
	exec.n_argv = 1;
	exec.env = bad;
	exec.n_env = 2;
	expect_refused(&exec, CODE(INVALID), "EXEC: env: holds a NUL");
	exec.n_env = 0;
	exec.has_cwd = true;
	exec.cwd = bad[1];
	expect_refused(&exec, CODE(INVALID), "EXEC: cwd: holds a NUL");
	exec.cwd.len = 0;
	expect_refused(&exec, CODE(INVALID), "EXEC: cwd: is empty");
	exec.has_cwd = false;
	exec.n_argv = 0;
	exec.has_shell = true;
	exec.shell = bad[1];
	expect_refused(&exec, CODE(INVALID), "EXEC: shell: holds a NUL");
}
END_TEST

START_TEST(environment_that_is_none)
{
	static const char *const wrong[] = { "", "=value", "name" };
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { bytes_of(wrong[_i]) };

	exec.has_shell = true;
	exec.shell = BYTES("true");
	exec.env = env;
	exec.n_env = 1;
	expect_refused(&exec, CODE(INVALID), "EXEC: env: an entry is not NAME=VALUE");
}
END_TEST

START_TEST(kill_scope)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("true");
	exec.has_kill_scope = true;
	exec.kill_scope = 7;
	expect_refused(&exec, CODE(INVALID), "EXEC: kill_scope: 7 is out of range");
	exec.kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_TREE;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(missing_programs)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[1], env[] = { BYTES("PATH=/usr/bin::/bin") };

	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = 1;
	argv[0] = BYTES("no-such-program");
	expect_not_started(&exec, ENOENT,
			   "no program \"no-such-program\" in PATH (/usr/bin::/bin)");
	argv[0] = BYTES("/no/such/program");
	expect_not_started(&exec, ENOENT, "\"/no/such/program\"");
	argv[0] = BYTES("");
	expect_not_started(&exec, ENOENT, "");
	argv[0] = BYTES("/tmp");
	expect_not_started(&exec, EACCES, "\"/tmp\" is a directory");
	argv[0] = BYTES("/etc/passwd");
	expect_not_started(&exec, EACCES, "cannot execute \"/etc/passwd\"");
	argv[0] = BYTES("/etc/passwd/program");
	expect_not_started(&exec, ENOTDIR, "");
	argv[0] = BYTES("/bin/true");
	exec.has_cwd = true;
	exec.cwd = BYTES("/no/such/directory");
	expect_not_started(&exec, ENOENT, "cannot start in \"/no/such/directory\"");
	exec.cwd = BYTES("/etc/passwd");
	expect_not_started(&exec, ENOTDIR, "cannot start in \"/etc/passwd\"");
}
END_TEST

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

START_TEST(broken_programs)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	char path[256];
	ProtobufCBinaryData argv[1];

	snprintf(path, sizeof(path), "%s", test_path("program"));
	argv[0] = bytes_of(path);
	exec.argv = argv;
	exec.n_argv = 1;
	write_file(path, "#!/no/such/interpreter\n", 0755);
	expect_not_started(&exec, ENOENT, "the interpreter of");
	write_file(path, "neither fish nor fowl\n", 0755);
	expect_not_started(&exec, ENOEXEC, "cannot execute");
	write_file(path, "#!/bin/sh\necho script\n", 0644);
	expect_not_started(&exec, EACCES, "cannot execute");
	write_file(path, "#!/bin/sh\necho script\n", 0755);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "script\n", "");
}
END_TEST

/* As execvp(3): goes past what cannot be run, and remembers that something was there. */
START_TEST(path_search)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	char first[256], second[256], path[600];
	ProtobufCBinaryData argv[] = { BYTES("tool") }, env[1];

	snprintf(first, sizeof(first), "%s", test_path("first"));
	snprintf(second, sizeof(second), "%s", test_path("second"));
	mkdir(first, 0755);
	mkdir(second, 0755);
	write_file(test_path("first/tool"), "#!/bin/sh\n", 0644);
	snprintf(path, sizeof(path), "PATH=/etc/passwd:%s:%s", first, second);
	env[0] = bytes_of(path);
	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = 1;
	expect_not_started(&exec, EACCES, "tool");
	write_file(test_path("second/tool"), "#!/bin/sh\necho found\n", 0755);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "found\n", "");
	/* An empty entry is the current directory. */
	outcome_free(&outcome);
	env[0] = BYTES("PATH=:/nowhere");
	exec.has_cwd = true;
	exec.cwd = bytes_of(second);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "found\n", "");
}
END_TEST

START_TEST(too_long)
{
	enum {
		SIZE = 300000
	};
	cleanup_free char *text = malloc(SIZE + 1);
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { BYTES("true"), { 0 } };

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', SIZE);
	text[SIZE] = '\0';
	argv[1] = bytes_of(text);
	exec.argv = argv;
	exec.n_argv = 2;
	expect_not_started(&exec, E2BIG, "");
	exec.argv++;
	exec.n_argv = 1;
	expect_not_started(&exec, ENOENT, "");
	argv[0] = BYTES("true");
	memcpy(text, "PATH=", 5);
	exec.argv--;
	exec.env = &argv[1];
	exec.n_env = 1;
	expect_refused(&exec, CODE(INVALID), "PATH is too long");
}
END_TEST

static Suite *refused_suite(void)
{
	Suite *suite = suite_create("agent: commands that do not start");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, NULL, finish);
	tcase_add_test(tcase, nothing_in_it);
	tcase_add_test(tcase, argv_and_shell);
	tcase_add_test(tcase, nul_bytes);
	tcase_add_loop_test(tcase, environment_that_is_none, 0, 3);
	tcase_add_test(tcase, kill_scope);
	tcase_add_test(tcase, missing_programs);
	tcase_add_test(tcase, broken_programs);
	tcase_add_test(tcase, path_search);
	tcase_add_test(tcase, too_long);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(refused_suite());
}
