/*
 * JSON to text and back by Jansson, which goes on where it gets no memory (2.14): it leaves a key
 * out, ends a string early, or says that the text is wrong.
 */
#ifndef LIB_JSON_TEXT_H
#define LIB_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* As json_loadb(3). NULL: errno is ENOMEM, or 0 where the text is wrong. */
json_t *json_read(const char *text, size_t length, size_t flags);

/* In one line; release with free(3). NULL: no memory, or value is NULL. */
char *json_write(const json_t *value);

#endif
