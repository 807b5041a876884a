#include "tests/bench/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

struct machine {
	pid_t qemu;
	pid_t vsock;
	int qmp;
	int life;
	char directory[64];
	char socket[96];
	/* What QEMU has said, as far as it was not looked at. */
	char heard[65536];
	size_t heard_size;
};

/* Inherited by what is started, as all of these fds. */
static void make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair: %s", strerror(errno));
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
}

static int copy_memory(int from, uint64_t size)
{
	int to = memfd_create("memory", 0);
	off_t at = 0;

	if (to < 0 || ftruncate(to, (off_t)size) < 0)
		die("memory: %s", strerror(errno));
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(from, at, SEEK_HOLE);
		off_t out = at;

		while (at < end)
			if (copy_file_range(from, &at, to, &out, (size_t)(end - at), 0) <= 0)
				die("copy_file_range: %s", strerror(errno));
	}
	return to;
}

static pid_t start(const char *const *argv)
{
	pid_t pid;
	int failure = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);

	if (failure)
		die("%s: %s", argv[0], strerror(failure));
	return pid;
}

static void start_vsock(struct machine *machine, const char *program, int fd, int life)
{
	char fd_text[16], life_text[16];
	const char *const argv[] = {
		program,      "--guest-cid",   "3",         "--socket-fd", fd_text,
		"--uds-path", machine->socket, "--life-fd", life_text,     NULL
	};

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(life_text, sizeof(life_text), "%d", life);
	machine->vsock = start(argv);
}

/* As host/lib/qemu_args.c has it for a machine whose state is loaded. */
static void start_qemu(struct machine *machine, const char *program,
		       const struct provium_snapshot *snapshot, int memory, int qmp, int vsock)
{
	uint64_t mib = provium_snapshot_memory(snapshot) >> 20;
	char size[32], object[128], smp[16], qmp_text[64], vsock_text[64];
	bool kvm = provium_snapshot_accel(snapshot) == PROVIUM_ACCEL_KVM;
	const char *const argv[] = { program,
				     "-nodefaults",
				     "-no-user-config",
				     "-display",
				     "none",
				     "-machine",
				     "q35,memory-backend=memory0",
				     "-accel",
				     kvm ? "kvm" : "tcg,thread=multi",
				     "-cpu",
				     kvm ? "host" : "max",
				     "-smp",
				     smp,
				     "-m",
				     size,
				     "-object",
				     object,
				     "-incoming",
				     "defer",
				     "-serial",
				     "null",
				     "-chardev",
				     qmp_text,
				     "-mon",
				     "chardev=qmp,mode=control",
				     "-device",
				     "pvpanic",
				     "-device",
				     "pcie-root-port,id=port0,chassis=1,slot=1",
				     "-chardev",
				     vsock_text,
				     "-device",
				     "virtio-rng-pci",
				     NULL };

	snprintf(smp, sizeof(smp), "%u", provium_snapshot_cpus(snapshot));
	snprintf(size, sizeof(size), "%lluM", (unsigned long long)mib);
	snprintf(object, sizeof(object),
		 "memory-backend-file,id=memory0,size=%lluM,share=on,mem-path=/proc/self/fd/%d",
		 (unsigned long long)mib, memory);
	snprintf(qmp_text, sizeof(qmp_text), "socket,id=qmp,fd=%d", qmp);
	snprintf(vsock_text, sizeof(vsock_text), "socket,id=vsock,fd=%d", vsock);
	machine->qemu = start(argv);
}

