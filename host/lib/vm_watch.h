/*
 * The thread that takes what the guest's console, QEMU and provium-vsock write, whether or not a
 * call into the library is under way.
 */
#ifndef LIB_VM_WATCH_H
#define LIB_VM_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/deadline.h"
#include "host/lib/vm_console.h"

/* Bytes of the console that its file takes; what is more is dropped, and told. */
#define VM_CONSOLE_FILE_LIMIT (256u << 20)

enum vm_source {
	VM_SOURCE_CONSOLE,
	/* Standard output and error. */
	VM_SOURCE_QEMU,
	VM_SOURCE_VSOCK,
	VM_SOURCES,
};

/* What the thread has found out; a copy, without the console's text. */
struct vm_findings {
	char panic[VM_CONSOLE_LINE];
	char fatal[VM_CONSOLE_LINE];
	bool panic_over;
	/* monotonic_ns() of the last line that began a panic; 0: there was none. */
	uint64_t panicked_ns;
	const char *hint;
	/* The console's file is not complete: errno of write(2), or EFBIG for the limit. 0: it is.
	 */
	int file_errno;
};

struct vm_watch {
	pthread_t thread;
	bool started;
	/* eventfd: the thread ends. */
	int stop_fd;
	/* eventfd: readable when the findings have changed in a way that somebody waits for. */
	int event_fd;
	/* The console's file; -1: none. */
	int file_fd;

	/* The thread's alone. */
	int fds[VM_SOURCES];
	uint64_t file_size;
	const char *pending;
	size_t pending_size;
	char buffer[16384];

	/* All that follows is guarded by it. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool open[VM_SOURCES];
	struct vm_console logs[VM_SOURCES];
	uint64_t panicked_ns;
	int file_errno;
};

/* Takes over fds (-1: none) and file_fd, also when it fails. */
int vm_watch_start(struct vm_watch *watch, const int fds[VM_SOURCES], int file_fd,
		   struct provium_error *error);

/* Ends the thread. Harmless on a watch of all zeroes that was not started. */
void vm_watch_stop(struct vm_watch *watch);

/* Waits until all that the source has written has been taken: its writer has ended. */
void vm_watch_drain(struct vm_watch *watch, enum vm_source source, int timeout_ms);

/* Makes event_fd unreadable until there is news. */
void vm_watch_findings(struct vm_watch *watch, struct vm_findings *findings);

/* As vm_console_tail. */
char *vm_watch_tail(struct vm_watch *watch, enum vm_source source, unsigned int lines,
		    size_t max_size);

/* As vm_console_panic. */
char *vm_watch_panic(struct vm_watch *watch, size_t max_size);

#endif
