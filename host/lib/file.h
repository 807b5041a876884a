/* Files of the guest, by a deadline instead of a timeout: copy.c makes one call of several. */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include "host/lib/connection.h"

int file_read(struct provium_connection *connection, const char *path,
	      const struct provium_read_options *options, provium_sink_fn sink, void *user,
	      const struct deadline *deadline, uint64_t *bytes, struct provium_error *error);

int file_write(struct provium_connection *connection, const char *path,
	       const struct provium_write_options *options, provium_source_fn source, void *user,
	       const struct deadline *deadline, uint64_t *bytes, struct provium_error *error);

struct file_status {
	/* As st_mode (inode(7)). */
	uint32_t mode;
	uint64_t size;
};

/* Follows symbolic links. Only where connection_serves() the STAT. */
int file_status(struct provium_connection *connection, const char *path,
		const struct deadline *deadline, struct file_status *status,
		struct provium_error *error);

#endif
