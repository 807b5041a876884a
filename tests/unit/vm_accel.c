/*
 * The KVM probe on whatever machine this is: a verdict within its time, a reason where it is no,
 * and nothing left behind. Whether the verdict is right, the tests in VMs see.
 */
#include "host/lib/accel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

START_TEST(test_verdict)
{
	char reason[256] = "";
	uint64_t before = monotonic_ns();
	bool runs = accel_probe_kvm(reason, sizeof(reason));

	ck_assert_uint_lt(monotonic_ns() - before, 5000000000u);
	ck_assert(runs || strlen(reason) > 0);
	/* A process that needs no device tells the same. */
	ck_assert(access("/dev/kvm", R_OK | W_OK) == 0 || !runs);
}
END_TEST

/* The probe's child is nobody else's. */
START_TEST(test_no_child_seen)
{
	char reason[256];

	signal(SIGCHLD, SIG_IGN);
	accel_probe_kvm(reason, sizeof(reason));
	signal(SIGCHLD, SIG_DFL);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
}
END_TEST

START_TEST(test_short_reason)
{
	char reason[8] = "";

	if (!accel_probe_kvm(reason, sizeof(reason)))
		ck_assert_uint_lt(strlen(reason), sizeof(reason));
}
END_TEST

START_TEST(test_factor)
{
	ck_assert_int_eq(accel_factor(PROVIUM_ACCEL_KVM), 1);
	ck_assert_int_eq(accel_factor(PROVIUM_ACCEL_TCG), 6);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-accel");
	TCase *tcase = unit_counted_case("accel");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_verdict);
	tcase_add_test(tcase, test_no_child_seen);
	tcase_add_test(tcase, test_short_reason);
	tcase_add_test(tcase, test_factor);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
