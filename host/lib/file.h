/*
 * Files of the guest, for the calls that are made of several requests: by a deadline instead of a
 * timeout, and begun without being waited for.
 */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include <string.h>

#include "host/lib/request.h"

/* The file that a request is about: a path, or a descriptor of the agent's. */
struct file_target {
	bool has_path;
	ProtobufCBinaryData path;
	bool has_fd;
	int32_t fd;
	/* For messages: the path, or text. */
	const char *subject;
	char text[16];
};

/* Either path (not NULL) or, with has_fd, fd. target must live as long as what is made of it. */
int file_target(struct file_target *target, const char *path, bool has_fd, int fd,
		struct provium_error *error);

/* READ_FILE under way. */
struct file_reading {
	struct request request;
	struct file_target target;
	provium_sink_fn sink;
	provium_hole_fn on_hole;
	void *user;
	/* Of what comes next; only an fd's own position is not known before the first. */
	bool offset_known;
	uint64_t offset;
	/* Bytes that may still come; UINT64_MAX: as many as there are. */
	uint64_t left;
	uint64_t received;
};

/* reading->request.error is set by the caller; options may be NULL. */
int file_read_start(struct provium_connection *connection, struct file_reading *reading,
		    const char *path, const struct provium_read_options *options,
		    provium_sink_fn sink, void *user, struct provium_error *error);

/* WRITE_FILE under way. */
struct file_writing {
	struct request request;
	struct file_target target;
	/* Bytes of data, and of how many WRITE_ACK has told. */
	uint64_t sent;
	uint64_t written;
	bool last_sent;
};

/* What one WRITE_DATA carries: a hole, then data, and perhaps the end. */
struct file_piece {
	uint64_t hole;
	const uint8_t *data;
	size_t size;
	bool last;
};

/* writing->request.error is set by the caller; options may be NULL. */
int file_write_start(struct provium_connection *connection, struct file_writing *writing,
		     const char *path, const struct provium_write_options *options,
		     struct provium_error *error);

/* The caller sees to the window: see file_writing_unwritten(). */
int file_write_send(struct file_writing *writing, const struct file_piece *piece,
		    struct provium_error *error);

/* Bytes that were sent and that WRITE_ACK has not told of. */
static inline uint64_t file_writing_unwritten(const struct file_writing *writing)
{
	return writing->request.state == REQUEST_IN_FLIGHT ? writing->sent - writing->written : 0;
}

/* STAT_RESULT to *status. */
void file_status_take(const Provium__V1__StatResult *result, struct provium_file_status *status);

int file_status(struct provium_connection *connection, const char *path, bool follow,
		const struct deadline *deadline, struct provium_file_status *status,
		struct provium_error *error);

/* As provium_list_dir. */
int file_list_dir(struct provium_connection *connection, const char *path,
		  provium_dir_entry_fn callback, void *user, const struct deadline *deadline,
		  struct provium_error *error);

/* As provium_readlink. */
int file_readlink(struct provium_connection *connection, const char *path,
		  const struct deadline *deadline, char **target, struct provium_error *error);

/* What a link says, out of READLINK_RESULT: for free(3). NULL: it broke the protocol, or memory. */
char *file_link_take(struct request *request, const Provium__V1__ReadlinkResult *result);

#endif
