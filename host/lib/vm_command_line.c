/*
 * The kernel command line.
 *
 * The kernel splits it at white space outside of double quotes (lib/cmdline.c, next_arg); of a
 * parameter given twice the last one counts, and "--" ends its own parameters: what follows goes to
 * init. So our defaults come first, the user's parameters may override them, and what must hold
 * stands behind those, in front of a "--" of the user's.
 */
#include "host/lib/vm_command_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

/* As the kernel's isspace (lib/ctype.c): 0xa0 is Latin-1's no-break space. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == (char)0xa0;
}

/* Whether the token, quotes at its ends taken off as the kernel does, is "--". */
static bool is_separator(const char *token, size_t length)
{
	if (length > 0 && token[0] == '"') {
		token++;
		length--;
		if (length > 0 && token[length - 1] == '"')
			length--;
	}
	return length == 2 && memcmp(token, "--", 2) == 0;
}

/*
 * How many bytes of the user's parameters stand before "--"; all of them where there is none.
 * *open: a quote is open at the end.
 */
static size_t kernel_part(const char *append, bool *open)
{
	size_t i = 0;

	*open = false;
	while (append[i]) {
		size_t start;

		while (is_space(append[i]))
			i++;
		start = i;
		for (; append[i] && (*open || !is_space(append[i])); i++) {
			if (append[i] == '"')
				*open = !*open;
		}
		if (is_separator(append + start, i - start))
			return start;
	}
	return i;
}

static int check_init(const char *init, struct provium_error *error)
{
	if (init[0] != '/')
		return error_set(error, PROVIUM_INVALID, 0,
				 "init '%s' is not an absolute path in the guest", init);
	if (strchr(init, '"'))
		return error_set(
			error, PROVIUM_INVALID, 0,
			"init '%s': the kernel's command line cannot hold a quote in a value",
			init);
	return 0;
}

static bool needs_quotes(const char *value)
{
	for (; *value; value++) {
		if (is_space(*value))
			return true;
	}
	return false;
}

/* " provium.init=PATH", or "" where init is NULL. NULL: no memory. */
static char *init_parameter(const char *init)
{
	const char *quote;
	char *parameter;

	if (!init)
		return strdup("");
	quote = needs_quotes(init) ? "\"" : "";
	if (asprintf(&parameter, " provium.init=%s%s%s", quote, init, quote) < 0)
		return NULL;
	return parameter;
}

char *vm_command_line(const struct vm_command_line *parts, struct provium_error *error)
{
	const char *append = parts->append ? parts->append : "";
	cleanup_free char *init = NULL;
	char *line = NULL;
	size_t kernel_length;
	size_t length;
	bool open;

	if (parts->init && check_init(parts->init, error) < 0)
		return NULL;
	kernel_length = kernel_part(append, &open);
	if (open) {
		error_set(error, PROVIUM_INVALID, 0,
			  "the kernel parameters hold an opening quote without a closing one: %s",
			  append);
		return NULL;
	}

	init = init_parameter(parts->init);
	if (!init ||
	    asprintf(&line, "console=ttyS0 panic=-1 %s%s%.*s%srdinit=/provium-wrapper%s%s%s%s%s%s",
		     parts->machine ? parts->machine : "", parts->machine ? " " : "",
		     (int)kernel_length, append, kernel_length ? " " : "", init,
		     parts->root ? " provium.root=" : "", parts->root ? parts->root : "",
		     parts->hold ? " provium.hold" : "", append[kernel_length] ? " " : "",
		     append + kernel_length) < 0) {
		error_set(error, PROVIUM_HOST, ENOMEM, "kernel command line");
		return NULL;
	}
	length = strlen(line);
	if (length > parts->limit) {
		error_set(
			error, PROVIUM_INVALID, 0,
			"the kernel's command line would be %zu bytes long, and this kernel takes "
			"%zu: %zu are Provium's own",
			length, parts->limit, length - strlen(append));
		free(line);
		return NULL;
	}
	return line;
}
