/*
 * Parsers of option values, for the tables of options.h; each names the type of its field. They are
 * strict: what is not wholly understood is refused, with what was expected.
 */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "host/cli/options.h"

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

#endif
