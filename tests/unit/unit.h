/*
 * What every unit test program is made of: it builds one Suite of Check's and hands it to unit_run.
 *
 * Each test runs in a process of its own (Check forks), under the sanitizers in ./check.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/* Runs the suite, which it owns, with TAP on standard output. Returns main's exit status. */
int unit_run(Suite *suite);

/*
 * The same in this process, and without a time limit: Check counts microseconds in an int, and
 * takes a test that it has forked for failed when it has run for 35 minutes.
 */
int unit_run_long(Suite *suite);

/*
 * The test that calls it is told as skipped, with this reason, where it does not fail. It has to
 * return by itself.
 */
__attribute__((format(printf, 1, 2))) void unit_skip(const char *format, ...);

/* False: the test is told as skipped, since what it does is root's. */
bool unit_is_root(void);

/*
 * A test case whose tests fail where one leaves an fd, a thread or a child behind that was not
 * there before it.
 */
TCase *unit_counted_case(const char *name);

/* What unit_counted_case compares. */
struct unit_count {
	unsigned int fds;
	unsigned int threads;
	unsigned int children;
};

void unit_count(struct unit_count *count);

/* True where they are equal; otherwise text says what differs. */
bool unit_count_equal(const struct unit_count *before, const struct unit_count *after, char *text,
		      size_t size);

#endif
