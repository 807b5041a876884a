/*
 * Virtual machines, and the shim: the cpio archive that brings agent and wrapper into a guest.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_VM_H
#define PROVIUM_VM_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* ------------------------------------------------------------------------------------------- */
/* The shim */

/* A file or directory of the host's, and where it goes in the guest. */
struct provium_file {
	const char *guest_path;
	const char *host_path;
};

struct provium_shim_options {
	/*
	 * The kernel's modules: the directory that holds its modules.dep (/lib/modules/VERSION).
	 * NULL: the kernel needs none.
	 */
	const char *modules_dir;
	/* More modules to load, by name, with what they depend on; NULL-terminated. NULL: none. */
	const char *const *modules;
	const struct provium_file *files;
	size_t n_files;
	/* An initramfs (cpio, or that compressed by gzip, zstd, xz or lz4) to go with. NULL: none.
	 */
	const char *initrd;
	/* Add a userland made from the host's static busybox. */
	bool busybox;
	/*
	 * PROVIUM_TOKEN_SIZE bytes that the agent will ask every connection for
	 * (provium_connect_token). Whoever may read the shim knows it: the file is made with mode
	 * 0600 then. NULL: whoever reaches the agent may use it.
	 */
	const unsigned char *token;
};

/* Writes the shim to path, by way of a temporary file beside it. */
int provium_shim_write(const struct provium_shim_options *options, const char *path,
		       struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* Virtual machines */

struct provium_vm;

enum provium_accel {
	/* KVM where a guest really runs on it, else TCG. */
	PROVIUM_ACCEL_AUTO,
	PROVIUM_ACCEL_KVM,
	PROVIUM_ACCEL_TCG,
};

enum provium_vsock {
	/* The kernel's vhost-vsock where it can be opened, else provium-vsock. */
	PROVIUM_VSOCK_AUTO,
	PROVIUM_VSOCK_KERNEL,
	PROVIUM_VSOCK_USER,
};

enum provium_machine {
	/* PCI Express. No other's guests can be saved. */
	PROVIUM_MACHINE_Q35,
	/* PCI, of 1996. */
	PROVIUM_MACHINE_PC,
	/*
	 * No PCI, and no firmware to speak of: the kernel needs CONFIG_VIRTIO_MMIO and ACPI.
	 */
	PROVIUM_MACHINE_MICROVM,
};

struct provium_disk {
	const char *path;
	bool readonly;
	/* "raw" or "qcow2". NULL: raw. */
	const char *format;
};

struct provium_vm_options {
	/* Kernel image: a bzImage, or a vmlinux with CONFIG_PVH. Required. */
	const char *kernel;
	/* Modules, files, initrd: as in provium_shim_options. */
	const char *modules_dir;
	const char *const *modules;
	const char *initrd;
	const struct provium_file *files;
	size_t n_files;
	/* Without an initrd a busybox userland is made, unless this is set. */
	bool no_userland;
	/* The real init. NULL: the image's /init where there is one, else the wrapper is init. */
	const char *init;
	/* The real init is executed by provium_release_init, and not before. */
	bool hold;
	/*
	 * The guest's root: "/dev/NAME" or "PARTUUID=UUID" of a disk, which is mounted as the
	 * kernel does it without an initramfs (read-only unless append has "rw"; also "rootfstype",
	 * "rootflags", "rootwait"), and whose init is "/sbin/init" unless init names another. Only
	 * without initrd and files. NULL: the initramfs is the root, and its init may go to
	 * another.
	 */
	const char *root;
	/* Bytes. 0: 512 MiB. */
	uint64_t memory;
	/* 0: 1. */
	unsigned int cpus;
	/*
	 * Kernel parameters, after those of the library (console=ttyS0 panic=-1), which they may
	 * override. What follows a "--" goes to init.
	 */
	const char *append;
	enum provium_accel accel;
	enum provium_machine machine;
	enum provium_vsock vsock;
	/*
	 * Where provium-vsock makes its hybrid socket, so that other processes can connect
	 * (provium_connect, "unix:PATH", with the token beside it, "PATH.token"); both for this
	 * user only, removed with the VM. Neither may exist before. Only with
	 * provium-vsock: PROVIUM_VSOCK_KERNEL beside it is PROVIUM_INVALID. NULL: in the VM's
	 * private directory.
	 */
	const char *socket;
	const struct provium_disk *disks;
	size_t n_disks;
	/*
	 * Where the console goes: a file, truncated (made with mode 0600), a FIFO or a terminal. Of
	 * symbolic links those of /dev and /proc alone are followed.
	 * After 256 MiB, or when the disk is full, on_notice says so, and the rest is left out.
	 * NULL: a temporary file.
	 */
	const char *console;
	/* Until the agent answers, milliseconds. 0: 60 s, six times that under TCG. */
	int boot_timeout_ms;
	/* As provium_connection_set_cancel_fd, for this and every call on the VM. */
	bool has_cancel_fd;
	int cancel_fd;
	/*
	 * Called with what is worth knowing ("no KVM (...): using TCG"), during the boot and, by
	 * calls that wait for the VM, later. NULL: none.
	 */
	void (*on_notice)(void *user, const char *text);
	/* Called as each step begins: "trying KVM", "packing the initramfs", "starting QEMU",
	 * "waiting for the agent". NULL: none.
	 */
	void (*on_phase)(void *user, const char *text);
	void *user;
	/* NULL: "qemu-system-x86_64" and "provium-vsock", found in PATH (the latter first beside
	 * the running program, and beside this library). */
	const char *qemu;
	const char *vsock_program;
};

/*
 * Boots and waits until the agent answers. When it fails nothing is left behind. PROVIUM_BOOT: the
 * VM was started and did not come up (in time), or its root or init cannot be had; the message
 * holds what is known of the cause and the last 30 lines of the console. Standard input, output and
 * error of the process must be open (or on /dev/null).
 */
int provium_vm_boot(const struct provium_vm_options *options, struct provium_vm **vm,
		    struct provium_error *error);

/*
 * The connection that was made at boot; the VM's own, freed with it. While a call on it waits, the
 * end of QEMU and a panic of the guest are noticed too (PROVIUM_VM_GONE); a program that polls by
 * itself has provium_connection_vm_fd for that.
 */
struct provium_connection *provium_vm_connection(struct provium_vm *vm);

/* One more connection, to PORT (0: the agent's). The caller's; freed before the VM. */
int provium_vm_connect(struct provium_vm *vm, uint32_t port, int timeout_ms,
		       struct provium_connection **connection, struct provium_error *error);

enum provium_accel provium_vm_accel(const struct provium_vm *vm);
enum provium_vsock provium_vm_vsock(const struct provium_vm *vm);
/* Whether the guest's kernel has panicked, as far as that is known. */
bool provium_vm_panicked(struct provium_vm *vm);
/* -1 once it has ended. */
int provium_vm_qemu_pid(const struct provium_vm *vm);
/* The file that the console goes to. Lives as long as the VM. */
const char *provium_vm_console(const struct provium_vm *vm);

/* The last lines of the console so far, without control characters. Release with free(3). */
char *provium_vm_console_tail(struct provium_vm *vm, unsigned int lines);

/*
 * Has the agent end the guest in this way and waits until QEMU is gone, as it is when the guest has
 * powered off, rebooted or panicked. One that is still there a second after the agent's
 * acknowledgement (with sync five more, under TCG six times as long), as it is when the guest has
 * halted, or when the timeout has passed, is told to quit, and five seconds later killed. Where the
 * VM's own connection has ended and the guest has not, a new one is made for it. Fails where the
 * agent has not acknowledged or QEMU had to be killed; it is gone all the same, unless the call was
 * cancelled. A guest that has powered itself off before is fine.
 */
int provium_vm_shutdown(struct provium_vm *vm, enum provium_shutdown_mode mode, bool sync,
			int timeout_ms, struct provium_error *error);

/*
 * Waits until the guest has ended by itself: it has powered off, or rebooted, panicked, or QEMU has
 * ended. *end (NULL is allowed) then says how (PROVIUM_VM_GONE). timeout_ms of 0: 10 s, six times
 * that under TCG. An init that ends a system by killing every process kills the agent too, and a
 * call that waits for that has failed (PROVIUM_DISCONNECTED) before the guest has unmounted its
 * disks.
 */
int provium_vm_wait(struct provium_vm *vm, int timeout_ms, struct provium_error *end,
		    struct provium_error *error);

/*
 * Ends QEMU at once. Another thread may do so while calls on the VM's connections wait: these fail
 * at once with PROVIUM_VM_GONE.
 */
void provium_vm_kill(struct provium_vm *vm);

/* Kills what still runs, removes the temporary files, releases. NULL is allowed. */
void provium_vm_free(struct provium_vm *vm);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
