/* What the commands of the family "file" have in common. */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include "host/cli/session/connect.h"
#include "host/cli/session/output.h"

/* What a command does, once there is a connection. */
struct file_call {
	struct provium_connection *connection;
	/* The command's options struct, and its operands. */
	const void *options;
	char **operands;
	struct output output;
	/* What was written has no reader: output_failure(). */
	bool broken_pipe;
};

typedef int (*file_act_fn)(struct file_call *call, struct provium_error *error);

/*
 * Connects, acts, and ends as command_end() does. options: a struct that begins with a struct
 * connect_options.
 */
int file_run(const void *options, char **operands, file_act_fn act, struct provium_error *error);

/* As printf(3), by output_write(). -1: see output_failure(). */
int file_print(struct file_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Fails with what became of standard output, where that is why rc is not 0. Returns rc. */
int file_output_ended(struct file_call *call, int rc, struct provium_error *error);

/* Octal digits, at most 7777. */
int file_parse_mode(const char *text, unsigned int *mode, struct provium_error *error);

/* UID, UID:GID or :GID; what is not given is (uint32_t)-1. */
int file_parse_owner(const char *text, uint32_t *uid, uint32_t *gid, struct provium_error *error);

/* Decimal digits alone. */
int file_parse_offset(const char *text, uint64_t *offset, struct provium_error *error);

/* Parsers of option values (options.h). struct file_mode; struct file_owner; uint64_t. */
struct file_mode {
	bool given;
	unsigned int mode;
};

struct file_owner {
	bool given;
	uint32_t uid;
	uint32_t gid;
};

int parse_mode(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);
int parse_owner(const struct option_spec *spec, char *value, void *field,
		struct provium_error *error);
int parse_offset(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

#endif
