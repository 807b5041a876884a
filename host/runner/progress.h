/* One line on a terminal for a run that is under way. */
#ifndef RUNNER_PROGRESS_H
#define RUNNER_PROGRESS_H

#include <stddef.h>

#include "host/runner/runner.h"

/*
 * "12/40 files, 1 failed, 0:34 left  boot.lua: kernel boots 3s, net.lua waits", as much of it as
 * fits into size - 1 bytes. What is left is estimated from how long the files took that have ended.
 */
void progress_text(const struct runner_view *view, uint64_t now_ns, char *text, size_t size);

#endif
