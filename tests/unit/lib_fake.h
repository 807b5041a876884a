/*
 * An agent that does what a test's script says, right or wrong, in a process of its own at the
 * other end of a socketpair. A script that expects something else than it gets says so on standard
 * error and exits with 1, and fake_finish fails the test.
 */
#ifndef TESTS_LIB_FAKE_H
#define TESTS_LIB_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/include/provium.h"
#include "proto/codec.h"
#include "proto/frame.h"

struct fake;
typedef void (*fake_script)(struct fake *fake);

/* Zeroed: an agent without faults. Set up before fake_start. */
struct fake {
	/* The script's. */
	int number;
	const void *data;
	/* So many bytes are sent, then the connection is closed and the script ends. 0: all. */
	size_t cut_after;
	/* The byte there, counted from 1, is sent with all its bits flipped. 0: none. */
	size_t flip_at;
	/* Replies that the script expects may fail to come: it ends then, and that is no failure.
	 */
	bool lenient;
	/* Memory shared with the agent's process (mmap(2)), where a script that sees the end of the
	 * connection puts how many bytes it has sent. NULL: none.
	 */
	size_t *total;

	/* Of the agent's process. */
	int fd;
	size_t sent;
	struct frame_reader reader;
	struct decoder decoder;
	/* The id of the message that fake_expect returned last. */
	uint32_t id;

	pid_t pid;
};

/* Starts the script and returns the host's end. */
int fake_start(struct fake *fake, fake_script script);

/* As fake_start, and connects; the script begins with READY (fake_ready). */
struct provium_connection *fake_connect(struct fake *fake, fake_script script);

/* Waits for the end of the script, which must have come to its end without a complaint. */
void fake_finish(struct fake *fake);

/* For a script that ends only by being killed. */
void fake_kill(struct fake *fake);

/* What the calls of a test fill in. */
extern struct provium_error error;

/* error must have this code and hold this text. */
void check_error(enum provium_code code, const char *text);

#define check_ok(call)                                                \
	do {                                                          \
		if ((call) < 0)                                       \
			ck_abort_msg("%s: %s", #call, error.message); \
	} while (0)

/* ------------------------------------------------------------------------------------------- */
/* For scripts */

/* A READY in order; its strings are static. Change what you like and send it. */
void fake_ready_message(Provium__V1__Message *message, Provium__V1__Ready *ready);

void fake_ready(struct fake *fake);
void fake_send(struct fake *fake, const Provium__V1__Message *message);
void fake_send_bytes(struct fake *fake, const void *data, size_t size);

/* The next message, which must be of this kind; valid until the next call. */
const Provium__V1__Message *fake_expect(struct fake *fake, Provium__V1__Message__BodyCase kind);

/* The next message of any kind; NULL at the end of the connection. */
const Provium__V1__Message *fake_receive(struct fake *fake);

/* The host must close its end, with nothing sent before. */
void fake_expect_end(struct fake *fake);

/* Final and stream replies; id 0: that of the last message received. */
void fake_ok(struct fake *fake, uint32_t id, int64_t bytes);
void fake_error(struct fake *fake, uint32_t id, Provium__V1__ErrorCode code, int os_errno,
		const char *name, const char *operation, const char *text);
void fake_output(struct fake *fake, uint32_t id, Provium__V1__Stream stream, uint64_t offset,
		 const void *data, size_t size);
void fake_result(struct fake *fake, uint32_t id, uint32_t exit_code, uint64_t stdout_bytes,
		 uint64_t stderr_bytes);
void fake_data(struct fake *fake, uint32_t id, uint64_t offset, const void *data, size_t size);
void fake_ack(struct fake *fake, uint32_t id, uint64_t bytes);
void fake_pong(struct fake *fake, uint32_t id);
void fake_job_started(struct fake *fake, uint32_t id, uint64_t job, int pid);
/* result NULL: it still runs. */
void fake_job_result(struct fake *fake, uint32_t id, uint64_t job, Provium__V1__ExecResult *result,
		     uint64_t stdout_dropped);

/* An ExecResult in order; rusage is filled too, and belongs to it. */
void fake_result_init(Provium__V1__ExecResult *result, Provium__V1__Rusage *rusage,
		      uint32_t exit_code, uint64_t stdout_bytes, uint64_t stderr_bytes);

/* Fails the script. */
#define fake_check(fake, condition)                                                       \
	do {                                                                              \
		if (!(condition))                                                         \
			fake_complain(fake, "%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)

void fake_complain(struct fake *fake, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

#endif
