#include "tests/integration/chaos/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "tests/unit/unit.h"

static struct provium_error error;

char *look_shell(struct provium_connection *connection, const char *shell)
{
	const struct provium_exec_options options = { .shell = shell, .merge_stderr = true };
	struct provium_exec_result result;
	struct provium_buffer output;
	char *text;

	check_ok(provium_exec_run(connection, &options, 0, SOON, &result, &output, NULL, &error));
	text = output.data;
	ck_assert_msg(result.outcome == PROVIUM_EXITED && result.exit_code == 0, "%s: %s", shell,
		      text);
	if (output.size > 0 && text[output.size - 1] == '\n')
		text[output.size - 1] = '\0';
	return text;
}

void look(struct provium_connection *connection, struct look *seen)
{
	struct provium_info info;
	char shell[700];
	cleanup_free char *text = NULL;

	*seen = (struct look){ .server = provium_connection_agent(connection)->pid };
	/* Threads of the kernel are children of process 2. */
	snprintf(shell, sizeof(shell),
		 "s=%d; p=$(awk '/^PPid/ { print $2 }' /proc/$s/status); echo $p;"
		 "for i in $s $p; do awk '/^VmRSS/ { print $2 }' /proc/$i/status;"
		 /* It looks at each, of which one may be gone by then. */
		 "ls /proc/$i/fd 2>/dev/null | wc -l; done;"
		 "cat /proc/[0-9]*/stat 2>/dev/null |"
		 "awk -v me=$$ '$4 != 2 && $1 != 2 && $4 != me { n++ } END { print n }';"
		 "awk '/^(Slab|SUnreclaim)/ { print $2 }' /proc/meminfo",
		 seen->server);
	text = look_shell(connection, shell);
	// NOLINTNEXTLINE(cert-err34-c): the guest's own numbers, and short
	ck_assert_msg(sscanf(text, "%d %lu %lu %lu %lu %lu %lu %lu", &seen->supervisor,
			     &seen->server_rss, &seen->server_fds, &seen->supervisor_rss,
			     &seen->supervisor_fds, &seen->processes, &seen->slab,
			     &seen->slab_unreclaimable) == 8,
		      "%s", text);
	check_ok(provium_info(connection, SOON, &info, &error));
	seen->connections = info.connections;
	seen->server_fds -= info.connections;
	seen->commands = info.commands_running;
	seen->jobs = info.jobs;
	seen->workers = info.workers;
	seen->restarts = info.restarts;
}

void look_describe(const struct look *seen, char *text, size_t size)
{
	snprintf(text, size,
		 "server %lu KiB, %lu fds and %lu connections; supervisor %lu KiB, %lu fds; "
		 "%lu processes, %lu commands, %lu jobs, %lu workers, %lu restarts; "
		 "slab %lu KiB, of which %lu stay",
		 seen->server_rss, seen->server_fds, seen->connections, seen->supervisor_rss,
		 seen->supervisor_fds, seen->processes, seen->commands, seen->jobs, seen->workers,
		 seen->restarts, seen->slab, seen->slab_unreclaimable);
}
