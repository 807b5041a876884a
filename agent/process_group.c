#include "agent/process_group.h"

#include <sys/wait.h>
#include <unistd.h>

/*
 * The leader makes the group, which is there as long as somebody is in it, dead or alive. vfork(2),
 * as it needs no memory of its own for that; POSIX allows no more than _exit() after it, Linux all
 * that leaves its parent's memory as it is.
 */
// NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
void process_group_leave(void)
{
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
// NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
