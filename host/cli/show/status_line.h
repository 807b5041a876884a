/*
 * What `provium run` shows while the guest boots: one line on a terminal's standard error, with the
 * step that is under way and the time since the start, erased before anything else is written.
 * Without a terminal only notices are written.
 */
#ifndef CLI_STATUS_LINE_H
#define CLI_STATUS_LINE_H

#include "host/include/provium.h"

struct status_line;

/* Signals must have been held back (interrupts_init): the line's thread must not get them. */
int status_line_start(struct status_line **started, struct provium_error *error);

/* Erases the line for good. The callbacks may still be called: notices come while the guest runs.
 */
void status_line_stop(struct status_line *line);

/* Stops it and releases. NULL is allowed. */
void status_line_free(struct status_line *line);

/* Callbacks of struct provium_vm_options; user is the status_line. */
void status_line_phase(void *user, const char *text);
void status_line_notice(void *user, const char *text);

#endif
