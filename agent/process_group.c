#include "agent/process_group.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * clone(flags, 0, ...), and in the child setpgid(0, 0), exit(0). The child shares our memory while
 * we wait, and uses no stack: a page of ours for it would be one more that the kernel has to copy,
 * when we are a copy ourselves. -errno, or the child.
 */
static long make_leader(unsigned long flags)
{
#if defined(__x86_64__)
	long result = SYS_clone;

	__asm__ volatile("xorl %%r10d, %%r10d\n\t"
			 "xorl %%r8d, %%r8d\n\t"
			 "syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%edi, %%edi\n\t"
			 "movl %[setpgid], %%eax\n\t"
			 "syscall\n\t"
			 "movl %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(result)
			 : "D"(flags), "S"(0L),
			   "d"(0L), [setpgid] "i"(SYS_setpgid), [exit] "i"(SYS_exit)
			 : "rcx", "r8", "r10", "r11", "cc", "memory");
	return result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone;
	register long result __asm__("x0") = (long)flags;
	register long stack __asm__("x1") = 0;
	register long parent_tid __asm__("x2") = 0;
	register long tls __asm__("x3") = 0;
	register long child_tid __asm__("x4") = 0;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x8, %[setpgid]\n\t"
			 "svc #0\n\t"
			 "mov x0, xzr\n\t"
			 "mov x8, %[exit]\n\t"
			 "svc #0\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(result)
			 : "r"(number), "r"(stack), "r"(parent_tid), "r"(tls),
			   "r"(child_tid), [setpgid] "i"(SYS_setpgid), [exit] "i"(SYS_exit)
			 : "cc", "memory");
	return result;
#else
#error "agent/process_group.c: write make_leader for this architecture"
#endif
}

/*
 * The leader makes the group, which is there as long as somebody is in it, dead or alive. It shares
 * what can be shared: a table of descriptors of its own would cost more than all the rest.
 */
void process_group_leave(void)
{
	pid_t leader =
		(pid_t)make_leader(CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | SIGCHLD);

	if (leader < 0)
		return;
	waitid(P_PID, (id_t)leader, &(siginfo_t){ 0 }, WEXITED | WNOWAIT | __WALL);
	setpgid(0, leader);
	waitpid(leader, NULL, __WALL);
}
