/* What the tests of snapshots share. */
#ifndef TESTS_SNAPSHOT_SNAPSHOT_H
#define TESTS_SNAPSHOT_SNAPSHOT_H

#include "host/include/provium.h"
#include "tests/unit/unit.h"

/* For anything that should not take its time. */
#define SOON 60000

static struct provium_error error;

#define check_ok(call)                                                \
	do {                                                          \
		if ((call) < 0)                                       \
			ck_abort_msg("%s: %s", #call, error.message); \
	} while (0)

#endif
