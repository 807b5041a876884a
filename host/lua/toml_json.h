/* TOML by toml11, a library for C++: the one file of that language. */
#ifndef LUA_TOML_JSON_H
#define LUA_TOML_JSON_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The file's content as JSON, for free(3); dates and times are strings. NULL: reason says why, with
 * the place in the file.
 */
char *toml_file_to_json(const char *path, char *reason, size_t size);

#ifdef __cplusplus
}
#endif

#endif
