/* What the agent sends: encoding into a connection's queue. */
#ifndef AGENT_REPLY_H
#define AGENT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/buffer.h"
#include "proto/codec.h"

struct session;

/* Short names for ErrorCode of the schema. */
enum error_code {
	ERROR_INVALID = PROVIUM__V1__ERROR_CODE__ERROR_INVALID,
	ERROR_UNKNOWN_MESSAGE = PROVIUM__V1__ERROR_CODE__ERROR_UNKNOWN_MESSAGE,
	ERROR_OS = PROVIUM__V1__ERROR_CODE__ERROR_OS,
	ERROR_NOT_FOUND = PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND,
	ERROR_LIMIT = PROVIUM__V1__ERROR_CODE__ERROR_LIMIT,
	ERROR_BUSY = PROVIUM__V1__ERROR_CODE__ERROR_BUSY,
	ERROR_CANCELLED = PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED,
	ERROR_AUTH = PROVIUM__V1__ERROR_CODE__ERROR_AUTH,
	ERROR_UNSUPPORTED = PROVIUM__V1__ERROR_CODE__ERROR_UNSUPPORTED,
};

/* Queues the message with this id. False: its connection has ended, or there was no memory. */
bool reply_send(struct session *session, uint32_t id, Provium__V1__Message *message);

void reply_ready(struct session *session, uint32_t id);
void reply_ok(struct session *session, uint32_t id);
void reply_ok_bytes(struct session *session, uint32_t id, uint64_t bytes);

/*
 * operation: what failed, or NULL. os_errno: with ERROR_OS, else 0. The text says for a person what
 * was wrong; bytes in it that are not UTF-8, and control characters, become '?'.
 */
void reply_error(struct session *session, uint32_t id, enum error_code code, const char *operation,
		 int os_errno, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* ERROR_OS; the text is the subject's, followed by what the errno means. */
void reply_os_error(struct session *session, uint32_t id, const char *operation, int os_errno,
		    const char *subject, ...) __attribute__((format(printf, 5, 6)));

/*
 * OUTPUT and FILE_DATA: size bytes have been put at data + BULK_GAP of a buffer from the pool. Both
 * take the buffer over.
 */
void reply_output(struct session *session, uint32_t id, int stream, uint64_t offset,
		  struct buffer *buffer, size_t size);
void reply_file_data(struct session *session, uint32_t id, uint64_t offset, struct buffer *buffer,
		     size_t size);

#endif
