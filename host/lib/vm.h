/*
 * A running VM: its processes, what connects them to us, and what is known of its end.
 *
 *     provium (this library) --- QMP, console: socket pairs ---------- QEMU
 *            |                                                          |
 *            +--- hybrid socket (unix:PATH) --- provium-vsock --- vhost-user: a socket pair
 *
 * (with the kernel's vhost-vsock there is no provium-vsock, and an AF_VSOCK socket in place of the
 * hybrid one). vm_boot.c brings it up, by the steps of vm_start.c; vm_save.c makes a snapshot of
 * it, and vm_resume.c another VM of that; vm_monitor.c notices its end while any call waits,
 * vm_control.c has QEMU do things, and vm.c is what callers see of it.
 */
#ifndef LIB_VM_H
#define LIB_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/address.h"
#include "host/lib/qmp.h"
#include "host/lib/vm_files.h"
#include "host/lib/vm_hardware.h"
#include "host/lib/vm_process.h"
#include "host/lib/vm_watch.h"
#include "host/lib/wait.h"

/* Lines of the console in an error. */
#define VM_TAIL_LINES 30

enum vm_migration {
	/* Has not ended. */
	VM_MIGRATION_NONE,
	VM_MIGRATION_COMPLETED,
	VM_MIGRATION_FAILED,
};

/*
 * What a guest may take that ends by itself, from the death of its processes to that of QEMU,
 * without TCG's factor.
 */
#define VM_OWN_END_MS 10000

struct provium_vm {
	struct vm_hardware hardware;
	enum provium_vsock vsock;
	struct vm_files files;
	struct vm_process qemu;
	/* Not running with PROVIUM_VSOCK_KERNEL. */
	struct vm_process vsock_program;
	/* provium-vsock ends when it is closed. */
	int life_fd;
	struct vm_watch watch;
	/* The agent, and what it asks of every connection. */
	struct address address;
	uint8_t token[PROVIUM_TOKEN_SIZE];
	int cancel_fd;
	struct provium_connection *connection;
	/* Before the agent has answered. */
	bool booting;
	void (*on_notice)(void *user, const char *text);
	void *user;

	/*
	 * Connections of one VM may be used in several threads, and each has this monitor. Its lock
	 * guards all that follows.
	 */
	struct connection_monitor monitor;
	pthread_mutex_t lock;
	struct qmp qmp;
	/* QEMU's event GUEST_PANICKED came. */
	bool guest_panicked;
	/* Since when the guest runs nothing, monotonic_ns(); 0: that is not known. */
	uint64_t silent_since;
	/* The reason in QEMU's event SHUTDOWN; "" before it. */
	char shutdown_reason[32];
	/* QEMU has stopped it on its own, and cannot run it on. */
	bool stopped;
	/* It does not run because we want it so. */
	bool held;
	/* QEMU's event DEVICE_DELETED for the vsock device. */
	bool unplugged;
	/* How the last migration has ended, which is how QEMU saves and loads a state. */
	enum vm_migration migration;
	/* Of a disk whose file could not be read or written; "": it was something else. */
	char disk_failure[64];
	/* By provium_vm_kill; by provium_vm_save. */
	bool killed;
	bool saved;
	/* The guest or QEMU is gone for good, and gone_error says why. */
	bool gone;
	struct provium_error gone_error;
	/* eventfd: readable from then on, and once a process of the VM's has been reaped. */
	int gone_fd;
	bool file_failure_told;
};

/* Makes monitor and lock; vm_monitor_finish releases them, also where this has failed. */
int vm_monitor_init(struct provium_vm *vm, struct provium_error *error);
void vm_monitor_finish(struct provium_vm *vm);

/* Calls that wait look at everything when fd is readable, until it is closed. */
int vm_monitor_add(struct provium_vm *vm, int fd, struct provium_error *error);

/* QEMU's socket for QMP, taken over. */
int vm_monitor_attach(struct provium_vm *vm, int qmp_fd, struct provium_error *error);

/* vm_process_reap for a process that the monitor watches. The lock is held. */
bool vm_monitor_reap(struct provium_vm *vm, struct vm_process *process, int timeout_ms);

/* Looks at everything. Not 0: it is gone, *error says why. */
int vm_monitor_check(struct provium_vm *vm, struct provium_error *error);

/* As qmp_execute, and where the VM is gone the error says why. */
int vm_command(struct provium_vm *vm, const char *command, json_t *arguments,
	       const struct deadline *deadline, json_t **result, struct provium_error *error);

/* As qmp_send, qmp_await_reply and qmp_has_refused. Calls that wait take the reply, too. */
int vm_send_command(struct provium_vm *vm, const char *command, json_t *arguments,
		    const struct deadline *deadline, struct provium_error *error);
int vm_await_reply(struct provium_vm *vm, const char *command, const struct deadline *deadline,
		   struct provium_error *error);
bool vm_has_refused(struct provium_vm *vm);

/* As qmp_pass_fd. */
int vm_pass_fd(struct provium_vm *vm, const char *name, int fd, const struct deadline *deadline,
	       struct provium_error *error);

/* Waits until done, which is called with the lock held. */
int vm_await(struct provium_vm *vm, bool (*done)(const struct provium_vm *vm),
	     const struct wait_limits *limits, const char *what, struct provium_error *error);

/*
 * What a migration of all but the guest's memory needs, at both ends. The memory's file is shared,
 * and left out.
 */
int vm_prepare_migration(struct provium_vm *vm, const struct deadline *deadline,
			 struct provium_error *error);

/* Waits until the migration has ended, and fails where it has failed. */
int vm_await_migration(struct provium_vm *vm, const struct wait_limits *limits, const char *what,
		       struct provium_error *error);

/* The limits of a call on the VM. */
struct wait_limits vm_limits(const struct provium_vm *vm, const struct deadline *deadline);

/*
 * Puts the console's last lines behind the message, as many as fit. A boot that failed, or a guest
 * that has ended.
 */
void vm_append_console(struct provium_vm *vm, struct provium_error *error);

/* Ends QEMU and provium-vsock, whatever they do. */
void vm_kill(struct provium_vm *vm);

#endif
