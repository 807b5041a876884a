/* Who builds which fixture, who waits, and what becomes of both. */
#include "host/runner/fixtures.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static struct fixtures fixtures;
static struct fixture_client a, b, c;

static void set_up(void)
{
	fixtures_init(&fixtures);
	fixture_client_init(&a);
	fixture_client_init(&b);
	fixture_client_init(&c);
}

static void tear_down(void)
{
	fixtures_finish(&fixtures);
}

static enum fixture_answer ask(struct fixture_client *client, const char *path,
			       struct provium_error *error)
{
	struct fixture *fixture;

	return fixtures_ask(&fixtures, client, path, &fixture, error);
}

START_TEST(is_built_once)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct provium_error error;
	struct fixture *fixture;

	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&b, "f", &error), FIXTURE_ASK_WAIT);
	ck_assert_int_eq(ask(&c, "f", &error), FIXTURE_ASK_WAIT);
	ck_assert_ptr_nonnull(b.waits_for);
	/* Not his, or not there. */
	ck_assert_ptr_null(fixtures_built(&fixtures, &b, "f", NULL, &fd, 1, false));
	ck_assert_ptr_null(fixtures_built(&fixtures, &a, "g", NULL, &fd, 1, false));
	fixture = fixtures_built(&fixtures, &a, "f", strdup("text"), &fd, 1, false);
	ck_assert_ptr_nonnull(fixture);
	ck_assert_ptr_eq(fixture_next(fixture), &b);
	ck_assert_ptr_null(b.waits_for);
	ck_assert_ptr_eq(fixture_next(fixture), &c);
	ck_assert_ptr_null(fixture_next(fixture));
	ck_assert_int_eq(ask(&b, "f", &error), FIXTURE_ASK_HERE);
	ck_assert_ptr_null(fixtures_built(&fixtures, &a, "f", NULL, &fd, 1, false));
	ck_assert_ptr_null(fixtures_leave(&fixtures, &a));
	/* The fd is closed with it: the case counts. */
}
END_TEST

START_TEST(fails_for_all)
{
	struct provium_error error;
	struct fixture *fixture;

	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&b, "f", &error), FIXTURE_ASK_WAIT);
	fixture = fixtures_built(&fixtures, &a, "f", strdup("why"), NULL, 0, true);
	ck_assert_ptr_eq(fixture_next(fixture), &b);
	ck_assert_int_eq(fixture->state, FIXTURE_FAILED);
	ck_assert_int_eq(ask(&c, "f", &error), FIXTURE_ASK_FAILED);
	ck_assert_str_eq(error.message, "why");
}
END_TEST

START_TEST(passes_on)
{
	struct provium_error error;
	struct fixture *fixture;

	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&a, "g", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&b, "f", &error), FIXTURE_ASK_WAIT);
	ck_assert_int_eq(ask(&c, "f", &error), FIXTURE_ASK_WAIT);
	fixture = fixtures_leave(&fixtures, &a);
	ck_assert_str_eq(fixture->path, "f");
	ck_assert_ptr_eq(fixture_next(fixture), &b);
	ck_assert_ptr_eq(fixture->builder, &b);
	ck_assert_int_eq(fixture->state, FIXTURE_BUILDING);
	fixture = fixtures_leave(&fixtures, &a);
	ck_assert_str_eq(fixture->path, "g");
	ck_assert_ptr_null(fixture_next(fixture));
	ck_assert_ptr_null(fixtures_leave(&fixtures, &a));
	/* Who waits leaves, too. */
	ck_assert_ptr_null(fixtures_leave(&fixtures, &c));
	ck_assert_int_eq(ask(&c, "g", &error), FIXTURE_ASK_BUILD);
	fixture = fixtures_leave(&fixtures, &b);
	ck_assert_ptr_null(fixture_next(fixture));
	ck_assert_int_eq(ask(&c, "f", &error), FIXTURE_ASK_BUILD);
}
END_TEST

START_TEST(cycles)
{
	struct provium_error error;

	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_FAILED);
	ck_assert_str_eq(error.message, "fixtures need each other: f needs f");
	ck_assert_int_eq(ask(&a, "g", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&a, "f", &error), FIXTURE_ASK_FAILED);
	ck_assert_str_eq(error.message, "fixtures need each other: f needs g needs f");
	ck_assert_int_eq(ask(&b, "h", &error), FIXTURE_ASK_BUILD);
	ck_assert_int_eq(ask(&c, "i", &error), FIXTURE_ASK_BUILD);
	/* No cycle: c builds i, which nobody waits for. */
	ck_assert_int_eq(ask(&c, "h", &error), FIXTURE_ASK_WAIT);
	ck_assert_int_eq(ask(&b, "f", &error), FIXTURE_ASK_WAIT);
	ck_assert_int_eq(ask(&a, "i", &error), FIXTURE_ASK_FAILED);
	ck_assert_str_eq(error.message,
			 "fixtures need each other: i needs h needs f needs g needs i");
	/* He does not wait, and may go on. */
	ck_assert_ptr_null(a.waits_for);
	ck_assert_int_eq(ask(&a, "j", &error), FIXTURE_ASK_BUILD);
}
END_TEST

START_TEST(limits)
{
	struct provium_error error;
	char path[32];

	for (unsigned int i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "f%u", i);
		ck_assert_int_eq(ask(&a, path, &error), FIXTURE_ASK_BUILD);
	}
	ck_assert_int_eq(ask(&a, "one more", &error), FIXTURE_ASK_FAILED);
	ck_assert_int_eq(error.code, PROVIUM_LIMIT);
	/* Names that are too many for the message. */
	ck_assert_int_eq(ask(&a, "f0", &error), FIXTURE_ASK_FAILED);
	ck_assert_int_lt(strlen(error.message), PROVIUM_MESSAGE_SIZE);
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-fixtures");
	TCase *tcase = unit_counted_case("fixtures");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, is_built_once);
	tcase_add_test(tcase, fails_for_all);
	tcase_add_test(tcase, passes_on);
	tcase_add_test(tcase, cycles);
	tcase_add_test(tcase, limits);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
