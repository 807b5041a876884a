/*
 * Starting a VM, in steps that a boot (vm_boot.c) and a resume (vm_resume.c) have in common: the
 * processes, what connects them to us, and the way to the agent.
 *
 * Every step may fail. What it has made so far is in the struct provium_vm, which provium_vm_free
 * takes apart at any stage, and in the struct vm_start, for vm_start_finish.
 */
#ifndef LIB_VM_START_H
#define LIB_VM_START_H

#include <limits.h>

#include "host/include/provium.h"
#include "host/lib/deadline.h"
#include "host/lib/qemu_args.h"
#include "host/lib/vm.h"

/* Memory, disks, and an initramfs. */
#define VM_START_MAX_KEEP (VM_MAX_DISKS + 2)

struct vm_start {
	/* From here to user: as in provium_vm_options, with its defaults filled in. */
	enum provium_vsock vsock;
	const char *socket;
	const char *console;
	const char *qemu;
	const char *vsock_program;
	int timeout_ms;
	int cancel_fd;
	void (*on_notice)(void *user, const char *text);
	void (*on_phase)(void *user, const char *text);
	void *user;

	struct provium_vm *vm;
	struct deadline deadline;
	char qemu_path[PATH_MAX];
	char vsock_path[PATH_MAX];
	/* The ends that the processes inherit; -1: none (any more). */
	int qemu_console;
	int qemu_qmp;
	int qemu_vsock;
	int vsock_socket;
	int vsock_life;
	int qemu_log;
	int vsock_log;
	uint32_t guest_cid;
	struct provium_error *error;
};

/* Of a vm_start whose options are set: everything else of it, and vm, a new VM of nothing yet. */
int vm_start_init(struct vm_start *start, struct provium_error *error);

/* Closes the ends that are the processes'. The VM stays. */
void vm_start_finish(struct vm_start *start);

void vm_start_phase(const struct vm_start *start, const char *text);
void vm_start_notice(const struct vm_start *start, const char *text);

/*
 * Chooses the vsock device, finds the programs, and makes the private directory, the sockets and
 * the thread that reads them. token: what the agent will ask for.
 */
int vm_start_prepare(struct vm_start *start, const uint8_t token[PROVIUM_TOKEN_SIZE]);

/* From now on the timeout counts, or what a VM has of it by default. */
void vm_start_deadline(struct vm_start *start);

/*
 * Starts provium-vsock, where it is used, and QEMU. *options is what is special about QEMU;
 * program, sockets and vsock device are filled in here. keep: the fds that its arguments name.
 */
int vm_start_run(struct vm_start *start, struct qemu_options *options, const int *keep,
		 size_t n_keep);

/* Waits until QEMU answers on its control socket, by which it has started. */
int vm_start_negotiate(struct vm_start *start);

/* Waits until the agent answers: vm->connection. */
int vm_start_connect(struct vm_start *start);

#endif
