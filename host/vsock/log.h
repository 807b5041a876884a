/* What the program says, on standard error: the one place that writes there. */
#ifndef VSOCK_LOG_H
#define VSOCK_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,   /* the program or its device cannot go on */
	LOG_LEVEL_WARNING, /* something was refused or lost (the default) */
	LOG_LEVEL_INFO,    /* the front end came or went, the device started or stopped */
	LOG_LEVEL_DEBUG,   /* every connection and message */
};

/* Messages above this level are not written. */
void log_set_level(enum log_level level);

/* Reads a level's name; false where there is none of that name. */
bool log_level_parse(const char *name, enum log_level *level);

/* Writes one line, "provium-vsock: ...", in one write; a flood of them is cut to a few a second. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
