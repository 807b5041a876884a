/*
 * Functions on strings of the guest's programs, in the place of the C library's, which are made for
 * long ones: 1 KiB of the agent.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

char *strchrnul(const char *text, int character)
{
	while (*text && *text != (char)character)
		text++;
	return (char *)text;
}

char *strchr(const char *text, int character)
{
	text = strchrnul(text, character);
	return *text == (char)character ? (char *)text : NULL;
}

char *stpcpy(char *restrict to, const char *restrict from)
{
	while ((*to = *from++))
		to++;
	return to;
}

/* Not by stpcpy(): whose result is not used, compilers take for this. */
char *strcpy(char *restrict to, const char *restrict from)
{
	for (size_t i = 0; (to[i] = from[i]); i++)
		;
	return to;
}

int atoi(const char *text)
{
	bool negative = *text == '-';
	int value = 0;

	text += negative;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + *text - '0';
	return negative ? -value : value;
}

void *memchr(const void *data, int byte, size_t size)
{
	const unsigned char *at = data;

	for (; size > 0; size--, at++)
		if (*at == (unsigned char)byte)
			return (void *)at;
	return NULL;
}
