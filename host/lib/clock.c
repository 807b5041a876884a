/* CLOCK_GET, CLOCK_SET, RESEED. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "host/lib/request.h"
#include "proto/limits.h"

/* More than a generator's key, in which entropy of less than that could get lost. */
#define OWN_ENTROPY 64

_Static_assert(PROVIUM_ENTROPY_SIZE == PROVIUM_MAX_ENTROPY, "the protocol's limit");

struct clock_request {
	struct request request;
	struct provium_clock *clock;
};

static enum request_verdict take_clock(struct request *request, const Provium__V1__Message *message)
{
	const Provium__V1__ClockResult *result = message->clock_result;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_CLOCK_RESULT)
		return request_unexpected(request, message);
	*container_of(request, struct clock_request, request)->clock = (struct provium_clock){
		.realtime_ns = result->realtime_ns,
		.monotonic_ns = result->monotonic_ns,
		.boottime_ns = result->boottime_ns,
	};
	return REQUEST_FINAL;
}

int provium_clock_get(struct provium_connection *connection, int timeout_ms,
		      struct provium_clock *clock, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct clock_request request = {
		.request = { .what = "get the clock", .on_message = take_clock },
		.clock = clock,
	};
	Provium__V1__ClockGet body = PROVIUM__V1__CLOCK_GET__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_GET;
	message.clock_get = &body;
	return request_call(connection, &request.request, &message, &deadline, error);
}

int provium_clock_set(struct provium_connection *connection, int64_t realtime_ns, int timeout_ms,
		      struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "set the clock", .on_message = request_take_ok };
	Provium__V1__ClockSet body = PROVIUM__V1__CLOCK_SET__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (realtime_ns < 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "set the clock: %" PRId64 " ns are before 1970", realtime_ns);
	body.has_realtime_ns = true;
	body.realtime_ns = realtime_ns;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_SET;
	message.clock_set = &body;
	return request_call(connection, &request, &message, &deadline, error);
}

int provium_reseed(struct provium_connection *connection, const void *entropy, size_t size,
		   int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "reseed", .on_message = request_take_ok };
	Provium__V1__Reseed body = PROVIUM__V1__RESEED__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	uint8_t own[OWN_ENTROPY];
	int result;

	if (!entropy) {
		size = sizeof(own);
		if (getrandom(own, size, 0) != (ssize_t)size)
			return error_set(error, PROVIUM_HOST, errno, "reseed: getrandom");
		entropy = own;
	}
	if (size == 0 || size > PROVIUM_ENTROPY_SIZE)
		return error_set(error, PROVIUM_INVALID, 0, "reseed: %zu bytes; from 1 to %d", size,
				 PROVIUM_ENTROPY_SIZE);
	body.has_entropy = true;
	body.entropy = (ProtobufCBinaryData){ .len = size, .data = (uint8_t *)entropy };
	message.body_case = PROVIUM__V1__MESSAGE__BODY_RESEED;
	message.reseed = &body;
	result = request_call(connection, &request, &message, &deadline, error);
	explicit_bzero(own, sizeof(own));
	return result;
}
