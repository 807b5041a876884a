/* CLOCK_GET, CLOCK_SET and RESEED, on a machine that is not this one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent_harness.h"
#include "agent_os.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* What the agent has called, in order, and what comes of it. */
static struct {
	long number;
	unsigned long request;
	struct timespec time;
	uint32_t pool[2 + PROVIUM_MAX_ENTROPY / 4];
} calls[4];
static unsigned int made;
static unsigned int failing;
static int failure;

static long machine(long number, long a, long b, long c)
{
	ck_assert_uint_lt(made, ARRAY_SIZE(calls));
	calls[made].number = number;
	calls[made].request = number == SYS_ioctl ? (unsigned long)b : (unsigned long)a;
	if (number == SYS_clock_settime)
		memcpy(&calls[made].time, (const void *)b, sizeof(struct timespec));
	if (number == SYS_ioctl && c)
		memcpy(calls[made].pool, (const void *)c, 8 + ((const uint32_t *)c)[1]);
	if (made++ != failing)
		return 0;
	errno = failure;
	return -1;
}

static void start(void)
{
	made = 0;
	failing = ARRAY_SIZE(calls);
	os_pretend_machine(machine);
	agent_start_connected();
}

/* A machine without devices. */
static void start_empty(void)
{
	agent_config.dev_fd = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(agent_config.dev_fd, 0);
	start();
}

static void stop_empty(void)
{
	int fd = agent_config.dev_fd;

	agent_stop_connected();
	close(fd);
}

static uint32_t send_clock_set(bool has, int64_t ns)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ClockSet body = PROVIUM__V1__CLOCK_SET__INIT;

	body.has_realtime_ns = has;
	body.realtime_ns = ns;
	message.body_case = BODY(CLOCK_SET);
	message.clock_set = &body;
	return client_send(&client, &message);
}

static uint32_t send_reseed(const void *entropy, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Reseed body = PROVIUM__V1__RESEED__INIT;

	body.has_entropy = entropy != NULL;
	body.entropy = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)entropy };
	message.body_case = BODY(RESEED);
	message.reseed = &body;
	return client_send(&client, &message);
}

START_TEST(get)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ClockGet body = PROVIUM__V1__CLOCK_GET__INIT;
	const uint64_t before[] = { clock_ns(CLOCK_REALTIME), monotonic_ns(),
				    clock_ns(CLOCK_BOOTTIME) };
	const Provium__V1__ClockResult *result;

	message.body_case = BODY(CLOCK_GET);
	message.clock_get = &body;
	client_send(&client, &message);
	result = client_expect(&client, BODY(CLOCK_RESULT))->clock_result;
	ck_assert_uint_ge((uint64_t)result->realtime_ns, before[0]);
	ck_assert_uint_le((uint64_t)result->realtime_ns, clock_ns(CLOCK_REALTIME));
	ck_assert_uint_ge(result->monotonic_ns, before[1]);
	ck_assert_uint_le(result->monotonic_ns, monotonic_ns());
	ck_assert_uint_ge(result->boottime_ns, before[2]);
	ck_assert_uint_le(result->boottime_ns, clock_ns(CLOCK_BOOTTIME));
	ck_assert_uint_eq(made, 0);
}
END_TEST

START_TEST(set)
{
	client_expect_ok(&client, send_clock_set(true, 1234567890123456789));
	ck_assert_uint_eq(made, 1);
	ck_assert_int_eq(calls[0].number, SYS_clock_settime);
	ck_assert_uint_eq(calls[0].request, CLOCK_REALTIME);
	ck_assert_int_eq(calls[0].time.tv_sec, 1234567890);
	ck_assert_int_eq(calls[0].time.tv_nsec, 123456789);
	client_expect_ok(&client, send_clock_set(true, 0));
	ck_assert_int_eq(calls[1].time.tv_sec, 0);
	client_expect_ok(&client, send_clock_set(true, INT64_MAX));
	ck_assert_int_eq(calls[2].time.tv_sec, 9223372036);
	ck_assert_int_eq(calls[2].time.tv_nsec, 854775807);

	failing = 3;
	failure = EPERM;
	client_expect_os_error(&client, send_clock_set(true, 1), EPERM, "CLOCK_SET");
	client_expect_error(&client, send_clock_set(false, 0), CODE(INVALID), "realtime_ns");
	client_expect_error(&client, send_clock_set(true, -1), CODE(INVALID), "realtime_ns");
	client_expect_error(&client, send_clock_set(true, INT64_MIN), CODE(INVALID), "realtime_ns");
	ck_assert_uint_eq(made, 4);
}
END_TEST

START_TEST(reseed)
{
	uint8_t entropy[PROVIUM_MAX_ENTROPY + 1];

	for (size_t i = 0; i < sizeof(entropy); i++)
		entropy[i] = (uint8_t)(i * 7 + 1);
	client_expect_ok(&client, send_reseed(entropy, PROVIUM_MAX_ENTROPY));
	ck_assert_uint_eq(made, 2);
	ck_assert_int_eq(calls[0].number, SYS_ioctl);
	ck_assert_uint_eq(calls[0].request, RNDADDENTROPY);
	ck_assert_uint_eq(calls[0].pool[0], (uint64_t)PROVIUM_MAX_ENTROPY * 8);
	ck_assert_uint_eq(calls[0].pool[1], PROVIUM_MAX_ENTROPY);
	ck_assert_mem_eq(calls[0].pool + 2, entropy, PROVIUM_MAX_ENTROPY);
	ck_assert_uint_eq(calls[1].request, RNDRESEEDCRNG);
	client_expect_ok(&client, send_reseed(entropy, 1));
	ck_assert_uint_eq(calls[2].pool[0], 8);
	ck_assert_uint_eq(calls[2].pool[1], 1);
	ck_assert_uint_eq(made, 4);

	client_expect_error(&client, send_reseed(NULL, 0), CODE(INVALID), "entropy");
	client_expect_error(&client, send_reseed("", 0), CODE(INVALID), "entropy");
	client_expect_error(&client, send_reseed(entropy, sizeof(entropy)), CODE(LIMIT), "entropy");
	ck_assert_uint_eq(made, 4);
}
END_TEST

START_TEST(reseed_fails)
{
	failing = 0;
	failure = EPERM;
	client_expect_os_error(&client, send_reseed("abcd", 4), EPERM, "RESEED");
	ck_assert_uint_eq(made, 1);
	failing = 2;
	failure = ENODATA;
	client_expect_os_error(&client, send_reseed("abcd", 4), ENODATA, "RESEED");
	ck_assert_uint_eq(made, 3);
	client_ping(&client);
}
END_TEST

START_TEST(no_device)
{
	client_expect_os_error(&client, send_reseed("abcd", 4), ENOENT, "urandom");
	ck_assert_uint_eq(made, 0);
	client_ping(&client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: clock and random numbers");
	TCase *tcase = unit_counted_case("connected");
	TCase *empty = unit_counted_case("without devices");

	tcase_add_checked_fixture(tcase, start, agent_stop_connected);
	tcase_add_test(tcase, get);
	tcase_add_test(tcase, set);
	tcase_add_test(tcase, reseed);
	tcase_add_test(tcase, reseed_fails);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(empty, start_empty, stop_empty);
	tcase_add_test(empty, no_device);
	suite_add_tcase(suite, empty);
	return unit_run(suite);
}
