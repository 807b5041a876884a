/*
 * Which kernel and which modules a guest gets that was not told. Not a part of the library's
 * interface: what the command and the Lua binding share.
 */
#ifndef LIB_KERNEL_CHOICE_H
#define LIB_KERNEL_CHOICE_H

#include "host/include/provium.h"

/* What was asked for, and what the rest is made of; NULL each where there is none. */
struct kernel_request {
	/* --kernel and --modules. */
	const char *kernel;
	const char *modules;
	/* $PROVIUM_KERNEL and $PROVIUM_MODULES; empty ones count as absent. */
	const char *environment_kernel;
	const char *environment_modules;
	/* Of the host's kernel: uname -r. */
	const char *release;
	/* Before /boot and /lib: "" but in tests. */
	const char *root;
};

struct kernel_choice {
	char *kernel;
	/* NULL: the kernel has none that are known of. */
	char *modules;
};

/*
 * The kernel: --kernel, else $PROVIUM_KERNEL, else that of the host, /boot/vmlinuz-RELEASE.
 * The modules: --modules; else $PROVIUM_MODULES if the kernel came from $PROVIUM_KERNEL; else
 * `modules` beside the kernel if it has a modules.dep; else /lib/modules/VERSION if the kernel's
 * file, symbolic links resolved, is named vmlinuz-VERSION and that has one; else none.
 * Fails where the kernel cannot be read, or modules that were named are not there.
 */
int kernel_choose(const struct kernel_request *request, struct kernel_choice *choice,
		  struct provium_error *error);

/* The same on this machine, with its environment. kernel, modules: what was asked for, or NULL. */
int kernel_choose_here(const char *kernel, const char *modules, struct kernel_choice *choice,
		       struct provium_error *error);

void kernel_choice_finish(struct kernel_choice *choice);

#endif