/* Until QEMU has said this; what came before is forgotten. */
static void await(struct machine *machine, const char *text)
{
	for (;;) {
		const char *found;
		ssize_t count;

		machine->heard[machine->heard_size] = '\0';
		found = strstr(machine->heard, text);
		if (found) {
			size_t used = (size_t)(found - machine->heard) + strlen(text);

			machine->heard_size -= used;
			memmove(machine->heard, machine->heard + used, machine->heard_size);
			return;
		}
		if (strstr(machine->heard, "\"error\""))
			die("QEMU: %s", machine->heard);
		count = read(machine->qmp, machine->heard + machine->heard_size,
			     sizeof(machine->heard) - machine->heard_size - 1);
		if (count <= 0)
			die("QEMU has ended while '%s' was awaited", text);
		machine->heard_size += (size_t)count;
	}
}

static void tell(struct machine *machine, const char *command)
{
	if (write(machine->qmp, command, strlen(command)) != (ssize_t)strlen(command))
		die("QEMU: %s", strerror(errno));
	await(machine, "\"return\"");
}

static void load(struct machine *machine, int state, int ours, int theirs)
{
	static char data[MIB(1)];
	char command[128];
	ssize_t count;
	off_t at = 0;

	tell(machine, "{\"execute\":\"qmp_capabilities\"}");
	tell(machine, "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["
		      "{\"capability\":\"x-ignore-shared\",\"state\":true},"
		      "{\"capability\":\"events\",\"state\":true}]}}");
	snprintf(command, sizeof(command),
		 "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:%d\"}}", theirs);
	tell(machine, command);
	while ((count = pread(state, data, sizeof(data), at)) > 0) {
		if (write(ours, data, (size_t)count) != count)
			die("QEMU: the state: %s", strerror(errno));
		at += count;
	}
	close(ours);
	await(machine, "\"completed\"");
	tell(machine, "{\"execute\":\"device_add\",\"arguments\":{\"driver\":"
		      "\"vhost-user-vsock-pci\",\"id\":\"vsock0\",\"chardev\":\"vsock\",\"bus\":"
		      "\"port0\"}}");
	tell(machine, "{\"execute\":\"cont\"}");
}

static void end(struct machine *machine)
{
	kill(machine->qemu, SIGKILL);
	waitpid(machine->qemu, NULL, 0);
	close(machine->qmp);
	close(machine->life);
	waitpid(machine->vsock, NULL, 0);
	unlink(machine->socket);
	rmdir(machine->directory);
}

double restore(const struct provium_snapshot *snapshot, const struct restore_programs *programs)
{
	const char *base = getenv("TMPDIR");
	static struct machine machine;
	struct guest guest = { 0 };
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	int qmp[2], vsock[2], state[2], life[2];
	uint64_t before;
	double taken;
	int memory;

	provium_snapshot_fds(snapshot, fds, PROVIUM_SNAPSHOT_MAX_FDS);
	memory = copy_memory(fds[0], provium_snapshot_memory(snapshot));
	machine.heard_size = 0;
	snprintf(machine.directory, sizeof(machine.directory), "%s/provium-bench-XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(machine.directory) || pipe(life) < 0)
		die("%s: %s", machine.directory, strerror(errno));
	snprintf(machine.socket, sizeof(machine.socket), "%s/vsock", machine.directory);
	fcntl(life[1], F_SETFD, FD_CLOEXEC);
	make_pair(qmp);
	make_pair(vsock);
	make_pair(state);
	fcntl(vsock[0], F_SETFD, 0);
	machine.qmp = qmp[0];
	machine.life = life[1];

	before = monotonic_ns();
	start_vsock(&machine, programs->vsock, vsock[0], life[0]);
	start_qemu(&machine, programs->qemu, snapshot, memory, qmp[1], vsock[1]);
	close(qmp[1]);
	close(vsock[0]);
	close(vsock[1]);
	close(life[0]);
	load(&machine, fds[1], state[0], state[1]);
	guest.floor_fd = guest_dial(machine.socket, FLOOR_PORT);
	guest_exchange(&guest, FLOOR_ECHO, 0);
	taken = (double)(monotonic_ns() - before) / 1e6;

	close(guest.floor_fd);
	close(state[1]);
	close(memory);
	end(&machine);
	return taken;
}
