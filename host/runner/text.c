#include "host/runner/text.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

#define TAIL_SIZE KIB(64)

/* How many bytes the character has that begins here; 0 where none does that may stay. */
static size_t character_length(const unsigned char *bytes, size_t size)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code;
	size_t length;

	if (bytes[0] < 0x80)
		return (bytes[0] >= 0x20 && bytes[0] != 0x7f) || bytes[0] == '\n' ||
		       bytes[0] == '\t';
	if (bytes[0] >= 0xf0 && bytes[0] < 0xf8)
		length = 4;
	else if (bytes[0] >= 0xe0 && bytes[0] < 0xf0)
		length = 3;
	else if (bytes[0] >= 0xc0 && bytes[0] < 0xe0)
		length = 2;
	else
		return 0;
	if (length > size)
		return 0;
	code = bytes[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	/* Longer than needed, C1 control characters, surrogates, what XML leaves out. */
	if (code < smallest[length] || code < 0xa0 || (code >= 0xd800 && code < 0xe000) ||
	    code == 0xfffe || code == 0xffff || code > 0x10ffff)
		return 0;
	return length;
}

char *text_clean(const char *bytes, size_t size)
{
	const unsigned char *from = (const unsigned char *)bytes;
	char *text = malloc(size + 1);
	size_t used = 0;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size;) {
		size_t length = character_length(from + i, size - i);

		if (from[i] == '\r' && i + 1 < size && from[i + 1] == '\n') {
			i++;
			continue;
		}
		if (length == 0) {
			text[used++] = '?';
			i++;
			continue;
		}
		memcpy(text + used, from + i, length);
		used += length;
		i += length;
	}
	text[used] = '\0';
	return text;
}

static const char *last_lines(const char *bytes, size_t size, unsigned int lines)
{
	size_t i = size;

	/* The newline of the last line ends none. */
	if (i > 0 && bytes[i - 1] == '\n')
		i--;
	while (i > 0) {
		if (bytes[i - 1] == '\n' && --lines == 0)
			break;
		i--;
	}
	return bytes + i;
}

char *text_tail(const char *path, unsigned int lines)
{
	/* A path from a test process: what is no file is not waited for. */
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *bytes = malloc(TAIL_SIZE);
	const char *first;
	struct stat st;
	ssize_t size;

	if (fd < 0 || !bytes || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	size = pread(fd, bytes, TAIL_SIZE,
		     st.st_size > (off_t)TAIL_SIZE ? st.st_size - (off_t)TAIL_SIZE : 0);
	if (size <= 0)
		return NULL;
	first = last_lines(bytes, (size_t)size, lines);
	return text_clean(first, (size_t)(bytes + size - first));
}
