/* Text from test processes and guests, made fit for a terminal, XML and JSON. */
#ifndef RUNNER_TEXT_H
#define RUNNER_TEXT_H

#include <stddef.h>

/*
 * A copy of the bytes in which what is no UTF-8 (RFC 3629), or no character of XML 1.0, or a
 * control character other than newline and tab, is '?', and the ends of lines are plain newlines.
 * For free(3); NULL without memory.
 */
char *text_clean(const char *bytes, size_t size);

/*
 * The last lines of a file, at most so many and of its last 64 KiB; cleaned. NULL where there is
 * nothing, or the file is no regular one. For free(3).
 */
char *text_tail(const char *path, unsigned int lines);

#endif
