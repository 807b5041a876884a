/*
 * QEMU's argument vector.
 *
 * -nodefaults and -no-user-config leave a machine that holds what stands here and nothing else, on
 * any host. Everything that connects it to us is an inherited socket: no path to clash or to leave
 * behind, and QEMU's end is an end of file here.
 *
 * What is in option syntax (KEY=VALUE,...) has its commas doubled (qemu(1)); what is an argument of
 * its own (-kernel, -append) is taken by QEMU as it is.
 */
#include "host/lib/qemu_args.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

/* By enum provium_machine. */
static const struct machine {
	const char *name;
	/* How the names of its virtio devices end. */
	const char *virtio;
	/* What a device that can be unplugged is plugged into; "" where none can. */
	const char *port;
} machines[] = {
	[PROVIUM_MACHINE_Q35] = { "q35", "pci", ",bus=" QEMU_VSOCK_PORT },
	[PROVIUM_MACHINE_PC] = { "pc", "pci", "" },
	[PROVIUM_MACHINE_MICROVM] = { "microvm", "device", "" },
};

struct vector {
	char **args;
	size_t n;
	size_t capacity;
	bool failed;
};

/* Takes arg over; NULL is remembered as a failure. */
static void append_owned(struct vector *vector, char *arg)
{
	/* Room for the NULL at the end. */
	if (arg && vector->n + 1 >= vector->capacity) {
		size_t capacity = vector->capacity ? vector->capacity * 2 : 64;
		char **args = reallocarray(vector->args, capacity, sizeof(*args));

		if (args) {
			vector->args = args;
			vector->capacity = capacity;
		} else {
			free(arg);
			arg = NULL;
		}
	}
	if (!arg) {
		vector->failed = true;
		return;
	}
	vector->args[vector->n++] = arg;
	vector->args[vector->n] = NULL;
}

static void append(struct vector *vector, const char *arg)
{
	append_owned(vector, strdup(arg));
}

static void __attribute__((format(printf, 2, 3)))
append_format(struct vector *vector, const char *fmt, ...)
{
	char *arg = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&arg, fmt, args) < 0)
		arg = NULL;
	va_end(args);
	append_owned(vector, arg);
}

/* A value inside option syntax. */
static char *double_commas(const char *value)
{
	char *quoted = malloc(strlen(value) * 2 + 1);
	char *to = quoted;

	if (!quoted)
		return NULL;
	for (; *value; value++) {
		if (*value == ',')
			*to++ = ',';
		*to++ = *value;
	}
	*to = '\0';
	return quoted;
}

static void append_machine(struct vector *vector, const struct qemu_options *options)
{
	uint64_t mib = options->memory >> 20;

	append(vector, "-nodefaults");
	append(vector, "-no-user-config");
	append(vector, "-display");
	append(vector, "none");
	/*
	 * A reboot ends QEMU: of a panic too, since the kernel is told to reboot then. pvpanic
	 * tells the panic itself; its own action is none, so that the kernel prints all of it.
	 */
	append(vector, "-no-reboot");
	append(vector, "-action");
	append(vector, "panic=none");
	append(vector, "-machine");
	append_format(vector, "%s,memory-backend=memory0", machines[options->machine].name);
	if (options->accel == PROVIUM_ACCEL_KVM) {
		append(vector, "-accel");
		append(vector, "kvm");
		append(vector, "-cpu");
		append(vector, "host");
	} else {
		append(vector, "-accel");
		append(vector, "tcg,thread=multi");
		append(vector, "-cpu");
		append(vector, "max");
	}
	append(vector, "-smp");
	append_format(vector, "%u", options->cpus);
	append(vector, "-m");
	append_format(vector, "%" PRIu64 "M", mib);
	/*
	 * Shared: vhost-user's back end maps it, and a snapshot takes it as it is. As a file rather
	 * than by a backend for memfds, whose memory later versions would save as part of the
	 * state.
	 */
	append(vector, "-object");
	append_format(vector,
		      "memory-backend-file,id=memory0,size=%" PRIu64
		      "M,share=on,mem-path=/proc/self/fd/%d",
		      mib, options->memory_fd);
}

