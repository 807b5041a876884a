/*
 * strerror() and strsignal() of the guest's programs, in the place of the C library's, whose texts
 * take 3 KiB: the names, which kernel engineers read anyway and the agent has. The host makes a
 * text of an errno's name where a person is to read it (host/lib/agent.c).
 */
#include <stddef.h>
#include <string.h>

#include "agent/errno_name.h"

char *strerror(int number)
{
	const char *name = errno_name(number);

	return (char *)(name ? name : "unknown errno");
}

/* signal(7), x86 and ARM; the first one is 1. */
static const char signals[] = "SIGHUP\0SIGINT\0SIGQUIT\0SIGILL\0SIGTRAP\0SIGABRT\0SIGBUS\0SIGFPE\0"
			      "SIGKILL\0SIGUSR1\0SIGSEGV\0SIGUSR2\0SIGPIPE\0SIGALRM\0SIGTERM\0"
			      "SIGSTKFLT\0SIGCHLD\0SIGCONT\0SIGSTOP\0SIGTSTP\0SIGTTIN\0SIGTTOU\0"
			      "SIGURG\0SIGXCPU\0SIGXFSZ\0SIGVTALRM\0SIGPROF\0SIGWINCH\0SIGIO\0"
			      "SIGPWR\0SIGSYS\0";

char *strsignal(int number)
{
	const char *name = signals;

	while (--number > 0 && *name)
		name += strlen(name) + 1;
	return (char *)(*name ? name : "real-time signal");
}
