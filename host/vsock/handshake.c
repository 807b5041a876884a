#include "host/vsock/handshake.h"

#include <strings.h>

bool handshake_parse(const char *line, size_t length, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const size_t start = sizeof(word) - 1;
	uint64_t value = 0;

	if (length < start + 2 || line[length - 1] != '\n' || strncasecmp(line, word, start) != 0)
		return false;
	for (size_t i = start; i < length - 1; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(line[i] - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*port = (uint32_t)value;
	return true;
}
