#include "host/lib/json_text.h"

#include <errno.h>
#include <stdlib.h>

json_t *json_read(const char *text, size_t length, size_t flags)
{
	json_error_t reason;
	json_t *value;

	errno = 0;
	value = json_loadb(text, length, flags, &reason);
	if (errno != ENOMEM) {
		errno = 0;
		return value;
	}
	json_decref(value);
	errno = ENOMEM;
	return NULL;
}

char *json_write(const json_t *value)
{
	char *text;

	errno = 0;
	text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	if (errno != ENOMEM)
		return text;
	free(text);
	return NULL;
}
