/* Guests that are saved and resumed: what they find again, and what is each one's own. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/snapshot/images.h"
#include "tests/integration/snapshot/snapshot.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define MANY 8

static struct provium_vm *resume(const struct provium_snapshot *snapshot)
{
	struct provium_vm *vm;

	check_ok(provium_snapshot_resume(snapshot, NULL, &vm, &error));
	return vm;
}

/* Saves it, and ends what is left of it. */
static struct provium_snapshot *save(struct provium_vm *vm)
{
	struct provium_snapshot *snapshot;

	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	ck_assert_int_eq(provium_ping(provium_vm_connection(vm), SOON, &error), -1);
	ck_assert_msg(strstr(error.message, "provium_vm_save"), "%s", error.message);
	ck_assert_int_eq(error.code, PROVIUM_VM_GONE);
	provium_vm_free(vm);
	return snapshot;
}

static void expect(struct provium_vm *vm, const char *shell, const char *wanted)
{
	machine_expect(provium_vm_connection(vm), shell, wanted);
}

/* What a command prints; the caller's to free. */
static char *output_of(struct provium_vm *vm, const char *shell)
{
	const struct provium_exec_options options = { .shell = shell };
	struct provium_exec_result result;
	struct provium_buffer output;

	check_ok(provium_exec_run(provium_vm_connection(vm), &options, 0, SOON, &result, &output,
				  NULL, &error));
	return output.data;
}

/* Reads the file that the server has open. */
static void expect_open_file(struct provium_vm *vm, int64_t fd, const char *wanted)
{
	char text[16] = "";
	struct provium_call_buffer buffer = { .arg = 1, .data = text, .size = strlen(wanted) };
	const uint64_t args[] = { (uint64_t)fd, 0, strlen(wanted), 0 };
	int64_t count;

	check_ok(provium_syscall_buf(provium_vm_connection(vm), SYS_pread64, args, 4, &buffer, SOON,
				     &count, &error));
	ck_assert_int_eq(count, (int64_t)strlen(wanted));
	ck_assert_str_eq(text, wanted);
}

static int64_t open_file(struct provium_vm *vm, const char *path)
{
	char text[64] = "";
	struct provium_call_buffer buffer = { .arg = 1, .data = text, .size = sizeof(text) };
	const uint64_t args[] = { (uint64_t)AT_FDCWD, 0, O_RDONLY, 0 };
	int64_t fd;

	snprintf(text, sizeof(text), "%s", path);
	check_ok(provium_syscall_buf(provium_vm_connection(vm), SYS_openat, args, 4, &buffer, SOON,
				     &fd, &error));
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* How far the guest's clock is from this machine's, nanoseconds. */
static uint64_t clock_distance(struct provium_vm *vm)
{
	struct provium_clock clock;
	int64_t here;

	check_ok(provium_clock_get(provium_vm_connection(vm), SOON, &clock, &error));
	here = (int64_t)clock_ns(CLOCK_REALTIME);
	return (uint64_t)(here > clock.realtime_ns ? here - clock.realtime_ns
						   : clock.realtime_ns - here);
}

static uint64_t monotonic_of(struct provium_vm *vm)
{
	struct provium_clock clock;

	check_ok(provium_clock_get(provium_vm_connection(vm), SOON, &clock, &error));
	return clock.monotonic_ns;
}

#define TICKER "echo $$ >/tmp/ticker; while :; do echo tick >>/tmp/ticks; sleep 0.05; done"

static void start_ticker(struct provium_vm *vm)
{
	const struct provium_exec_options command = { .shell = TICKER };
	const struct provium_job_options options = { .name = "ticker" };

	check_ok(provium_job_start(provium_vm_connection(vm), &command, &options, SOON, NULL, NULL,
				   &error));
	expect(vm, "until [ -s /tmp/ticks ]; do sleep 0.05; done", "");
}

/* It is the same process, and goes on. */
static void expect_ticker(struct provium_vm *vm)
{
	const struct provium_job_ref ref = { .name = "ticker" };
	struct provium_job_result result;

	check_ok(provium_job_wait(provium_vm_connection(vm), &ref, NULL, SOON, &result, &error));
	ck_assert(result.running);
	expect(vm,
	       "a=$(wc -l </tmp/ticks); until [ $(wc -l </tmp/ticks) -gt $((a + 2)) ]; do sleep "
	       "0.05; done; kill -0 $(cat /tmp/ticker) && echo goes on",
	       "goes on\n");
}

static void count_worker(void *user, const struct provium_worker *worker, const char *stuck)
{
	(void)worker;
	(void)stuck;
	++*(int *)user;
}

/* Workers end with their connections, and that is told as ever. */
START_TEST(test_workers)
{
	static const enum provium_worker_kind kinds[] = { PROVIUM_WORKER_FORK,
							  PROVIUM_WORKER_THREAD };
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_connection *connections[ARRAY_SIZE(kinds)];
	struct provium_snapshot *snapshot;
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct provium_worker_options of_kind = { .kind = kinds[i] };
		struct provium_worker worker;

		check_ok(provium_worker_spawn(provium_vm_connection(vm), &of_kind, SOON, &worker,
					      &error));
		check_ok(provium_worker_connect(provium_vm_connection(vm), &worker, SOON,
						&connections[i], &error));
	}
	check_ok(provium_vm_save(vm, SOON, &snapshot, &error));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		ck_assert_int_eq(provium_ping(connections[i], SOON, &error), -1);
		ck_assert_int_eq(error.code, PROVIUM_VM_GONE);
		provium_connection_free(connections[i]);
	}
	provium_vm_free(vm);

	vm = resume(snapshot);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct provium_worker_end end;

		check_ok(provium_worker_next_end(provium_vm_connection(vm), SOON, &end, &error));
	}
	check_ok(
		provium_worker_list(provium_vm_connection(vm), count_worker, &count, SOON, &error));
	ck_assert_int_eq(count, 0);
	provium_vm_free(vm);
	provium_snapshot_free(snapshot);
}
END_TEST

