/*
 * No C library has a function for clone3(2) with a stack of the child's own. The child comes back
 * from the system call on that stack, which is empty, so what follows must be one piece of
 * assembly.
 */
#include "clone3.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Linux 5.7; it does not fit into the flags of clone(2). */
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* struct clone_args of linux/sched.h, which does not go with every <sched.h>. */
struct clone3_args {
	uint64_t flags;
	/* Of an int. */
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	/* Lowest byte, and bytes. */
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};

/* The end of the stack is a multiple of 16, and function does not return. -errno, or the child. */
static long clone3_call(const struct clone3_args *args, int (*function)(void *), void *argument)
{
#if defined(__x86_64__)
	long result = SYS_clone3;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "movq %[argument], %%rdi\n\t"
			 "callq *%[function]\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(result)
			 : "D"(args),
			   "S"(sizeof(*args)), [function] "r"(function), [argument] "r"(argument)
			 : "rcx", "r11", "cc", "memory");
	return result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long result __asm__("x0") = (long)args;
	register long size __asm__("x1") = sizeof(*args);

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, %[argument]\n\t"
			 "blr %[function]\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(result)
			 : "r"(number),
			   "r"(size), [function] "r"(function), [argument] "r"(argument)
			 : "cc", "memory");
	return result;
#else
	(void)args;
	(void)function;
	(void)argument;
	return -ENOSYS;
#endif
}

int clone3_into(int cgroup, int (*function)(void *), void *stack_end, int flags, void *argument,
		int *pidfd)
{
	/* All that the kernel does with the two is to add them. */
	const uint64_t stack_size = 16;
	const struct clone3_args args = {
		.flags = ((unsigned int)flags & ~(unsigned int)CSIGNAL) | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = (unsigned int)flags & CSIGNAL,
		.stack = (uintptr_t)stack_end - stack_size,
		.stack_size = stack_size,
		.cgroup = (unsigned int)cgroup,
	};
	long result = clone3_call(&args, function, argument);

	if (result >= 0)
		return (int)result;
	errno = (int)-result;
	return -1;
}
