#include "common/cmdline.h"

#include <stddef.h>
#include <string.h>

#include "common/util.h"

/* The kernel's isspace() but for its 0xA0, which would cut UTF-8 text. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Cuts one parameter off *rest. *value is NULL where there is no '='. False at the end of the text.
 * An '=' as a parameter's first character belongs to its name, as in the kernel.
 */
static bool next_parameter(char **rest, char **name, char **value)
{
	char *start = *rest, *equals = NULL, *end;
	bool quoted = false, in_quotes = false;

	while (is_space(*start))
		start++;
	if (*start == '\0')
		return false;
	if (*start == '"') {
		start++;
		quoted = in_quotes = true;
	}
	for (end = start; *end != '\0' && (in_quotes || !is_space(*end)); end++) {
		if (*end == '=' && !equals && end > start)
			equals = end;
		if (*end == '"')
			in_quotes = !in_quotes;
	}
	*rest = *end == '\0' ? end : end + 1;
	*end = '\0';

	*name = start;
	*value = NULL;
	if (equals) {
		*equals = '\0';
		*value = equals + 1;
		if (**value == '"') {
			(*value)++;
			quoted = true;
		}
	}
	/* A quote that closes what the value's or the parameter's first character opened. */
	if (quoted && end > (*value ? *value : start) && end[-1] == '"')
		end[-1] = '\0';
	return true;
}

/* The kernel's kstrtobool(), and true where there is no value at all. */
static bool is_true(const char *value)
{
	if (!value)
		return true;
	switch (value[0]) {
	case 'y':
	case 'Y':
	case 't':
	case 'T':
	case '1':
		return true;
	case 'o':
	case 'O':
		return value[1] == 'n' || value[1] == 'N';
	default:
		return false;
	}
}

static void take(struct cmdline *cmdline, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **value;
	} with_value[] = {
		{ "provium.init", &cmdline->init },
		{ "provium.port", &cmdline->port },
		{ "provium.log", &cmdline->log },
		{ "provium.root", &cmdline->provium_root },
		{ "root", &cmdline->root },
		{ "rootfstype", &cmdline->rootfstype },
		{ "rootflags", &cmdline->rootflags },
		{ "rootdelay", &cmdline->rootdelay },
		{ "rootwait", &cmdline->rootwait },
		{ "init", &cmdline->kernel_init },
		{ "devtmpfs.mount", &cmdline->devtmpfs },
	};

	for (size_t i = 0; value && i < ARRAY_SIZE(with_value); i++)
		if (strcmp(name, with_value[i].name) == 0)
			*with_value[i].value = value;
	if (strcmp(name, "provium.hold") == 0)
		cmdline->hold = is_true(value);
	else if (!value && strcmp(name, "rootwait") == 0)
		cmdline->rootwait = "";
	else if (!value && (strcmp(name, "ro") == 0 || strcmp(name, "rw") == 0))
		cmdline->writable = name[1] == 'w';
}

void cmdline_parse(char *text, struct cmdline *cmdline)
{
	char *name, *value;

	*cmdline = (struct cmdline){ 0 };
	while (next_parameter(&text, &name, &value)) {
		if (!value && strcmp(name, "--") == 0)
			break;
		take(cmdline, name, value);
	}
}
