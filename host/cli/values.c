#include "host/cli/values.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/cli/report.h"

int parse_flag(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	(void)spec;
	(void)value;
	(void)error;
	*(bool *)field = true;
	return 0;
}

int parse_string(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	if (!*value)
		return cli_fail(error, PROVIUM_INVALID, "%s is empty", spec->value);
	*(const char **)field = value;
	return 0;
}

/* Makes room for count + 1 items and one cleared behind them. NULL and an error without memory. */
static void *list_grow(void *items, size_t count, size_t item_size, struct provium_error *error)
{
	char *grown = reallocarray(items, count + 2, item_size);

	if (!grown) {
		cli_fail_errno(error, "option");
		return NULL;
	}
	memset(grown + count * item_size, 0, 2 * item_size);
	return grown;
}

int parse_strings(const struct option_spec *spec, char *value, void *field,
		  struct provium_error *error)
{
	struct string_list *list = field;
	const char **items;

	if (!*value)
		return cli_fail(error, PROVIUM_INVALID, "%s is empty", spec->value);
	items = list_grow(list->items, list->count, sizeof(*items), error);
	if (!items)
		return -1;
	items[list->count++] = value;
	list->items = items;
	return 0;
}

int parse_choice(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	for (unsigned int i = 0; spec->choices[i]; i++) {
		if (strcmp(spec->choices[i], value) == 0) {
			*(unsigned int *)field = i;
			return 0;
		}
	}
	return cli_fail(error, PROVIUM_INVALID, "'%s' is none of %s", value, spec->value);
}

/*
 * Decimal digits alone: strtoull(3) would take blanks, signs and, at base 0, octal. *end is behind
 * them. -1 without digits or where the number is too large.
 */
static int parse_digits(const char *text, const char **end, uint64_t *number)
{
	const char *c;

	*number = 0;
	for (c = text; *c >= '0' && *c <= '9'; c++) {
		if (__builtin_mul_overflow(*number, 10u, number) ||
		    __builtin_add_overflow(*number, (unsigned int)(*c - '0'), number))
			return -1;
	}
	*end = c;
	return c == text ? -1 : 0;
}

int parse_count(const struct option_spec *spec, char *value, void *field,
		struct provium_error *error)
{
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_digits(value, &end, &number) < 0 || *end || number == 0 || number > 65535)
		return cli_fail(error, PROVIUM_INVALID, "'%s' is no number from 1 to 65535", value);
	*(unsigned int *)field = (unsigned int)number;
	return 0;
}

int parse_size(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_digits(value, &end, &number) < 0)
		goto bad;
	if (*end) {
		suffix = strchr(suffixes, *end & ~0x20);
		if (!suffix || !*suffix || end[1])
			goto bad;
		if (__builtin_mul_overflow(number, UINT64_C(1) << (10 * (suffix - suffixes + 1)),
					   &number))
			goto bad;
	}
	if (number == 0)
		goto bad;
	*(uint64_t *)field = number;
	return 0;
bad:
	return cli_fail(error, PROVIUM_INVALID,
			"'%s' is no size: a number of bytes, or with K, M, G or T behind it",
			value);
}

int parse_seconds(const struct option_spec *spec, char *value, void *field,
		  struct provium_error *error)
{
	const char *end;
	uint64_t milliseconds;

	(void)spec;
	if (parse_digits(value, &end, &milliseconds) < 0 || milliseconds > INT_MAX / 1000)
		goto bad;
	milliseconds *= 1000;
	if (*end == '.') {
		uint64_t unit = 100;

		if (!end[1])
			goto bad;
		/* Digits below a millisecond are checked and dropped. */
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			milliseconds += (uint64_t)(*end - '0') * unit;
	}
	if (*end || milliseconds == 0 || milliseconds > INT_MAX)
		goto bad;
	*(uint64_t *)field = milliseconds;
	return 0;
bad:
	return cli_fail(error, PROVIUM_INVALID,
			"'%s' is no time: seconds, 0.001 to 2147483.647, as in 30 or 0.5", value);
}

int parse_environment(const struct option_spec *spec, char *value, void *field,
		      struct provium_error *error)
{
	const char *equals = strchr(value, '=');

	if (!equals || equals == value)
		return cli_fail(error, PROVIUM_INVALID, "'%s' is not of the form NAME=VALUE",
				value);
	return parse_strings(spec, value, field, error);
}

int parse_file(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	char *equals = strchr(value, '=');
	struct file_list *list = field;
	struct provium_file *items;

	(void)spec;
	if (!equals || equals == value || !equals[1])
		return cli_fail(error, PROVIUM_INVALID, "'%s' is not of the form GUEST=HOST",
				value);
	if (*value != '/')
		return cli_fail(error, PROVIUM_INVALID,
				"'%s': the path in the guest is not absolute", value);
	items = list_grow(list->items, list->count, sizeof(*items), error);
	if (!items)
		return -1;
	*equals = '\0';
	items[list->count++] = (struct provium_file){
		.guest_path = value,
		.host_path = equals + 1,
	};
	list->items = items;
	return 0;
}

int parse_disk(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	static const char suffix[] = ",ro";
	size_t length = strlen(value);
	struct disk_list *list = field;
	struct provium_disk *items;
	bool readonly = false;

	(void)spec;
	if (length >= strlen(suffix) && strcmp(value + length - strlen(suffix), suffix) == 0) {
		readonly = true;
		length -= strlen(suffix);
	}
	if (length == 0)
		return cli_fail(error, PROVIUM_INVALID, "FILE is empty");
	items = list_grow(list->items, list->count, sizeof(*items), error);
	if (!items)
		return -1;
	value[length] = '\0';
	items[list->count++] = (struct provium_disk){ .path = value, .readonly = readonly };
	list->items = items;
	return 0;
}
