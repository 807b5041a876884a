/* STDIN, SIGNAL and RESIZE: the same for a command of this connection and for a job. */
#ifndef LIB_CONTROL_H
#define LIB_CONTROL_H

#include "host/lib/request.h"

/* The most rows and columns: struct winsize holds no more (ioctl_tty(2)). */
#define TERMINAL_MAX_SIZE 65535

/* The body of a STDIN; data live as long as it. */
void control_fill_stdin(Provium__V1__Stdin *body, Provium__V1__Target *target, const void *data,
			size_t size, bool eof);

/* Takes the reply to a STDIN of size bytes: for on_message of its request. */
enum request_verdict control_take_stdin(struct request *request,
					const Provium__V1__Message *message, size_t size);

/* subject: what the target is, for messages. */
int control_signal(struct provium_connection *connection, Provium__V1__Target *target,
		   const char *subject, int signal, bool group, const struct deadline *deadline,
		   struct provium_error *error);
int control_resize(struct provium_connection *connection, Provium__V1__Target *target,
		   const char *subject, unsigned int rows, unsigned int cols,
		   const struct deadline *deadline, struct provium_error *error);

#endif
