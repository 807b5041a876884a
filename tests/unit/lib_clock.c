/* provium_clock_get, provium_clock_set and provium_reseed, with an agent that plays along or not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib_fake.h"
#include "unit.h"

#define SOON 10000

static struct fake fake;
static struct provium_connection *connection;

static void start(fake_script script)
{
	fake = (struct fake){ 0 };
	connection = fake_connect(&fake, script);
}

static void finish(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static void tell_clock(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ClockResult result = PROVIUM__V1__CLOCK_RESULT__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CLOCK_GET);
	result.realtime_ns = -5;
	result.monotonic_ns = UINT64_MAX;
	result.boottime_ns = 7;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_RESULT;
	message.clock_result = &result;
	fake_send(agent, &message);
	/* Of another kind. */
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CLOCK_GET);
	fake_ok(agent, agent->id, -1);
	fake_expect_end(agent);
}

START_TEST(test_get)
{
	struct provium_clock clock;

	start(tell_clock);
	check_ok(provium_clock_get(connection, SOON, &clock, &error));
	ck_assert_int_eq(clock.realtime_ns, -5);
	ck_assert_uint_eq(clock.monotonic_ns, UINT64_MAX);
	ck_assert_uint_eq(clock.boottime_ns, 7);
	ck_assert_int_eq(provium_clock_get(connection, SOON, &clock, &error), -1);
	check_error(PROVIUM_PROTOCOL, "");
	finish();
}
END_TEST

static void take_clock(struct fake *agent)
{
	const Provium__V1__Message *message;

	fake_ready(agent);
	message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CLOCK_SET);
	fake_check(agent, message->clock_set->realtime_ns == INT64_MAX);
	fake_ok(agent, agent->id, -1);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CLOCK_SET);
	fake_error(agent, agent->id, PROVIUM__V1__ERROR_CODE__ERROR_OS, EINVAL, "EINVAL",
		   "clock_settime", "CLOCK_SET: Invalid argument");
	fake_expect_end(agent);
}

START_TEST(test_set)
{
	start(take_clock);
	check_ok(provium_clock_set(connection, INT64_MAX, SOON, &error));
	ck_assert_int_eq(provium_clock_set(connection, 0, SOON, &error), -1);
	check_error(PROVIUM_GUEST, "CLOCK_SET: Invalid argument");
	ck_assert_int_eq(error.os_errno, EINVAL);
	ck_assert_str_eq(error.operation, "clock_settime");
	ck_assert_int_eq(provium_clock_set(connection, -1, SOON, &error), -1);
	check_error(PROVIUM_INVALID, "before 1970");
	finish();
}
END_TEST

static void take_entropy(struct fake *agent)
{
	const Provium__V1__Message *message;
	uint8_t before[64];

	fake_ready(agent);
	for (size_t size = 1; size <= PROVIUM_ENTROPY_SIZE; size += PROVIUM_ENTROPY_SIZE - 1) {
		message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESEED);
		fake_check(agent, message->reseed->entropy.len == size);
		for (size_t i = 0; i < size; i++)
			fake_check(agent, message->reseed->entropy.data[i] == 'e');
		fake_ok(agent, agent->id, -1);
	}
	/* The library's own is another each time. */
	memset(before, 0, sizeof(before));
	for (int i = 0; i < 2; i++) {
		message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESEED);
		fake_check(agent, message->reseed->entropy.len == sizeof(before));
		fake_check(agent,
			   memcmp(message->reseed->entropy.data, before, sizeof(before)) != 0);
		memcpy(before, message->reseed->entropy.data, sizeof(before));
		fake_ok(agent, agent->id, -1);
	}
	fake_expect_end(agent);
}

START_TEST(test_reseed)
{
	uint8_t entropy[PROVIUM_ENTROPY_SIZE + 1];

	memset(entropy, 'e', sizeof(entropy));
	start(take_entropy);
	check_ok(provium_reseed(connection, entropy, 1, SOON, &error));
	check_ok(provium_reseed(connection, entropy, PROVIUM_ENTROPY_SIZE, SOON, &error));
	ck_assert_int_eq(provium_reseed(connection, entropy, 0, SOON, &error), -1);
	check_error(PROVIUM_INVALID, "reseed: 0 bytes");
	ck_assert_int_eq(provium_reseed(connection, entropy, sizeof(entropy), SOON, &error), -1);
	check_error(PROVIUM_INVALID, "reseed: 513 bytes");
	check_ok(provium_reseed(connection, NULL, 0, SOON, &error));
	check_ok(provium_reseed(connection, NULL, 99999, SOON, &error));
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-clock");
	TCase *tcase = unit_counted_case("clock");

	tcase_add_test(tcase, test_get);
	tcase_add_test(tcase, test_set);
	tcase_add_test(tcase, test_reseed);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
