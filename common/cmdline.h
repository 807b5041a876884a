/*
 * Provium's parameters on the kernel's command line. Pure.
 *
 * They are split as the kernel splits them (lib/cmdline.c, next_arg): white space separates, double
 * quotes keep it together, and a quote at the start or at the end of a value is not part of it. A
 * parameter that stands behind "--" is an argument of init and none of ours. The last of a name
 * counts.
 */
#ifndef COMMON_CMDLINE_H
#define COMMON_CMDLINE_H

#include <stdbool.h>

struct cmdline {
	/* provium.init=, provium.port=, provium.log=: NULL where absent; "" is a value. */
	const char *init;
	const char *port;
	const char *log;
	/*
	 * provium.root=, and what the kernel's own parameters say of a root: root=, rootfstype=,
	 * rootflags=, rootdelay=, rootwait (without a value: ""), init=, devtmpfs.mount=.
	 */
	const char *provium_root;
	const char *root;
	const char *rootfstype;
	const char *rootflags;
	const char *rootdelay;
	const char *rootwait;
	const char *kernel_init;
	const char *devtmpfs;
	/* rw, and not ro behind it. */
	bool writable;
	/* provium.hold, or with a value that the kernel takes for true (kstrtobool). */
	bool hold;
};

/* Splits text in place; *cmdline points into it. Values are not judged here. */
void cmdline_parse(char *text, struct cmdline *cmdline);

#endif