/* The agent, files, mounts, a job, an open file, the time. */
START_TEST(test_goes_on)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_snapshot *snapshot;
	struct provium_clock clock;
	char *boot_id = strdup(provium_connection_agent(provium_vm_connection(vm))->boot_id);
	uint64_t before;
	int64_t fd;

	expect(vm,
	       "mkdir /mnt; mount -t tmpfs -o size=1m none /mnt; echo on tmpfs >/mnt/file; echo in "
	       "the root >/file; sleep 1000 & echo $! >/tmp/sleeper",
	       "");
	fd = open_file(vm, "/mnt/file");
	start_ticker(vm);
	/* So that the host's time is seen to come. */
	check_ok(provium_clock_get(provium_vm_connection(vm), SOON, &clock, &error));
	check_ok(provium_clock_set(provium_vm_connection(vm),
				   clock.realtime_ns - INT64_C(86400000000000), SOON, &error));
	ck_assert_uint_gt(clock_distance(vm), UINT64_C(86000000000000));
	before = monotonic_of(vm);

	snapshot = save(vm);
	ck_assert_uint_eq(provium_snapshot_memory(snapshot), options.memory);
	ck_assert_uint_eq(provium_snapshot_cpus(snapshot), 1);
	vm = resume(snapshot);
	ck_assert_uint_lt(clock_distance(vm), 1000000000);
	ck_assert_uint_gt(monotonic_of(vm), before);
	ck_assert_str_eq(provium_connection_agent(provium_vm_connection(vm))->boot_id, boot_id);
	ck_assert_uint_eq(provium_connection_agent(provium_vm_connection(vm))->restarts, 0);
	expect(vm,
	       "cat /mnt/file /file; grep -c ' /mnt tmpfs ' /proc/mounts; cat /proc/$(cat "
	       "/tmp/sleeper)/comm",
	       "on tmpfs\nin the root\n1\nsleep\n");
	expect_open_file(vm, fd, "on tmpfs\n");
	expect_ticker(vm);
	check_ok(provium_kernel_check(provium_vm_connection(vm), 0, SOON, &error));
	/* The snapshot need not live as long. */
	provium_snapshot_free(snapshot);
	expect(vm, "cat /file", "in the root\n");
	check_ok(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, SOON, &error));
	provium_vm_free(vm);
	free(boot_id);
}
END_TEST

