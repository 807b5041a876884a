#include "shim/busybox.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "shim/content.h"

#define GUEST_BUSYBOX   "/bin/busybox"

/* For a program that prints some 5 KiB and ends. */
#define LIST_TIMEOUT_MS 10000
#define LIST_SIZE       KIB(64)

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE EM_RISCV
#else
#error "no guest of this architecture"
#endif

/* What an empty root lacks. */
static const struct {
	const char *path;
	mode_t mode;
} directories_of_root[] = {
	{ "/bin", 0755 },  { "/dev", 0755 },  { "/etc", 0755 },     { "/mnt", 0755 },
	{ "/proc", 0555 }, { "/root", 0700 }, { "/run", 0755 },     { "/sbin", 0755 },
	{ "/sys", 0555 },  { "/tmp", 01777 }, { "/usr/bin", 0755 }, { "/usr/sbin", 0755 },
	{ "/var", 0755 },
};

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "nobody:x:65534:65534:nobody:/:/bin/false\n";
static const char group[] = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/* elf(5) */
int busybox_is_static(int fd)
{
	Elf64_Ehdr header;
	ssize_t size = read_at(fd, &header, sizeof(header), 0);

	if (size < 0)
		return -1;
	if (size < (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != MACHINE)
		return 0;
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;

		size = read_at(fd, &segment, sizeof(segment),
			       (off_t)(header.e_phoff + i * sizeof(segment)));
		if (size < 0)
			return -1;
		if (size < (ssize_t)sizeof(segment) || segment.p_type == PT_INTERP)
			return 0;
	}
	return 1;
}

/* Returns an fd and sets *path. */
static int find_busybox(const char **path, struct provium_error *error)
{
	static const char *const places[] = {
		"/bin/busybox",         "/usr/bin/busybox",        "/usr/local/bin/busybox",
		"/bin/busybox.static",  "/usr/bin/busybox.static", "/usr/bin/busybox-static",
		"/sbin/busybox.static",
	};
	const char *dynamic = NULL;
	const char *failed = NULL;
	int failure = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		cleanup_close int fd = open(places[i], O_RDONLY | O_CLOEXEC);
		int result = fd < 0 ? -1 : busybox_is_static(fd);

		if (result > 0) {
			*path = places[i];
			return steal_fd(&fd);
		}
		if (result == 0 && !dynamic)
			dynamic = places[i];
		if (result < 0 && errno != ENOENT && errno != ENOTDIR && !failed) {
			failed = places[i];
			failure = errno;
		}
	}
	if (failed)
		return error_set(error, PROVIUM_HOST, failure, "cannot read %s", failed);
	if (dynamic)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s is no static program of this architecture: install "
				 "busybox-static, or give an initramfs",
				 dynamic);
	return error_set(error, PROVIUM_INVALID, 0,
			 "there is no busybox for the guest's userland: install busybox-static, or "
			 "give an initramfs");
}

/* Reads all that comes from fd, until its end or the timeout. Returns the length. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	uint64_t deadline = monotonic_ns() + LIST_TIMEOUT_MS * UINT64_C(1000000);
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	size_t used = 0;

	for (;;) {
		uint64_t now = monotonic_ns();
		ssize_t count;

		if (now >= deadline || used == size)
			return -1;
		if (poll(&readable, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
			continue;
		count = read(fd, text + used, size - used);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -1 : (ssize_t)used;
		used += (size_t)count;
	}
}

static int start_list(const char *program, int output, pid_t *pid)
{
	char *argv[] = { (char *)"busybox", (char *)"--list-full", NULL };
	char *env[] = { NULL };
	posix_spawn_file_actions_t actions;
	int result = posix_spawn_file_actions_init(&actions);

	if (result != 0)
		return result;
	result = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (result == 0)
		result = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
							  O_RDONLY, 0);
	if (result == 0)
		result = posix_spawn(pid, program, &actions, NULL, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	return result;
}

/* Fills text with busybox's own list of its applets, "usr/bin/awk" in each line. */
static int list_applets(const char *program, char text[LIST_SIZE], struct provium_error *error)
{
	cleanup_close int output_read = -1, output_write = -1;
	ssize_t length;
	int ends[2], status = -1, result;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot run %s", program);
	output_read = ends[0];
	output_write = ends[1];
	result = start_list(program, output_write, &pid);
	if (result != 0)
		return error_set(error, PROVIUM_HOST, result, "cannot run %s", program);
	output_write = close_fd(output_write);
	length = read_all(output_read, text, LIST_SIZE - 1);
	if (length < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (length <= 0 || status != 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s --list-full does not list its applets", program);
	text[length] = '\0';
	return 0;
}

/* Names at the top (linuxrc) are for the kernel of old, and would be taken for the image's init. */
static int add_applets(struct cpio *cpio, struct names *names, char *list,
		       struct provium_error *error)
{
	struct cpio_entry entry = { .mode = S_IFLNK | 0777, .target = GUEST_BUSYBOX };
	char path[PATH_MAX];
	char *name;

	while ((name = strsep(&list, "\n")) != NULL) {
		if (!strchr(name, '/') || strlen(name) >= sizeof(path) - 1)
			continue;
		snprintf(path, sizeof(path), "/%s", name);
		if (strcmp(path, GUEST_BUSYBOX) == 0)
			continue;
		*strrchr(path, '/') = '\0';
		if (tree_make_directory(cpio, names, path, 0755, error) < 0)
			return -1;
		path[strlen(path)] = '/';
		entry.path = path;
		if (cpio_add(cpio, &entry, error) < 0)
			return -1;
	}
	return 0;
}

int busybox_add(struct cpio *cpio, struct names *names, struct provium_error *error)
{
	cleanup_close int fd = -1;
	char list[LIST_SIZE];
	struct stat status;
	struct cpio_entry entry = { .path = GUEST_BUSYBOX, .mode = S_IFREG | 0755 };
	const char *program = NULL;

	fd = find_busybox(&program, error);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", program);
	if (list_applets(program, list, error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(directories_of_root); i++) {
		if (tree_make_directory(cpio, names, directories_of_root[i].path,
					directories_of_root[i].mode, error) < 0)
			return -1;
	}
	entry.size = (uint64_t)status.st_size;
	if (content_add(cpio, &entry, fd, program, error) < 0 ||
	    add_applets(cpio, names, list, error) < 0 ||
	    cpio_add_bytes(cpio, "/etc/passwd", 0644, passwd, sizeof(passwd) - 1, error) < 0 ||
	    cpio_add_bytes(cpio, "/etc/group", 0644, group, sizeof(group) - 1, error) < 0)
		return -1;
	return 0;
}
