/*
 * Guests that are saved once and resumed many times: a test is given one that is set up already, in
 * a tenth of the time that a boot takes.
 *
 *	provium_vm_boot(&options, &vm, &error);
 *	... set up ...
 *	provium_vm_save(vm, 60000, &snapshot, &error);
 *	provium_vm_free(vm);
 *
 *	provium_snapshot_resume(snapshot, NULL, &vm, &error);	... as often as wanted
 *
 * A resumed guest goes on where it was saved: processes, memory, mounts, open files, the agent's
 *jobs and the fds of its server. It has memory and disks of its own. What is new is the vsock
 *device, its clock, which is set to the host's, and its random numbers. Workers end with their
 *connections.
 *
 * A snapshot has no name anywhere. It is memory (as much as the guest has used) and files in TMPDIR
 * that no directory lists, and gone when the last process that has it has ended, however it ended.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_SNAPSHOT_H
#define PROVIUM_SNAPSHOT_H

#include "provium_vm.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct provium_snapshot;

/*
 * Saves the guest and ends its VM, of which provium_vm_free remains to be called. All connections
 * to it end; none may be used by another thread meanwhile. The content of a disk that the guest may
 * write to is copied into the snapshot, a read-only one is kept open.
 *
 * PROVIUM_BUSY, PROVIUM_INVALID: the VM's own connection is in use; PROVIUM_UNSUPPORTED: a disk's
 * image is in a form that cannot be saved. Nothing has been done then; where it fails later, the VM
 * has ended all the same. PROVIUM_TIMED_OUT where the guest's kernel cannot have its vsock device
 * unplugged (CONFIG_HOTPLUG_PCI_ACPI).
 */
int provium_vm_save(struct provium_vm *vm, int timeout_ms, struct provium_snapshot **snapshot,
		    struct provium_error *error);

/* All as in provium_vm_options. */
struct provium_resume_options {
	enum provium_vsock vsock;
	const char *socket;
	const char *console;
	/* Until the agent answers, milliseconds. 0: 60 s, six times that under TCG. */
	int timeout_ms;
	bool has_cancel_fd;
	int cancel_fd;
	void (*on_notice)(void *user, const char *text);
	/* "copying disks", "starting QEMU", "copying the guest's memory", "waiting for the agent".
	 */
	void (*on_phase)(void *user, const char *text);
	void *user;
	const char *qemu;
	const char *vsock_program;
};

/*
 * Makes a VM that goes on where the snapshot was taken, and waits until its agent answers. It is as
 * any other, and can be saved again. options may be NULL. Several threads may resume one snapshot
 * at a time. Errors are those of provium_vm_boot; the console begins with the resume.
 */
int provium_snapshot_resume(const struct provium_snapshot *snapshot,
			    const struct provium_resume_options *options, struct provium_vm **vm,
			    struct provium_error *error);

/* Of the guest: bytes, and processors. */
uint64_t provium_snapshot_memory(const struct provium_snapshot *snapshot);
unsigned int provium_snapshot_cpus(const struct provium_snapshot *snapshot);
/* What it was saved on, and is resumed on. */
enum provium_accel provium_snapshot_accel(const struct provium_snapshot *snapshot);

/* ------------------------------------------------------------------------------------------- */
/* For another process: a text, and fds that go with it over a Unix socket (SCM_RIGHTS) */

#define PROVIUM_SNAPSHOT_MAX_FDS  18
#define PROVIUM_SNAPSHOT_MAX_TEXT 131072

/*
 * The text, JSON in one line. Whoever reads it can use the agents of the guests: it holds their
 * token. Release with free(3). NULL: no memory.
 */
char *provium_snapshot_text(const struct provium_snapshot *snapshot);

/* Puts the fds, which stay the snapshot's, into fds; returns how many there are in all. */
size_t provium_snapshot_fds(const struct provium_snapshot *snapshot, int *fds, size_t capacity);

/*
 * Makes a snapshot of what another process has sent. The fds are duplicated and stay the caller's.
 * PROVIUM_INVALID where text and fds do not fit, or the text is none.
 */
int provium_snapshot_open(const char *text, const int *fds, size_t n_fds,
			  struct provium_snapshot **snapshot, struct provium_error *error);

/* VMs that were resumed from it go on. NULL is allowed. */
void provium_snapshot_free(struct provium_snapshot *snapshot);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
