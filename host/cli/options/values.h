/*
 * Parsers of option values, for the tables of options.h; each names the type of its field. They are
 * strict: what is not wholly understood is refused, with what was expected.
 */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "host/cli/options/options.h"

/* Lists grow as options are repeated. items comes first: options_finish relies on it. */
struct string_list {
	/* NULL-terminated; NULL where there are none. */
	const char **items;
	size_t count;
};

struct file_list {
	struct provium_file *items;
	size_t count;
};

struct disk_list {
	struct provium_disk *items;
	size_t count;
};

struct rlimit_list {
	struct provium_rlimit *items;
	size_t count;
};

struct id_list {
	uint32_t *items;
	size_t count;
};

struct user {
	bool has_uid;
	bool has_gid;
	uint32_t uid;
	uint32_t gid;
};

/* bool: an option without a value. */
int parse_flag(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* const char *: not empty. */
int parse_string(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

/* struct string_list: each not empty. */
int parse_strings(const struct option_spec *spec, char *value, void *field,
		  struct provium_error *error);

/* unsigned int: the index in the row's choices. */
int parse_choice(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

/* unsigned int: 1 to 65535. */
int parse_count(const struct option_spec *spec, char *value, void *field,
		struct provium_error *error);

/* uint64_t: decimal digits. */
int parse_whole_number(const struct option_spec *spec, char *value, void *field,
		       struct provium_error *error);

/* uint64_t, bytes: digits and perhaps K, M, G or T (powers of 1024), not 0. */
int parse_size(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* uint64_t, milliseconds: decimal seconds, "0.5"; more than 0, at most 2^31 - 1 milliseconds. */
int parse_seconds(const struct option_spec *spec, char *value, void *field,
		  struct provium_error *error);

/* struct string_list: NAME=VALUE. */
int parse_environment(const struct option_spec *spec, char *value, void *field,
		      struct provium_error *error);

/* struct file_list: GUEST=HOST, GUEST absolute and without '='. */
int parse_file(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* struct disk_list: FILE or FILE,ro. */
int parse_disk(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* struct user: UID or UID:GID, each below 2^32 - 1. */
int parse_user(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* struct id_list: GID or GID,GID and so on, each below 2^32 - 1. */
int parse_groups(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

/* int: -20 to 19. */
int parse_nice(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error);

/* struct rlimit_list: NAME=SOFT or NAME=SOFT:HARD; each a size that may be 0, or "unlimited". */
int parse_rlimit(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

/* unsigned int: a number from 1 to 64, or a name with or without SIG before it. */
int parse_signal(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error);

#endif
