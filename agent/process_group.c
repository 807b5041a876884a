#include "agent/process_group.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"

/* The child shares our memory but not our stack: the address sanitizer would not know its way. */
__attribute__((no_sanitize("address"), no_sanitize("undefined"))) static int lead(void *unused)
{
	(void)unused;
	syscall(SYS_setpgid, 0, 0);
	return 0;
}

/*
 * The leader makes the group, which is there as long as somebody is in it, dead or alive. It shares
 * what can be shared: a table of descriptors of its own would cost more than all the rest.
 */
void process_group_leave(void)
{
	/* With room for a signal that comes meanwhile. */
	unsigned long stack[512];
	int leader = clone(lead, stack + ARRAY_SIZE(stack),
			   CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);

	if (leader < 0)
		return;
	waitid(P_PID, (id_t)leader, &(siginfo_t){ 0 }, WEXITED | WNOWAIT | __WALL);
	setpgid(0, leader);
	waitpid(leader, NULL, __WALL);
}
