#include "agent/process_group.h"

#include <sys/wait.h>
#include <unistd.h>

void process_group_leave(void)
{
	/*
	 * It makes the group, which is there as long as somebody is in it, dead or alive; vfork(2),
	 * as it needs no memory of its own for that.
	 */
	pid_t leader = vfork();

	if (leader == 0) {
		setpgid(0, 0);
		_exit(0);
	}
	if (leader < 0)
		return;
	waitid(P_PID, (id_t)leader, &(siginfo_t){ 0 }, WEXITED | WNOWAIT | __WALL);
	setpgid(0, leader);
	waitpid(leader, NULL, __WALL);
}