#define RANDOM                                                          \
	"head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'; cat " \
	"/proc/sys/kernel/random/uuid"

/* Two at a time of one snapshot. */
START_TEST(test_independent)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vms[2];
	struct provium_vm *vm;
	char *random[2];

	/* Of two processors, of which it uses one (docs/kernels.md). */
	options.cpus = 2;
	options.append = "maxcpus=1";
	vm = machine_boot(&options);
	/* So that the generator has what it needs, and gives from what it has. */
	free(output_of(vm, RANDOM));
	expect(vm, "echo both >/file", "");
	snapshot = save(vm);
	for (int i = 0; i < 2; i++) {
		vms[i] = resume(snapshot);
		random[i] = output_of(vms[i], RANDOM);
		ck_assert_uint_gt(strlen(random[i]), 64 + 36);
	}
	/* Neither the device nor getrandom(2), which is behind the other. */
	ck_assert_int_ne(strncmp(random[0], random[1], 64), 0);
	ck_assert_str_ne(random[0] + 64, random[1] + 64);
	expect(vms[0], "echo first >>/file; cat /file", "both\nfirst\n");
	expect(vms[1], "cat /file; echo second >>/file", "both\n");
	expect(vms[0], "cat /file /sys/devices/system/cpu/present", "both\nfirst\n0-1\n");
	expect(vms[1], "cat /file", "both\nsecond\n");
	for (int i = 0; i < 2; i++) {
		provium_vm_free(vms[i]);
		free(random[i]);
	}
	vm = resume(snapshot);
	expect(vm, "cat /file", "both\n");
	provium_vm_free(vm);
	provium_snapshot_free(snapshot);
}
END_TEST

/* A fixture on a fixture on a fixture. */
START_TEST(test_levels)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_snapshot *snapshots[3];

	start_ticker(vm);
	for (int level = 0; level < 3; level++) {
		char shell[64];

		snprintf(shell, sizeof(shell), "echo level %d >>/file", level);
		expect(vm, shell, "");
		snapshots[level] = save(vm);
		vm = resume(snapshots[level]);
		expect_ticker(vm);
	}
	expect(vm, "cat /file", "level 0\nlevel 1\nlevel 2\n");
	provium_vm_free(vm);
	vm = resume(snapshots[0]);
	expect(vm, "cat /file", "level 0\n");
	provium_vm_free(vm);
	for (int level = 0; level < 3; level++)
		provium_snapshot_free(snapshots[level]);
}
END_TEST

static char *path_of(const char *name)
{
	char *path = NULL;

	ck_assert_int_gt(asprintf(&path, "%s/%s", machine_directory, name), 0);
	return path;
}

