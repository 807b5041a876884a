/* QEMU's argument vector, each option on and off. */
#include "host/lib/qemu_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static char **args;

static void finish(void)
{
	qemu_args_free(args);
	args = NULL;
}

static struct qemu_options options_of(void)
{
	return (struct qemu_options){
		.program = "/usr/bin/qemu-system-x86_64",
		.accel = PROVIUM_ACCEL_TCG,
		.memory = (uint64_t)512 << 20,
		.memory_fd = 8,
		.cpus = 1,
		.kernel = "/boot/vmlinuz",
		.initrd = "/proc/self/fd/9",
		.command_line = "console=ttyS0 a=\"b, c\"",
		.console_fd = 5,
		.qmp_fd = 6,
		.vsock = PROVIUM_VSOCK_USER,
		.vsock_fd = 7,
	};
}

static void make(const struct qemu_options *options)
{
	qemu_args_free(args);
	args = qemu_args(options);
	ck_assert_ptr_nonnull(args);
}

/* How often the vector holds the argument. */
static int count(const char *arg)
{
	int n = 0;

	for (char **at = args; *at; at++)
		n += strcmp(*at, arg) == 0;
	return n;
}

/* Whether option is followed by value. */
static bool has(const char *option, const char *value)
{
	for (char **at = args; *at; at++) {
		if (strcmp(*at, option) == 0 && at[1] && strcmp(at[1], value) == 0)
			return true;
	}
	return false;
}

/* Where in the vector the argument is; -1: nowhere. */
static int position(const char *arg)
{
	for (int i = 0; args[i]; i++) {
		if (strcmp(args[i], arg) == 0)
			return i;
	}
	return -1;
}

/* Whether any argument has the text in it. */
static bool mentions(const char *text)
{
	for (char **at = args; *at; at++) {
		if (strstr(*at, text))
			return true;
	}
	return false;
}

START_TEST(test_machine)
{
	struct qemu_options options = options_of();

	make(&options);
	ck_assert_str_eq(args[0], "/usr/bin/qemu-system-x86_64");
	ck_assert_int_eq(count("-nodefaults"), 1);
	ck_assert_int_eq(count("-no-user-config"), 1);
	ck_assert_int_eq(count("-no-reboot"), 1);
	ck_assert(has("-action", "panic=none"));
	ck_assert(has("-display", "none"));
	ck_assert(has("-m", "512M"));
	ck_assert(has("-smp", "1"));
	ck_assert(has("-kernel", "/boot/vmlinuz"));
	ck_assert(has("-initrd", "/proc/self/fd/9"));
	/* An argument of its own: its commas stay. */
	ck_assert(has("-append", "console=ttyS0 a=\"b, c\""));
	ck_assert(has("-device", "pvpanic"));
	ck_assert(has("-device", "virtio-rng-pci"));
	ck_assert(!mentions("blockdev"));
}
END_TEST

START_TEST(test_sockets)
{
	struct qemu_options options = options_of();

	make(&options);
	ck_assert(has("-chardev", "socket,id=console,fd=5"));
	ck_assert(has("-serial", "chardev:console"));
	ck_assert(has("-chardev", "socket,id=qmp,fd=6"));
	ck_assert(has("-mon", "chardev=qmp,mode=control"));
}
END_TEST

START_TEST(test_tcg)
{
	struct qemu_options options = options_of();

	make(&options);
	ck_assert(has("-accel", "tcg,thread=multi"));
	ck_assert(has("-cpu", "max"));
	ck_assert(!mentions("kvm"));
}
END_TEST

START_TEST(test_kvm)
{
	struct qemu_options options = options_of();

	options.accel = PROVIUM_ACCEL_KVM;
	make(&options);
	ck_assert(has("-accel", "kvm"));
	ck_assert(has("-cpu", "host"));
	ck_assert(!mentions("tcg"));
}
END_TEST

