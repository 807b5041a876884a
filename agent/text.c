#include "text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Length of the well-formed multi-byte sequence at the start of a NUL-terminated text, or 0 (The
 * Unicode Standard, table 3-7). A NUL is no continuation byte, so nothing is read past it.
 */
static size_t sequence_length(const uint8_t *at)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t length;

	if (at[0] >= 0xc2 && at[0] <= 0xdf)
		length = 2;
	else if (at[0] >= 0xe0 && at[0] <= 0xef)
		length = 3;
	else if (at[0] >= 0xf0 && at[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < length; i++) {
		if (at[i] < low || at[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

void text_make_utf8(char *text, bool has_lines)
{
	uint8_t *at = (uint8_t *)text;

	while (*at) {
		size_t length = 1;

		if (*at >= 0x80)
			length = sequence_length(at);
		else if (has_lines && (*at == '\n' || *at == '\t'))
			length = 1;
		else if (*at < 0x20 || *at == 0x7f)
			length = 0;
		if (length == 0) {
			*at = '?';
			length = 1;
		}
		at += length;
	}
}

bool text_read_number(const char **text, uint64_t *value)
{
	const char *at = *text;

	*value = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
			return false;
	if (at == *text)
		return false;
	*text = at;
	return true;
}

const char *text_find(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (; strncmp(text, part, length) != 0; text++)
		if (*text == '\0')
			return NULL;
	return text;
}
