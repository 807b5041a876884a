/*
 * CLOCK_GET, CLOCK_SET, RESEED: what a guest has to be told when it goes on where it was saved.
 *
 * Two guests of one state have one random number generator in common, which the kernel reseeds from
 * what it gathers itself after a minute at the earliest. It is given the host's entropy, and told
 * to reseed at once. It counts as entropy, so that a guest that was saved before it had enough has
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <time.h>

#include "agent/loop.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"

void op_clock_get(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ClockResult result = PROVIUM__V1__CLOCK_RESULT__INIT;

	(void)request;
	result.realtime_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	result.monotonic_ns = monotonic_ns();
	result.boottime_ns = clock_ns(CLOCK_BOOTTIME);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_RESULT;
	message.clock_result = &result;
	reply_send(session, id, &message);
}

void op_clock_set(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const int64_t ns = message->clock_set->realtime_ns;
	const struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	if (os_call(SYS_clock_settime, CLOCK_REALTIME, (long)&time, 0, 0, 0) < 0)
		reply_os_error(session, id, "clock_settime", errno, "CLOCK_SET");
	else
		reply_ok(session, id);
}

void op_reseed(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const ProtobufCBinaryData *entropy = &message->reseed->entropy;
	cleanup_close int fd = loop_open_dev(session->loop, "urandom", O_RDONLY);
	/* A struct rand_pool_info: bits, bytes, and what they are. */
	uint32_t pool[2 + PROVIUM_MAX_ENTROPY / 4];
	const char *failed = fd < 0 ? "open" : NULL;

	pool[0] = (uint32_t)entropy->len * 8;
	pool[1] = (uint32_t)entropy->len;
	memcpy(pool + 2, entropy->data, entropy->len);
	if (!failed && os_call(SYS_ioctl, fd, RNDADDENTROPY, (long)pool, 0, 0) < 0)
		failed = "RNDADDENTROPY";
	if (!failed && os_call(SYS_ioctl, fd, RNDRESEEDCRNG, 0, 0, 0) < 0)
		failed = "RNDRESEEDCRNG";
	if (failed)
		reply_os_error(session, id, failed, errno, "RESEED: /dev/urandom");
	else
		reply_ok(session, id);
}
