/*
 * The agent is where init is. One guest, whose init moves from root to root, each time when it is
 * told to: by switch_root, by pivot_root, and into a mount namespace of its own.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/integration/boot/guest.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static struct provium_error error;
static struct provium_vm *vm;
static struct provium_connection *connection;

/* From the first root on: a process, and a thread of the agent's. */
static struct provium_connection *process, *thread;

/* What the job that was started in the first root has been sent, and must have sent back. */
static char witnessed[256];
static const struct provium_job_ref witness = { .name = "witness" };

/*
 * Each root has its name in /where, and this script as /init, which gets the name. Who writes to
 * /go, a FIFO, has it go to the next.
 */
static const char script[] =
	"#!/bin/sh\n"
	"populate() {\n"
	"	mkdir -p /new/bin /new/proc /new/dev /new/new /new/old\n"
	"	cp /bin/busybox /new/bin/\n"
	"	chroot /new /bin/busybox --install -s /bin\n"
	"	cp /init /new/init\n"
	"	mkfifo /new/go\n"
	"	echo $1 > /new/where\n"
	"}\n"
	"await() {\n"
	"	touch /ready\n"
	"	read word < /go\n"
	"}\n"
	"move() {\n"
	"	mount --move /proc /new/proc\n"
	"	mount --move /dev /new/dev\n"
	"}\n"
	"case ${1:-first} in\n"
	"first)\n"
	"	mkdir -p /proc /dev /new\n"
	"	mount -t proc proc /proc; mount -t devtmpfs dev /dev\n"
	"	mkfifo /go; echo first > /where\n"
	"	mount -t tmpfs tmpfs /new; populate tmpfs; await; move\n"
	"	exec switch_root /new /bin/sh /init tmpfs ;;\n"
	"tmpfs)\n"
	"	mount -t ext4 /dev/vda /new; populate ext4; await; move\n"
	"	exec switch_root /new /bin/sh /init ext4 ;;\n"
	"ext4)\n"
	"	mount -t tmpfs tmpfs /new; populate pivoted; await; move\n"
	"	cd /new; pivot_root . old\n"
	"	exec chroot . /bin/sh /init pivoted ;;\n"
	"pivoted)\n"
	"	umount /old && touch /umounted\n"
	"	mkdir /lower /rw; mount -t squashfs /dev/vdb /lower; mount -t tmpfs tmpfs /rw\n"
	"	mkdir /rw/upper /rw/work\n"
	"	mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work overlay "
	"/new\n"
	"	populate overlay; await; move\n"
	"	exec switch_root /new /bin/sh /init overlay ;;\n"
	"overlay)\n"
	"	await; rm /ready\n"
	"	exec unshare -m /bin/sh /init private ;;\n"
	"private)\n"
	"	mount -t tmpfs tmpfs /new; echo private > /new/where\n"
	"	while sleep 1; do :; done ;;\n"
	"esac\n";

static void make_disks(char *ext4, char *squashfs, size_t size)
{
	snprintf(ext4, size, "%s/ext4", machine_directory);
	snprintf(squashfs, size, "%s/squashfs", machine_directory);
	machine_on_host("truncate -s 16M ext4 && mke2fs -q ext4 && mkdir lower && "
			"echo compressed > lower/below && "
			"mksquashfs lower squashfs -quiet -no-progress >&2 && rm -r lower");
}

static struct provium_connection *spawn(const struct provium_worker_options *options)
{
	struct provium_connection *worker_connection;
	struct provium_worker worker;

	ck_assert_msg(provium_worker_spawn(connection, options, GUEST_MS, &worker, &error) == 0 &&
			      provium_worker_connect(connection, &worker, GUEST_MS,
						     &worker_connection, &error) == 0,
		      "%s", error.message);
	return worker_connection;
}

/* READ_FILE, WRITE_FILE and EXEC are in that root. */
static void check_place(struct provium_connection *place, const char *name)
{
	char line[32];

	snprintf(line, sizeof(line), "%s\n", name);
	ck_assert_msg(guest_holds(place, "/where", line), "not in %s", name);
	guest_put(place, "/given", line);
	machine_expect(place, "cat /given; rm /given; cp /where /taken", line);
	ck_assert(guest_holds(place, "/taken", line));
}

static bool has_own_root(struct provium_connection *place)
{
	struct provium_info info;

	ck_assert_msg(provium_info(place, GUEST_MS, &info, &error) == 0, "%s", error.message);
	return info.own_root;
}

static int take_output(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		       size_t size)
{
	char *text = user;

	(void)stream;
	ck_assert_uint_lt(offset + size, sizeof(witnessed));
	memcpy(text + offset, data, size);
	return 0;
}

/* The job goes on: what it is sent comes back, behind all that it was sent before. */
static void check_witness(const char *name)
{
	uint64_t end = machine_now_ms() + GUEST_MS;
	char output[sizeof(witnessed)] = "";

	strcat(witnessed, name);
	ck_assert_msg(
		provium_job_write(connection, &witness, name, strlen(name), GUEST_MS, &error) == 0,
		"%s", error.message);
	while (strcmp(output, witnessed) != 0) {
		ck_assert_msg(machine_now_ms() < end, "\"%s\"", output);
		ck_assert_msg(provium_job_output(connection, &witness, NULL, take_output, output,
						 GUEST_MS, NULL, &error) == 0,
			      "%s", error.message);
	}
}

