/* Text that goes into messages for people. */
#ifndef AGENT_TEXT_H
#define AGENT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes text valid UTF-8 without control characters, in place: every other byte becomes '?'. What
 * the schema calls a string must be UTF-8, and paths need not be. has_lines: newlines and tabs may
 * stay.
 */
void text_make_utf8(char *text, bool has_lines);

/*
 * Reads a decimal number at *text and puts *text behind it. False where there is no digit, or more
 * than 64 bits. (strtoull(3) of the C library is twenty times as large.)
 */
bool text_read_number(const char **text, uint64_t *value);

/*
 * Where part stands in text; NULL: nowhere. (strstr(3) of the C library is made for long texts, and
 * twenty times as large.)
 */
const char *text_find(const char *text, const char *part);

#endif
