/* vhost-user messages on their socket: bytes and fds, without meaning. Nothing here blocks. */
#ifndef VSOCK_MESSAGE_H
#define VSOCK_MESSAGE_H

#include <stddef.h>

#include "host/vsock/reason.h"
#include "host/vsock/vhost_user.h"

struct message_reader {
	struct vhost_user_message message;
	size_t received; /* bytes of header and payload */
};

void message_reader_init(struct message_reader *reader);

/* Closes fds that came with a message that was not finished. */
void message_reader_finish(struct message_reader *reader);

/*
 * Reads towards the next message: 1 when reader->message is whole, which then is the caller's until
 * message_reader_next(); 0 when more has to come; -ENOTCONN when the other side has closed between
 * messages; another negative errno with a reason.
 */
int message_read(struct message_reader *reader, int fd, struct reason *reason);

/* Gets ready for the next message. The last one's fds must have been closed or taken. */
void message_reader_next(struct message_reader *reader);

/* Sends a message without fds: 0, or a negative errno with a reason, also when it cannot at once.
 */
int message_send(int fd, const struct vhost_user_message *message, struct reason *reason);

#endif
