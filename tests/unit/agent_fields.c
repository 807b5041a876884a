/* Every field of every request in a wrong way (fields.h): the native agent. */
#include "agent_harness.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fields.h"
#include "unit.h"

static int connect_agent(void)
{
	struct client connected;

	client_connect_silent(&connected);
	return connected.fd;
}

static void make_files(void)
{
	FILE *file = fopen(test_path("F"), "we");

	ck_assert_ptr_nonnull(file);
	fputs("some text", file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert(mkdir(test_path("D"), 0700) == 0 || errno == EEXIST);
	ck_assert(symlink("to", test_path("L")) == 0 || errno == EEXIST);
	(void)remove(test_path("N"));
}

START_TEST(each_field)
{
	char directory[256];
	const struct fields_agent native = {
		.connect = connect_agent,
		.make_files = make_files,
		.directory = directory,
	};
	Provium__V1__InfoResult before = client_info(&client), after;

	snprintf(directory, sizeof(directory), "%s", test_path("."));
	fields_try(&native, (size_t)_i);
	client_ping(&client);
	eventually(client_info(&client).commands_running == 0);
	eventually(client_info(&client).connections == 1);
	after = client_info(&client);
	/* The test itself is part of the process; what it has closed is closed. */
	ck_assert_uint_eq(after.open_fds, before.open_fds);
}
END_TEST

START_TEST(each_request)
{
	fields_expect_rows();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: fields of requests");
	TCase *tcase = unit_counted_case("fields");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_loop_test(tcase, each_field, 0, (int)fields_requests);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("rows");
	tcase_add_test(tcase, each_request);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
