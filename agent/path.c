#include "path.h"

#include <stdlib.h>
#include <string.h>

char *path_from_bytes(const ProtobufCBinaryData *bytes)
{
	size_t slash = bytes->data[0] != '/';
	char *path = malloc(slash + bytes->len + 1);

	if (!path)
		return NULL;
	if (slash)
		path[0] = '/';
	memcpy(path + slash, bytes->data, bytes->len);
	path[slash + bytes->len] = '\0';
	return path;
}
