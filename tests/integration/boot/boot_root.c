/* A root on a disk that the wrapper mounts, as the kernel does it without an initramfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/boot/guest.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define PARTITION_START ((off_t)1 << 20)
#define PARTITION_SIZE  ((off_t)8 << 20)

static struct provium_error error;
static char image[128];

/*
 * A file system with two inits, each of which tells what it finds where there is something that can
 * be written to.
 */
static void make_root(void)
{
	static const char init[] = "#!/bin/sh\n"
				   "export PATH=/bin\n"
				   "mount -t proc proc /proc\n"
				   "mount -t tmpfs tmpfs /tmp\n"
				   "tr '\\0' ' ' < /proc/1/cmdline > /tmp/init\n"
				   "cat /given >> /tmp/init\n"
				   "while sleep 1; do :; done\n";

	machine_put("init", init, 0755);
	snprintf(image, sizeof(image), "%s/image", machine_directory);
	machine_on_host(
		"mkdir -p r/bin r/sbin r/dev r/proc r/tmp && "
		"cp /bin/busybox r/bin/ && cp init r/sbin/init && mv init r/sbin/other && "
		"for i in sh cat mount tr sleep awk touch; do ln -s busybox r/bin/$i; done && "
		"echo disk > r/where && truncate -s 8M image && mke2fs -q -t ext4 -d r image && "
		"rm -r r");
}

/* The same as the first partition of a disk with the signature 0xdeadbeef. */
static void make_partition(void)
{
	static const unsigned char mbr[512] = {
		[440] = 0xef, 0xbe,         0xad,         0xde, [450] = 0x83,
		[455] = 0x08, [459] = 0x40, [510] = 0x55, 0xaa,
	};
	int fd;

	make_root();
	machine_on_host("truncate -s 1M disk && cat image >> disk && mv disk image");
	fd = open(image, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, mbr, sizeof(mbr), 0), sizeof(mbr));
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), PARTITION_START + PARTITION_SIZE);
	close(fd);
}

static struct provium_vm *boot(struct provium_vm_options *options)
{
	struct provium_disk disk = { .path = image };

	options->disks = &disk;
	options->n_disks = 1;
	return machine_boot(options);
}

static void finish(struct provium_vm *vm)
{
	provium_vm_kill(vm);
	provium_vm_free(vm);
	remove(image);
}

/* Held back, init finds what is put into its root, which can be written to where that is asked for.
 */
START_TEST(test_hold)
{
	struct provium_vm_options options = machine_options();
	struct provium_connection *connection;
	struct provium_vm *vm;

	make_root();
	options.root = "/dev/vda";
	options.hold = true;
	options.append = "rw rootflags=commit=9 -- last";
	vm = boot(&options);
	connection = provium_vm_connection(vm);
	ck_assert(provium_connection_agent(connection)->init_held);
	ck_assert(!provium_connection_agent(connection)->own_root);
	ck_assert(guest_holds(connection, "/where", "disk\n"));
	guest_put(connection, "/given", "before");
	ck_assert_msg(provium_release_init(connection, GUEST_MS, &error) == 0, "%s", error.message);
	guest_await(connection, "/tmp/init", "/bin/sh /sbin/init last before");
	machine_expect(connection, "awk '{print $1, $2, $3}' /proc/mounts",
		       "/dev/root / ext4\ndevtmpfs /dev devtmpfs\nproc /proc proc\n"
		       "tmpfs /tmp tmpfs\n");
	machine_expect(connection, "awk '$3 == \"ext4\" {print $4}' /proc/1/mounts",
		       "rw,relatime,commit=9\n");
	finish(vm);
}
END_TEST

/*
 * By the kernel's own parameters, which count where the initramfs has no init: a partition, and not
 * to be written to unless it is asked for.
 */
START_TEST(test_parameters)
{
	struct provium_vm_options options = machine_options();
	struct provium_connection *connection;
	struct provium_vm *vm;

	make_partition();
	options.no_userland = true;
	options.append = "root=PARTUUID=DEADBEEF-01 rootfstype=none,ext4 rootwait init=/sbin/other";
	vm = boot(&options);
	connection = provium_vm_connection(vm);
	ck_assert_uint_gt(provium_connection_agent(connection)->init_started_ns, 0);
	guest_await(connection, "/tmp/init", "/bin/sh /sbin/other ");
	machine_expect(connection, "touch /new 2>&1 || cat /where",
		       "touch: /new: Read-only file system\ndisk\n");
	finish(vm);
}
END_TEST

/* What cannot be done is told as what it is. */
START_TEST(test_failures)
{
	static const struct {
		const char *root;
		const char *append;
		const char *text;
		int os_errno;
	} cases[] = {
		{ "/dev/vdx", NULL, "no device for its root '/dev/vdx'", 0 },
		{ "/dev/vda", "rootfstype=xyz", "cannot mount its root '/dev/vda'", ENODEV },
		{ NULL, "root=LABEL=root", "find its root 'LABEL=root' without an initramfs", 0 },
	};
	struct provium_vm_options options = machine_options();
	struct provium_disk disk = { .path = image };
	struct provium_vm *vm;

	make_root();
	options.disks = &disk;
	options.n_disks = 1;
	options.root = cases[_i].root;
	options.append = cases[_i].append;
	ck_assert_int_eq(provium_vm_boot(&options, &vm, &error), -1);
	ck_assert_msg(error.code == PROVIUM_BOOT && strstr(error.message, cases[_i].text), "%d: %s",
		      error.code, error.message);
	ck_assert_int_eq(error.os_errno, cases[_i].os_errno);
	remove(image);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("boot-root");
	TCase *tcase = unit_counted_case("root");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_hold);
	tcase_add_test(tcase, test_parameters);
	tcase_add_loop_test(tcase, test_failures, 0, 3);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
