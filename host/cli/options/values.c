#include "host/cli/options/values.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
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

int parse_whole_number(const struct option_spec *spec, char *value, void *field,
		       struct provium_error *error)
{
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_digits(value, &end, &number) < 0 || *end)
		return cli_fail(error, PROVIUM_INVALID, "'%s' is no number below 2^64", value);
	*(uint64_t *)field = number;
	return 0;
}

/* Digits and perhaps K, M, G or T. *end is behind them. */
static int parse_scaled(const char *text, const char **end, uint64_t *number)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;

	if (parse_digits(text, end, number) < 0)
		return -1;
	suffix = **end ? strchr(suffixes, **end & ~0x20) : NULL;
	if (!suffix || !*suffix)
		return 0;
	(*end)++;
	return __builtin_mul_overflow(*number, UINT64_C(1) << (10 * (suffix - suffixes + 1)),
				      number)
		       ? -1
		       : 0;
}

int parse_size(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_scaled(value, &end, &number) < 0 || *end || number == 0)
		return cli_fail(
			error, PROVIUM_INVALID,
			"'%s' is no size: a number of bytes, or with K, M, G or T behind it",
			value);
	*(uint64_t *)field = number;
	return 0;
}

/* Decimal seconds as milliseconds, at most INT_MAX. */
static int parse_time(const char *text, uint64_t *milliseconds)
{
	const char *end;

	if (parse_digits(text, &end, milliseconds) < 0 || *milliseconds > INT_MAX / 1000)
		return -1;
	*milliseconds *= 1000;
	if (*end == '.') {
		uint64_t unit = 100;

		if (!end[1])
			return -1;
		/* Digits below a millisecond are checked and dropped. */
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			*milliseconds += (uint64_t)(*end - '0') * unit;
	}
	return *end || *milliseconds > INT_MAX ? -1 : 0;
}

int parse_seconds(const struct option_spec *spec, char *value, void *field,
		  struct provium_error *error)
{
	uint64_t milliseconds;

	(void)spec;
	if (parse_time(value, &milliseconds) < 0 || milliseconds == 0)
		return cli_fail(error, PROVIUM_INVALID,
				"'%s' is no time: seconds, 0.001 to 2147483.647, as in 30 or 0.5",
				value);
	*(uint64_t *)field = milliseconds;
	return 0;
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

/* The largest number means "unchanged" to the system calls that take ids (setresuid(2)). */
static int parse_id(const char *text, const char **end, uint32_t *id)
{
	uint64_t number;

	if (parse_digits(text, end, &number) < 0 || number >= UINT32_MAX)
		return -1;
	*id = (uint32_t)number;
	return 0;
}

int parse_user(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	struct user user = { .has_uid = true };
	const char *end = value;
	bool good;

	(void)spec;
	good = parse_id(value, &end, &user.uid) == 0;
	if (good && *end == ':') {
		user.has_gid = true;
		good = parse_id(end + 1, &end, &user.gid) == 0;
	}
	if (!good || *end)
		return cli_fail(error, PROVIUM_INVALID,
				"'%s' is neither UID nor UID:GID, numbers of the guest's", value);
	*(struct user *)field = user;
	return 0;
}

int parse_groups(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	struct id_list *list = field;
	const char *next = value;
	const char *end;

	(void)spec;
	do {
		uint32_t *items = list_grow(list->items, list->count, sizeof(*items), error);

		if (!items)
			return -1;
		list->items = items;
		if (parse_id(next, &end, &items[list->count]) < 0 || (*end && *end != ','))
			return cli_fail(error, PROVIUM_INVALID,
					"'%s' is not of the form GID,GID: numbers of the guest's",
					value);
		list->count++;
		next = end + 1;
	} while (*end);
	return 0;
}

int parse_nice(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	bool negative = *value == '-';
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_digits(value + negative, &end, &number) < 0 || *end ||
	    number > (negative ? 20 : 19))
		return cli_fail(error, PROVIUM_INVALID, "'%s' is no number from -20 to 19", value);
	*(int *)field = negative ? -(int)number : (int)number;
	return 0;
}

int parse_signal(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	const char *name = strncasecmp(value, "SIG", 3) == 0 ? value + 3 : value;
	const char *end;
	uint64_t number;

	(void)spec;
	if (parse_digits(value, &end, &number) == 0 && !*end && number >= 1 && number <= 64) {
		*(unsigned int *)field = (unsigned int)number;
		return 0;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0) {
			*(unsigned int *)field = (unsigned int)i;
			return 0;
		}
	}
	return cli_fail(error, PROVIUM_INVALID,
			"'%s' is no signal: a number from 1 to 64, or a name such as TERM", value);
}

/* The numbers of x86, ARM and RISC-V: those of the guest's kernel count, not of this machine's. */
static const struct {
	const char *name;
	uint32_t number;
} rlimit_names[] = {
	{ "cpu", 0 },       { "fsize", 1 }, { "data", 2 },    { "stack", 3 },
	{ "core", 4 },      { "rss", 5 },   { "nproc", 6 },   { "nofile", 7 },
	{ "memlock", 8 },   { "as", 9 },    { "locks", 10 },  { "sigpending", 11 },
	{ "msgqueue", 12 }, { "nice", 13 }, { "rtprio", 14 }, { "rttime", 15 },
};

static int parse_limit(const char *text, const char **end, uint64_t *limit)
{
	static const char unlimited[] = "unlimited";

	if (strncmp(text, unlimited, strlen(unlimited)) != 0)
		return parse_scaled(text, end, limit);
	*end = text + strlen(unlimited);
	*limit = PROVIUM_UNLIMITED;
	return 0;
}

int parse_rlimit(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	size_t length = strcspn(value, "=");
	struct provium_rlimit rlimit = { .resource = UINT32_MAX };
	struct rlimit_list *list = field;
	struct provium_rlimit *items;
	const char *end;

	(void)spec;
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++) {
		if (strlen(rlimit_names[i].name) == length &&
		    strncmp(rlimit_names[i].name, value, length) == 0)
			rlimit.resource = rlimit_names[i].number;
	}
	if (rlimit.resource == UINT32_MAX)
		return cli_fail(error, PROVIUM_INVALID,
				"'%.*s' is no resource; there are cpu, fsize, data, stack, core, "
				"rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, "
				"nice, rtprio and rttime",
				(int)length, value);
	if (!value[length] || parse_limit(value + length + 1, &end, &rlimit.soft) < 0)
		goto bad;
	rlimit.hard = rlimit.soft;
	if (*end == ':' && parse_limit(end + 1, &end, &rlimit.hard) < 0)
		goto bad;
	if (*end)
		goto bad;
	if (rlimit.soft > rlimit.hard)
		return cli_fail(error, PROVIUM_INVALID,
				"'%s': the soft limit is above the hard one", value);
	items = list_grow(list->items, list->count, sizeof(*items), error);
	if (!items)
		return -1;
	items[list->count++] = rlimit;
	list->items = items;
	return 0;
bad:
	return cli_fail(
		error, PROVIUM_INVALID,
		"'%s' is not of the form NAME=SOFT or NAME=SOFT:HARD, numbers (K, M, G or T "
		"behind them) or 'unlimited'",
		value);
}
