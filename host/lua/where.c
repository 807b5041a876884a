/*
 * The signal comes at any time, most often while a call of the library waits. What is called here
 * allocates nothing: lua_getinfo(3) for names and lines copies them, and the harness makes one
 * system call. Should it come while Lua changes its stack a line may be wrong, which is the worst;
 * the runner kills a process that does not end.
 */
#include "host/lua/where.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

/* Of the calls, the innermost. */
#define MAX_LINES 10

static lua_State *watched;
static const struct harness *told;

static void tell(lua_State *L)
{
	char text[2048];
	lua_Debug call;
	size_t used = 0;
	int lines = 0;

	for (int level = 0; lines < MAX_LINES && lua_getstack(L, level, &call); level++) {
		lua_getinfo(L, "Sl", &call);
		/* Functions in C, and our own files in Lua, tell nothing of the test. */
		if (*call.source != '@' || call.currentline <= 0)
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s:%d",
					 lines == 0 ? "it was at" : "\ncalled from", call.short_src,
					 call.currentline);
		/* Not with LUA_IDSIZE as it is. */
		if (used >= sizeof(text))
			break;
		lines++;
	}
	told->file_ended(told->user, HARNESS_FAILED, lines ? text : "it was at no line of Lua");
}

static void on_signal(int number)
{
	tell(watched);
	signal(number, SIG_DFL);
	raise(number);
}

void where_watch(lua_State *L, const struct harness *harness)
{
	const struct sigaction action = { .sa_handler = on_signal };

	if (!harness)
		return;
	watched = L;
	told = harness;
	sigaction(SIGTERM, &action, NULL);
}

void where_forget(void)
{
	if (watched)
		signal(SIGTERM, SIG_DFL);
	watched = NULL;
}