/* The guest's disks: raw, a qcow2 image with a relative backing file, and a read-only one. */
START_TEST(test_disks)
{
	static const char *const names[] = { "raw", "overlay", "base", "shared" };
	char *paths[4];
	struct provium_disk disks[3] = { 0 };
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshots[2];
	struct provium_vm *vms[2];

	for (size_t i = 0; i < 4; i++)
		paths[i] = path_of(names[i]);
	image_make_raw(paths[0], "raw");
	image_make_overlay(paths[1], "base");
	image_make_raw(paths[2], "base");
	image_make_raw(paths[3], "shared");
	disks[0].path = paths[0];
	disks[1] = (struct provium_disk){ .path = paths[1], .format = "qcow2" };
	disks[2] = (struct provium_disk){ .path = paths[3], .readonly = true };
	options.disks = disks;
	options.n_disks = 3;
	vms[0] = machine_boot(&options);
	/* Not written back by the guest yet: its cache is memory, which is saved too. */
	expect(vms[0],
	       "echo saved | dd of=/dev/vda bs=1 seek=4096 conv=notrunc 2>/dev/null; echo above | "
	       "dd of=/dev/vdb bs=1 seek=65536 conv=fsync 2>/dev/null",
	       "");
	snapshots[0] = save(vms[0]);
	/* They are the user's again, and need not be there any more. */
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(i == 2 ? 0 : unlink(paths[i]), 0);

	for (int i = 0; i < 2; i++) {
		vms[i] = resume(snapshots[0]);
		expect(vms[i], "head -c 3 /dev/vda; head -c 4 /dev/vdb; head -c 6 /dev/vdc",
		       "rawbaseshared");
		expect(vms[i],
		       "dd if=/dev/vda bs=1 skip=4096 count=5 2>/dev/null; dd if=/dev/vdb bs=1 "
		       "skip=65536 count=5 iflag=direct 2>/dev/null || dd if=/dev/vdb bs=65536 "
		       "skip=1 count=1 2>/dev/null | head -c 5",
		       "savedabove");
	}
	expect(vms[0],
	       "echo other | dd of=/dev/vda conv=fsync 2>/dev/null; echo other | dd "
	       "of=/dev/vdb conv=fsync 2>/dev/null",
	       "");
	expect(vms[1], "echo 3 >/proc/sys/vm/drop_caches; head -c 3 /dev/vda; head -c 4 /dev/vdb",
	       "rawbase");
	provium_vm_free(vms[1]);

	/* Once more: now the disks are the VM's own, and go over without being copied. */
	snapshots[1] = save(vms[0]);
	provium_snapshot_free(snapshots[0]);
	vms[0] = resume(snapshots[1]);
	expect(vms[0],
	       "echo 3 >/proc/sys/vm/drop_caches; head -c 5 /dev/vda; head -c 5 /dev/vdb; dd "
	       "if=/dev/vdb bs=65536 skip=1 count=1 2>/dev/null | head -c 5; head -c 6 /dev/vdc",
	       "otherotheraboveshared");
	check_ok(provium_kernel_check(provium_vm_connection(vms[0]), 0, SOON, &error));
	provium_vm_free(vms[0]);
	provium_snapshot_free(snapshots[1]);
	unlink(paths[2]);
	for (size_t i = 0; i < 4; i++)
		free(paths[i]);
}
END_TEST

/* A file system in use: what is written back, what is not yet, a file that is open. */
START_TEST(test_mounted)
{
	static const char *const modules[] = { "ext4", NULL };
	char *path = path_of("disk");
	const struct provium_disk disk = { .path = path };
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vms[2];
	int64_t fd;

	machine_on_host("truncate -s 16M disk && mke2fs -q -t ext4 disk");
	options.disks = &disk;
	options.n_disks = 1;
	options.modules = modules;
	vms[0] = machine_boot(&options);
	expect(vms[0],
	       "mkdir /mnt; mount -t ext4 /dev/vda /mnt; echo old >/mnt/old; sync; echo new "
	       ">/mnt/new; dd if=/dev/urandom of=/mnt/data bs=64k count=32 2>/dev/null; "
	       "sha256sum </mnt/data >/tmp/sum",
	       "");
	fd = open_file(vms[0], "/mnt/new");
	snapshot = save(vms[0]);
	machine_on_host("rm disk");
	for (int i = 0; i < 2; i++)
		vms[i] = resume(snapshot);
	for (int i = 0; i < 2; i++) {
		expect_open_file(vms[i], fd, "new\n");
		expect(vms[i],
		       "cat /mnt/old /mnt/new; sha256sum </mnt/data | cmp - /tmp/sum && rm "
		       "/mnt/data "
		       "&& echo by one >>/mnt/old && sync && cat /mnt/old",
		       "old\nnew\nold\nby one\n");
		check_ok(provium_syscall(provium_vm_connection(vms[i]), SYS_close,
					 (const uint64_t[]){ (uint64_t)fd }, 1, SOON,
					 &(int64_t){ 0 }, &error));
		/* What was in the cache has come to the disk in good order. */
		expect(vms[i],
		       "umount /mnt && echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 /dev/vda "
		       "/mnt && cat /mnt/old /mnt/new; dmesg | grep -c 'EXT4-fs error'; true",
		       "old\nby one\nnew\n0\n");
		provium_vm_free(vms[i]);
	}
	provium_snapshot_free(snapshot);
	free(path);
}
END_TEST

struct guest {
	pthread_t thread;
	const struct provium_snapshot *snapshot;
	int number;
	struct provium_vm *vm;
	struct provium_error error;
};

