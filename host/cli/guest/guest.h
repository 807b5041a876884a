/*
 * A guest that is booted for one command, and is gone with it: what `provium run` and `provium
 * shell` have in common.
 */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include "host/cli/options/options.h"
#include "host/cli/options/values.h"
#include "host/cli/session/session.h"

struct guest_options {
	const char *kernel;
	const char *modules_dir;
	struct string_list modules;
	const char *initrd;
	const char *init;
	const char *root;
	uint64_t memory;
	unsigned int cpus;
	struct string_list append;
	unsigned int accel;
	unsigned int machine;
	unsigned int vsock;
	const char *socket;
	struct file_list files;
	struct disk_list disks;
	const char *console;
};

/* parse_choice stores the index. */
extern const char *const guest_accel_choices[];
extern const char *const guest_machine_choices[];
extern const char *const guest_vsock_choices[];

/* The rows of their tables; field: a struct guest_options in the command's options struct. */
/* clang-format off */
#define GUEST_OPTION_ROWS(type, field)                                                            \
	{ .name = "kernel",                                                                       \
	  .value = "FILE",                                                                        \
	  .help = "The kernel image (default: $PROVIUM_KERNEL, else /boot/vmlinuz-$(uname -r)).", \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.kernel) },                                               \
	{ .name = "modules",                                                                      \
	  .value = "DIR",                                                                         \
	  .help = "Its modules, as in /lib/modules/VERSION (default: $PROVIUM_MODULES if the "    \
		  "kernel is $PROVIUM_KERNEL, else 'modules' beside the kernel, else "            \
		  "/lib/modules/VERSION for a kernel named vmlinuz-VERSION).",                    \
	  .completion = COMPLETE_DIRECTORY,                                                       \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.modules_dir) },                                          \
	{ .name = "module",                                                                       \
	  .value = "NAME",                                                                        \
	  .help = "Load this module too, with those it depends on. May be repeated.",             \
	  .parse = parse_strings,                                                                 \
	  .offset = offsetof(type, field.modules),                                                \
	  .list = true },                                                                         \
	{ .name = "initrd",                                                                       \
	  .value = "FILE",                                                                        \
	  .help = "The guest's initramfs: cpio, plain or compressed by gzip, zstd, xz or lz4 "    \
		  "(default: one made from this machine's static busybox).",                      \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.initrd) },                                               \
	{ .name = "init",                                                                         \
	  .value = "PATH",                                                                        \
	  .help = "The guest's init (default: the initramfs's /init; without one the guest runs " \
		  "nothing but the agent and the command).",                                      \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.init) },                                                 \
	{ .name = "root",                                                                         \
	  .value = "DEVICE",                                                                      \
	  .help = "The guest's root is on this disk of its, /dev/NAME or PARTUUID=UUID, and its " \
		  "init there (default: /sbin/init).",                                            \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.root) },                                                 \
	{ .name = "memory",                                                                       \
	  .value = "SIZE",                                                                        \
	  .help = "The guest's memory in bytes, or with K, M or G behind it (default: 512M).",    \
	  .parse = parse_size,                                                                    \
	  .offset = offsetof(type, field.memory) },                                               \
	{ .name = "cpus",                                                                         \
	  .value = "N",                                                                           \
	  .help = "The guest's processors (default: 1).",                                         \
	  .parse = parse_count,                                                                   \
	  .offset = offsetof(type, field.cpus) },                                                 \
	{ .name = "append",                                                                       \
	  .value = "TEXT",                                                                        \
	  .help = "Append to the kernel's command line. May be repeated.",                        \
	  .parse = parse_strings,                                                                 \
	  .offset = offsetof(type, field.append),                                                 \
	  .list = true },                                                                         \
	{ .name = "accel",                                                                        \
	  .value = "auto|kvm|tcg",                                                                \
	  .help = "Accelerator; auto (the default) takes KVM where a guest really runs on it, else " \
		  "TCG, and says so.",                                                            \
	  .completion = COMPLETE_CHOICE,                                                          \
	  .choices = guest_accel_choices,                                                               \
	  .parse = parse_choice,                                                                  \
	  .offset = offsetof(type, field.accel) },                                                \
	{ .name = "machine",                                                                      \
	  .value = "q35|pc|microvm",                                                              \
	  .help = "The kind of machine (default: q35); microvm has no PCI.",                      \
	  .completion = COMPLETE_CHOICE,                                                          \
	  .choices = guest_machine_choices,                                                             \
	  .parse = parse_choice,                                                                  \
	  .offset = offsetof(type, field.machine) },                                              \
	{ .name = "vsock",                                                                        \
	  .value = "auto|kernel|user",                                                            \
	  .help = "The guest's vsock device; auto (the default) takes the kernel's vhost-vsock "  \
		  "where it can be opened, else provium-vsock.",                                  \
	  .completion = COMPLETE_CHOICE,                                                          \
	  .choices = guest_vsock_choices,                                                               \
	  .parse = parse_choice,                                                                  \
	  .offset = offsetof(type, field.vsock) },                                                \
	{ .name = "socket",                                                                       \
	  .value = "PATH",                                                                        \
	  .help = "Make the guest's vsock reachable for other processes at this Unix socket: "    \
		  "provium exec --connect unix:PATH. Takes provium-vsock.",                       \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.socket) },                                               \
	{ .name = "file",                                                                         \
	  .value = "GUEST=HOST",                                                                  \
	  .help = "Put the file or directory HOST into the guest as GUEST, an absolute path. May " \
		  "be repeated.",                                                                 \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_file,                                                                    \
	  .offset = offsetof(type, field.files),                                                  \
	  .list = true },                                                                         \
	{ .name = "disk",                                                                         \
	  .value = "FILE[,ro]",                                                                   \
	  .help = "Give the guest this raw image as a virtio disk, /dev/vda and on; with ,ro it " \
		  "cannot write to it. May be repeated.",                                         \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_disk,                                                                    \
	  .offset = offsetof(type, field.disks),                                                  \
	  .list = true },                                                                         \
	{ .name = "console",                                                                      \
	  .value = "FILE",                                                                        \
	  .help = "Write the guest's console there (default: a temporary file, shown where booting " \
		  "fails).",                                                                      \
	  .completion = COMPLETE_FILE,                                                            \
	  .parse = parse_string,                                                                  \
	  .offset = offsetof(type, field.console) }

#define GUEST_TIMEOUT_OPTION_ROW(type, field)                                                     \
	{ .name = "timeout", .value = "SECONDS",                                                  \
	  .help = "Stop the guest after so long, booting included; the exit status is then 124.", \
	  .parse = parse_seconds, .offset = offsetof(type, field) }
/* clang-format on */

/* Whether any of them asks for something else than the default. */
bool guest_options_given(const struct guest_options *options);

/*
 * Boots the guest, runs the session and stops the guest again, within timeout_ms (0: no limit).
 * Returns the exit status, or -1 and the error for main() to tell. fail_on_splat: where the kernel
 * has reported a fault since its boot that is told, and the status is STATUS_SPLAT.
 */
int guest_run(const struct guest_options *options, uint64_t timeout_ms, bool fail_on_splat,
	      const struct session_options *session, struct provium_error *error);

#endif