START_TEST(test_size)
{
	struct qemu_options options = options_of();

	options.memory = (uint64_t)1 << 40;
	options.cpus = 255;
	make(&options);
	ck_assert(has("-machine", "q35,memory-backend=memory0"));
	ck_assert(has("-m", "1048576M"));
	ck_assert(has("-smp", "255"));
	ck_assert(has("-object", "memory-backend-file,id=memory0,size=1048576M,share=on,"
				 "mem-path=/proc/self/fd/8"));
}
END_TEST

START_TEST(test_vsock_user)
{
	struct qemu_options options = options_of();

	make(&options);
	ck_assert(has("-chardev", "socket,id=vsock,fd=7"));
	ck_assert(has("-device", "vhost-user-vsock-pci,id=vsock0,chardev=vsock,bus=port0"));
	/* The port is there before what is plugged into it. */
	ck_assert_int_ge(position("pcie-root-port,id=port0,chassis=1,slot=1"), 0);
	ck_assert_int_lt(position("pcie-root-port,id=port0,chassis=1,slot=1"),
			 position("vhost-user-vsock-pci,id=vsock0,chardev=vsock,bus=port0"));
	ck_assert(!mentions("guest-cid"));
}
END_TEST

START_TEST(test_vsock_kernel)
{
	struct qemu_options options = options_of();

	options.vsock = PROVIUM_VSOCK_KERNEL;
	options.guest_cid = 4294967294u;
	make(&options);
	ck_assert(has("-device",
		      "vhost-vsock-pci,id=vsock0,vhostfd=7,guest-cid=4294967294,bus=port0"));
	ck_assert(!mentions("vhost-user"));
	ck_assert(!mentions("id=vsock,"));
}
END_TEST

/* Devices on the bus that the machine has. */
START_TEST(test_machines)
{
	const struct provium_disk disk = { .path = "disk" };
	struct qemu_options options = options_of();

	options.disks = &disk;
	options.n_disks = 1;
	options.machine = PROVIUM_MACHINE_PC;
	make(&options);
	ck_assert(has("-machine", "pc,memory-backend=memory0"));
	ck_assert(has("-device", "vhost-user-vsock-pci,id=vsock0,chardev=vsock"));
	ck_assert(has("-device", "virtio-rng-pci"));
	ck_assert(has("-device", "virtio-blk-pci,drive=disk0,serial=disk0"));
	ck_assert(!mentions("port0"));

	options.machine = PROVIUM_MACHINE_MICROVM;
	make(&options);
	ck_assert(has("-machine", "microvm,memory-backend=memory0"));
	ck_assert(has("-device", "vhost-user-vsock-device,id=vsock0,chardev=vsock"));
	ck_assert(has("-device", "virtio-rng-device"));
	ck_assert(has("-device", "virtio-blk-device,drive=disk0,serial=disk0"));
	ck_assert(!mentions("pci"));

	options.vsock = PROVIUM_VSOCK_KERNEL;
	options.guest_cid = 77;
	make(&options);
	ck_assert(has("-machine", "microvm,memory-backend=memory0"));
	ck_assert(has("-device", "vhost-vsock-device,id=vsock0,vhostfd=7,guest-cid=77"));
}
END_TEST

START_TEST(test_disks)
{
	const struct provium_disk disks[] = {
		{ .path = "/images/a.img" },
		{ .path = "/images/b,c,,d.qcow2", .readonly = true, .format = "qcow2" },
		{ .path = "=" },
	};
	struct qemu_options options = options_of();

	options.disks = disks;
	options.n_disks = 3;
	make(&options);
	ck_assert_int_eq(count("-blockdev"), 3);
	ck_assert(has("-blockdev",
		      "driver=raw,node-name=disk0,read-only=off,discard=unmap,file.driver=file,"
		      "file.filename=/images/a.img,file.discard=unmap"));
	ck_assert(has("-blockdev",
		      "driver=qcow2,node-name=disk1,read-only=on,discard=unmap,file.driver=file,"
		      "file.filename=/images/b,,c,,,,d.qcow2,file.discard=unmap"));
	ck_assert(has("-blockdev",
		      "driver=raw,node-name=disk2,read-only=off,discard=unmap,file.driver=file,"
		      "file.filename==,file.discard=unmap"));
	ck_assert(has("-device", "virtio-blk-pci,drive=disk0,serial=disk0"));
	ck_assert(has("-device", "virtio-blk-pci,drive=disk1,serial=disk1"));
	ck_assert(has("-device", "virtio-blk-pci,drive=disk2,serial=disk2"));
}
END_TEST

