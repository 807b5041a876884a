/* When a guest's panic was printed, to measure how late it is told. */
#ifndef TESTS_VM_PANIC_WATCH_H
#define TESTS_VM_PANIC_WATCH_H

#include <pthread.h>
#include <stdint.h>

#include "host/include/provium.h"

/* Within so many milliseconds a panic is told. */
#define PANIC_TOLD_MS 100u

struct panic_watch {
	/* A FIFO in machine_directory, which is the guest's console. */
	char path[128];
	int fd;
	pthread_t thread;
	/* machine_now_ms() when each was seen: the panic's first line, and its last. 0: it was not.
	 */
	uint64_t panicked;
	uint64_t over;
};

/* Before the boot: changes the options, which borrow of the watch. */
void panic_watch_open(struct panic_watch *watch, struct provium_vm_options *options);

/* After the boot. */
void panic_watch_start(struct panic_watch *watch);

/* When the VM is gone. */
void panic_watch_finish(struct panic_watch *watch);

#endif
