/*
 * The agent's log: single lines, to the kernel's log or to standard error, cut at 900 bytes.
 *
 * Lines over a rate are dropped, and how many is told with the next line that is not. One writer
 * per process: not for threads side by side, except that log_* may then interleave or miscount
 * drops.
 */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdbool.h>

enum log_level {
	LEVEL_ERROR,
	LEVEL_WARN,
	LEVEL_INFO,
	LEVEL_DEBUG,
};

/*
 * To the kernel's log through fd, an open /dev/kmsg, which stays the caller's; devkmsg_on: the
 * kernel does not limit what processes write there (sysctl kernel.printk_devkmsg is "on").
 */
void log_to_kmsg(int fd, bool devkmsg_on);

/* Where the log goes: what a process that is forked has to keep. */
int log_fd(void);

/* To standard error: the state at the start. */
void log_to_stderr(void);

/* Lines of less weight are dropped. At the start: LEVEL_WARN. */
void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug". False for any other name. */
bool log_parse_level(const char *name, enum log_level *level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The agent cannot be reached. "provium-agent: fatal: TEXT", exactly so, is what a launcher looks
 * for on the console; it is written with the highest priority, so that `quiet` does not hide it.
 */
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
