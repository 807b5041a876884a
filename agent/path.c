#include "path.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const ProtobufCBinaryData *bytes, size_t slash)
{
	char *text = malloc(slash + bytes->len + 1);

	if (!text)
		return NULL;
	if (slash)
		text[0] = '/';
	if (bytes->len > 0)
		memcpy(text + slash, bytes->data, bytes->len);
	text[slash + bytes->len] = '\0';
	return text;
}

char *path_from_bytes(const ProtobufCBinaryData *bytes)
{
	return copy(bytes, bytes->data[0] != '/');
}

char *string_from_bytes(const ProtobufCBinaryData *bytes)
{
	return copy(bytes, 0);
}