static void append_sockets(struct vector *vector, const struct qemu_options *options)
{
	append(vector, "-chardev");
	append_format(vector, "socket,id=console,fd=%d", options->console_fd);
	append(vector, "-serial");
	append(vector, "chardev:console");
	append(vector, "-chardev");
	append_format(vector, "socket,id=qmp,fd=%d", options->qmp_fd);
	append(vector, "-mon");
	append(vector, "chardev=qmp,mode=control");
}

/* Behind a root port of its own where the machine has such: a q35 slot is hotplugged only there. */
static void append_vsock(struct vector *vector, const struct qemu_options *options)
{
	const struct machine *machine = &machines[options->machine];

	if (machine->port[0]) {
		append(vector, "-device");
		append(vector, "pcie-root-port,id=" QEMU_VSOCK_PORT ",chassis=1,slot=1");
	}
	if (options->vsock == PROVIUM_VSOCK_USER) {
		append(vector, "-chardev");
		append_format(vector, "socket,id=" QEMU_VSOCK_CHARDEV ",fd=%d", options->vsock_fd);
	}
	if (options->incoming)
		return;
	append(vector, "-device");
	if (options->vsock == PROVIUM_VSOCK_USER)
		append_format(vector,
			      "vhost-user-vsock-%s,id=" QEMU_VSOCK_DEVICE
			      ",chardev=" QEMU_VSOCK_CHARDEV "%s",
			      machine->virtio, machine->port);
	else
		append_format(vector,
			      "vhost-vsock-%s,id=" QEMU_VSOCK_DEVICE
			      ",vhostfd=%d,guest-cid=%" PRIu32 "%s",
			      machine->virtio, options->vsock_fd, options->guest_cid,
			      machine->port);
}

/* For the end of a disk's; "" where there is none. NULL: no memory. */
static char *format_backing(const struct qemu_backing *backing)
{
	cleanup_free char *path = NULL;
	char *text;

	if (!backing || !backing->path)
		return strdup("");
	path = double_commas(backing->path);
	if (!path ||
	    asprintf(&text, ",backing.driver=%s,backing.file.driver=file,backing.file.filename=%s",
		     backing->format, path) < 0)
		return NULL;
	return text;
}

static void append_disk(struct vector *vector, const struct qemu_options *options, size_t number)
{
	const struct provium_disk *disk = &options->disks[number];
	const char *readonly = disk->readonly ? "on" : "off";
	cleanup_free char *path = double_commas(disk->path);
	cleanup_free char *backing =
		format_backing(options->backings ? &options->backings[number] : NULL);

	if (!path || !backing) {
		vector->failed = true;
		return;
	}
	append(vector, "-blockdev");
	append_format(vector,
		      "driver=%s,node-name=disk%zu,read-only=%s,discard=unmap,file.driver=file,"
		      "file.filename=%s,file.discard=unmap%s",
		      disk->format ? disk->format : "raw", number, readonly, path, backing);
	append(vector, "-device");
	/* /dev/disk/by-id/virtio-diskN in the guest, however the kernel names it. */
	append_format(vector, "virtio-blk-%s,drive=disk%zu,serial=disk%zu",
		      machines[options->machine].virtio, number, number);
}

char **qemu_args(const struct qemu_options *options)
{
	struct vector vector = { 0 };

	append(&vector, options->program);
	append_machine(&vector, options);
	if (options->incoming) {
		append(&vector, "-incoming");
		append(&vector, "defer");
	} else {
		append(&vector, "-kernel");
		append(&vector, options->kernel);
		append(&vector, "-initrd");
		append(&vector, options->initrd);
		append(&vector, "-append");
		append(&vector, options->command_line);
	}
	append_sockets(&vector, options);
	append(&vector, "-device");
	append(&vector, "pvpanic");
	append_vsock(&vector, options);
	/* Without it a guest under TCG waits for entropy that never comes (getrandom(2)). */
	append(&vector, "-device");
	append_format(&vector, "virtio-rng-%s", machines[options->machine].virtio);
	for (size_t i = 0; i < options->n_disks; i++)
		append_disk(&vector, options, i);

	if (vector.failed) {
		qemu_args_free(vector.args);
		return NULL;
	}
	return vector.args;
}

void qemu_args_free(char **args)
{
	if (!args)
		return;
	for (char **arg = args; *arg; arg++)
		free(*arg);
	free(args);
}