/* Its processes die with the thread that has started them. */
static void *run_guest(void *arg)
{
	struct guest *guest = arg;
	const struct provium_exec_options options = {
		.shell = "cat /file; cat /tmp/ticks | head -1"
	};
	struct provium_exec_result result;
	struct provium_buffer output;

	if (provium_snapshot_resume(guest->snapshot, NULL, &guest->vm, &guest->error) < 0)
		return guest;
	if (provium_exec_run(provium_vm_connection(guest->vm), &options, 0, SOON, &result, &output,
			     NULL, &guest->error) < 0)
		return guest;
	if (strcmp(output.data, "many\ntick\n") != 0)
		snprintf(guest->error.message, sizeof(guest->error.message), "got '%.100s'",
			 (const char *)output.data);
	else
		guest->number = -1;
	free(output.data);
	provium_vm_free(guest->vm);
	return guest;
}

START_TEST(test_many)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct guest guests[MANY] = { 0 };
	struct provium_snapshot *snapshot;

	expect(vm, "echo many >/file", "");
	start_ticker(vm);
	snapshot = save(vm);
	for (int i = 0; i < MANY; i++) {
		guests[i].snapshot = snapshot;
		guests[i].number = i;
		ck_assert_int_eq(pthread_create(&guests[i].thread, NULL, run_guest, &guests[i]), 0);
	}
	for (int i = 0; i < MANY; i++)
		pthread_join(guests[i].thread, NULL);
	for (int i = 0; i < MANY; i++)
		ck_assert_msg(guests[i].number == -1, "guest %d: %s", i, guests[i].error.message);
	provium_snapshot_free(snapshot);
}
END_TEST

static void send_snapshot(int socket, const struct provium_snapshot *snapshot)
{
	char *text = provium_snapshot_text(snapshot);
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	size_t count = provium_snapshot_fds(snapshot, fds, PROVIUM_SNAPSHOT_MAX_FDS);
	char control[CMSG_SPACE(sizeof(fds))] = { 0 };
	struct iovec iov = { .iov_base = text, .iov_len = strlen(text) + 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	ck_assert_int_eq(sendmsg(socket, &message, 0), (ssize_t)iov.iov_len);
	free(text);
}

/* What the other process does; its exit status. */
static int take_snapshot(int socket)
{
	static char text[PROVIUM_SNAPSHOT_MAX_TEXT];
	char control[CMSG_SPACE(PROVIUM_SNAPSHOT_MAX_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct provium_snapshot *snapshot;
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	const struct cmsghdr *header;
	struct provium_vm *vm;
	size_t count;
	char end;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0)
		return 2;
	/* The one who has saved it is gone by then. */
	if (read(socket, &end, 1) != 0)
		return 3;
	header = CMSG_FIRSTHDR(&message);
	count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	if (provium_snapshot_open(text, fds, count, &snapshot, &error) < 0 ||
	    provium_snapshot_resume(snapshot, NULL, &vm, &error) < 0) {
		fprintf(stderr, "# %s\n", error.message);
		return 4;
	}
	expect(vm, "cat /file", "for another\n");
	provium_vm_free(vm);
	provium_snapshot_free(snapshot);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return 0;
}

START_TEST(test_other_process)
{
	struct provium_vm_options options = machine_options();
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;
	int pair[2];
	int status;
	pid_t child;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		close(pair[0]);
		_exit(take_snapshot(pair[1]));
	}
	close(pair[1]);
	vm = machine_boot(&options);
	expect(vm, "echo for another >/file", "");
	snapshot = save(vm);
	send_snapshot(pair[0], snapshot);
	provium_snapshot_free(snapshot);
	close(pair[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-snapshot");
	TCase *tcase = unit_counted_case("snapshot");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_goes_on);
	tcase_add_test(tcase, test_independent);
	if (argc == 2) {
		tcase_add_test(tcase, test_workers);
		tcase_add_test(tcase, test_levels);
		tcase_add_test(tcase, test_disks);
		tcase_add_test(tcase, test_mounted);
		tcase_add_test(tcase, test_many);
		tcase_add_test(tcase, test_other_process);
	}
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
