/*
 * resume save KERNELS FD: boots the guest of KERNELS/vmlinuz and saves it; the snapshot's text and
 * fds are sent to FD, a Unix socket of datagrams.
 *
 * resume run FILE FD...: resumes the snapshot of the text in FILE with these fds, runs a command in
 * it, whose output is printed, saves it again, and ends it. 0: all of that; 125: it says what not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "host/include/provium.h"

#define SOON        60000
#define OWN_FAILURE 125

static struct provium_error error;

static _Noreturn void fail(const char *text)
{
	fprintf(stderr, "resume: %s\n", text);
	exit(OWN_FAILURE);
}

static int check(int result)
{
	if (result < 0)
		fprintf(stderr, "resume: %s\n", error.message);
	return result;
}

static void send_snapshot(const struct provium_snapshot *snapshot, int to)
{
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	size_t size = provium_snapshot_fds(snapshot, fds, ARRAY_SIZE(fds)) * sizeof(*fds);
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr head;
	} control = { .head.cmsg_level = SOL_SOCKET };
	cleanup_free char *text = provium_snapshot_text(snapshot);
	struct iovec iov = { .iov_base = text };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(size),
	};

	if (!text)
		fail("no memory");
	iov.iov_len = strlen(text);
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.head), fds, size);
	if (sendmsg(to, &message, 0) < 0)
		fail("cannot send the snapshot");
}

static int save(const char *kernels, int to)
{
	char kernel[4096];
	char modules[4096];
	const struct provium_vm_options options = {
		.kernel = kernel,
		.modules_dir = modules,
		.memory = 128 << 20,
		.vsock = PROVIUM_VSOCK_USER,
	};
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;

	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", kernels);
	snprintf(modules, sizeof(modules), "%s/modules", kernels);
	if (check(provium_vm_boot(&options, &vm, &error)) < 0)
		return OWN_FAILURE;
	if (check(provium_vm_save(vm, SOON, &snapshot, &error)) < 0)
		return OWN_FAILURE;
	provium_vm_free(vm);
	send_snapshot(snapshot, to);
	provium_snapshot_free(snapshot);
	return 0;
}

/* Returns whether all of it could be done. */
static bool use(struct provium_vm *vm)
{
	const struct provium_exec_options options = { .shell = "echo resumed" };
	struct provium_exec_result result;
	struct provium_buffer output = { 0 };
	struct provium_snapshot *again;

	if (check(provium_exec_run(provium_vm_connection(vm), &options, 0, SOON, &result, &output,
				   NULL, &error)) < 0)
		return false;
	while (write(STDOUT_FILENO, output.data, output.size) < 0 && errno == EINTR)
		;
	free(output.data);
	if (check(provium_vm_save(vm, SOON, &again, &error)) < 0)
		return false;
	provium_snapshot_free(again);
	return true;
}

static int run(const char *path, char **arguments, size_t n_fds)
{
	static char text[PROVIUM_SNAPSHOT_MAX_TEXT];
	int fds[PROVIUM_SNAPSHOT_MAX_FDS];
	struct provium_snapshot *snapshot;
	struct provium_vm *vm;
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done;

	if (n_fds > ARRAY_SIZE(fds) || read_at(fd, text, sizeof(text) - 1, 0) <= 0)
		fail("cannot read the snapshot's text");
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = atoi(arguments[i]);
	if (check(provium_snapshot_open(text, fds, n_fds, &snapshot, &error)) < 0)
		return OWN_FAILURE;
	if (check(provium_snapshot_resume(snapshot, NULL, &vm, &error)) < 0) {
		provium_snapshot_free(snapshot);
		return OWN_FAILURE;
	}
	done = use(vm);
	provium_vm_free(vm);
	provium_snapshot_free(snapshot);
	return done ? 0 : OWN_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "save") == 0)
		return save(argv[2], atoi(argv[3]));
	if (argc > 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv + 3, (size_t)argc - 3);
	fputs("usage: resume save KERNELS FD | run FILE FD...\n", stderr);
	return OWN_FAILURE;
}