/* Of a state that is loaded into it: no kernel, and what vsock device is plugged comes later. */
START_TEST(test_incoming)
{
	const struct provium_disk disks[] = {
		{ .path = "/proc/self/fd/9" },
		{ .path = "/proc/self/fd/10", .format = "qcow2" },
	};
	const struct qemu_backing backings[] = {
		{ 0 },
		{ .path = "/images/base,1", .format = "raw" },
	};
	struct qemu_options options = options_of();

	options.incoming = true;
	options.kernel = options.initrd = options.command_line = NULL;
	options.disks = disks;
	options.backings = backings;
	options.n_disks = 2;
	make(&options);
	ck_assert(has("-incoming", "defer"));
	ck_assert_int_eq(count("-kernel") + count("-initrd") + count("-append"), 0);
	ck_assert(has("-device", "pcie-root-port,id=port0,chassis=1,slot=1"));
	ck_assert(has("-chardev", "socket,id=vsock,fd=7"));
	ck_assert(!mentions("vsock-pci"));
	ck_assert(has("-blockdev",
		      "driver=raw,node-name=disk0,read-only=off,discard=unmap,file.driver=file,"
		      "file.filename=/proc/self/fd/9,file.discard=unmap"));
	ck_assert(has("-blockdev",
		      "driver=qcow2,node-name=disk1,read-only=off,discard=unmap,file.driver=file,"
		      "file.filename=/proc/self/fd/10,file.discard=unmap,backing.driver=raw,"
		      "backing.file.driver=file,backing.file.filename=/images/base,,1"));

	options.vsock = PROVIUM_VSOCK_KERNEL;
	make(&options);
	ck_assert(!mentions("id=vsock"));
	ck_assert(!mentions("vsock-pci"));
}
END_TEST

/* Longer than any buffer of a first guess, and many. */
START_TEST(test_long)
{
	struct provium_disk disks[16];
	struct qemu_options options = options_of();
	static char path[4096];

	memset(path, ',', sizeof(path) - 1);
	for (size_t i = 0; i < 16; i++)
		disks[i] = (struct provium_disk){ .path = path };
	options.disks = disks;
	options.n_disks = 16;
	options.command_line = path;
	make(&options);
	ck_assert_int_eq(count("-blockdev"), 16);
	ck_assert(has("-append", path));
	for (char **at = args; *at; at++) {
		if (strncmp(*at, "driver=", 7) == 0)
			ck_assert_uint_gt(strlen(*at), 8190u);
	}
}
END_TEST

START_TEST(test_free_nothing)
{
	qemu_args_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-qemu-args");
	TCase *tcase = unit_counted_case("args");

	tcase_add_checked_fixture(tcase, NULL, finish);
	tcase_add_test(tcase, test_machine);
	tcase_add_test(tcase, test_sockets);
	tcase_add_test(tcase, test_tcg);
	tcase_add_test(tcase, test_kvm);
	tcase_add_test(tcase, test_size);
	tcase_add_test(tcase, test_vsock_user);
	tcase_add_test(tcase, test_vsock_kernel);
	tcase_add_test(tcase, test_machines);
	tcase_add_test(tcase, test_disks);
	tcase_add_test(tcase, test_incoming);
	tcase_add_test(tcase, test_long);
	tcase_add_test(tcase, test_free_nothing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