static void check_root(const char *name)
{
	char line[32];
	struct provium_connection *late;

	snprintf(line, sizeof(line), "%s\n", name);
	guest_await(connection, "/where", line);
	/* What comes before has been done, and the next root is there. */
	guest_await(connection, "/ready", "");
	check_place(connection, name);
	check_place(process, name);
	check_place(thread, name);
	late = spawn(NULL);
	check_place(late, name);
	provium_connection_free(late);
	check_witness(name);
	ck_assert(!has_own_root(connection) && !has_own_root(process) && !has_own_root(thread));
}

static void go(void)
{
	machine_expect(connection, "echo go > /go", "");
}

static void start_witness(void)
{
	static const char *const argv[] = { "cat", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.stdin_kind = PROVIUM_STDIN_STREAM,
	};
	const struct provium_job_options job = { .name = "witness" };

	witnessed[0] = '\0';
	ck_assert_msg(provium_job_start(connection, &options, &job, GUEST_MS, NULL, NULL, &error) ==
			      0,
		      "%s", error.message);
}

/* A worker that a test has moved stays where it is. */
static struct provium_connection *move_worker(void)
{
	struct provium_connection *moved = spawn(NULL);
	char text[] = "/cell";
	struct provium_call_buffer path = { .arg = 0, .data = text, .size = sizeof(text) };
	const uint64_t args[] = { 0 };
	int64_t result;

	/* A mount, which switch_root does not empty with the rest. */
	machine_expect(connection,
		       "mkdir /cell; mount -t tmpfs cell /cell; echo cell > /cell/where", "");
	ck_assert(!has_own_root(moved));
	ck_assert_msg(provium_syscall_buf(moved, SYS_chroot, args, 1, &path, GUEST_MS, &result,
					  &error) == 0,
		      "%s", error.message);
	ck_assert_int_eq(result, 0);
	ck_assert(has_own_root(moved));
	return moved;
}

/* With credentials that may not look at PID 1. */
static struct provium_connection *spawn_user(void)
{
	const struct provium_worker_options options = { .has_uid = true, .uid = 1000 };

	return spawn(&options);
}

/* The one after a server that has died comes from a supervisor, which is in the first root still.
 */
static void restart_server(const char *line)
{
	const struct provium_exec_options kill = { .shell = "kill -KILL $PPID; sleep 60" };
	struct provium_exec_result result;
	struct provium_connection *next;

	ck_assert_msg(provium_vm_connect(vm, 0, GUEST_MS, &next, &error) == 0, "%s", error.message);
	ck_assert_int_eq(provium_exec_run(next, &kill, 0, GUEST_MS, &result, NULL, NULL, &error),
			 -1);
	provium_connection_free(next);
	ck_assert_msg(provium_vm_connect(vm, 0, GUEST_MS, &next, &error) == 0, "%s", error.message);
	ck_assert_uint_eq(provium_connection_agent(next)->restarts, 1);
	ck_assert(!provium_connection_agent(next)->own_root);
	ck_assert(guest_holds(next, "/where", line));
	provium_connection_free(next);
}

/* What is mounted there is mounted for init. */
static void check_mount(struct provium_connection *place, const char *directory)
{
	char command[160];

	snprintf(command, sizeof(command),
		 "mkdir %s && mount -t tmpfs tmpfs %s && grep -c %s /proc/1/mountinfo", directory,
		 directory, directory);
	machine_expect(place, command, "1\n");
}

/* Also where the agent has threads, with which a process cannot go there as a whole. */
static void check_namespace(void)
{
	go();
	guest_await(connection, "/new/where", "private\n");
	check_mount(connection, "/new/mine");
	check_mount(process, "/new/process");
	check_mount(thread, "/new/thread");
	ck_assert(!has_own_root(connection) && !has_own_root(process) && !has_own_root(thread));
	check_witness("private");
}

START_TEST(test_switch)
{
	static const char *const modules[] = { "squashfs", "overlay", NULL };
	const struct provium_worker_options of_threads = { .kind = PROVIUM_WORKER_THREAD };
	char ext4[128], squashfs[128];
	const struct provium_disk disks[] = { { .path = ext4 },
					      { .path = squashfs, .readonly = true } };
	struct provium_vm_options options = machine_options();
	struct provium_connection *moved, *user;

	make_disks(ext4, squashfs, sizeof(ext4));
	options.modules = modules;
	options.disks = disks;
	options.n_disks = 2;
	options.init = "/init";
	options.hold = true;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	ck_assert(!provium_connection_agent(connection)->own_root);
	guest_put(connection, "/init", script);
	process = spawn(NULL);
	thread = spawn(&of_threads);
	start_witness();
	ck_assert_msg(provium_release_init(connection, GUEST_MS, &error) == 0, "%s", error.message);

	check_root("first");
	go();
	check_root("tmpfs");
	go();
	check_root("ext4");
	go();
	check_root("pivoted");
	/* Nobody of ours has kept the old root busy. */
	ck_assert(guest_holds(connection, "/umounted", ""));
	moved = move_worker();
	user = spawn_user();
	ck_assert(provium_connection_agent(user)->own_root);
	go();
	check_root("overlay");
	ck_assert(guest_holds(connection, "/below", "compressed\n"));
	ck_assert(guest_holds(moved, "/where", "cell\n") && has_own_root(moved));
	provium_connection_free(moved);
	provium_connection_free(user);
	check_namespace();
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, 0);
	provium_connection_free(process);
	provium_connection_free(thread);
	restart_server("overlay\n");

	provium_vm_kill(vm);
	provium_vm_free(vm);
	remove(ext4);
	remove(squashfs);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("boot-switch");
	TCase *tcase = unit_counted_case("switch");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_switch);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
