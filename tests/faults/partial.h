/* System calls that move one byte of all that they were asked for. */
#ifndef TESTS_PARTIAL_H
#define TESTS_PARTIAL_H

#include <linux/seccomp.h>
#include <stdbool.h>

/* Those that can; ends with -1. */
extern const int partial_calls[];

/*
 * Whether the call, which is one of those, can do so and would do so now: more is asked for, of a
 * stream or a file, and it need not wait. target is what its descriptor is.
 */
bool partial_applies(const struct seccomp_notif *request, const char *target);

/* Makes the call in place of the process that waits for it, and fills in what it returns. */
void partial_make(int listener, const struct seccomp_notif *request,
		  struct seccomp_notif_resp *response);

#endif
