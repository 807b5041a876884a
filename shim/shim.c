/*
 * What a guest boots with is up to three parts, one behind the other, as the kernel reads them
 * (init/initramfs.c):
 *
 *   1. our archive: wrapper, agent, modules, and a userland where one is wanted;
 *   2. the user's initramfs, byte for byte;
 *   3. an archive with the user's files, so that they replace what the initramfs has. It is made
 *      knowing the directories and links of the initramfs.
 *
 * Ours are not compressed. In front of the user's, that matters: microcode and ACPI tables are
 * looked for while there is no decompressor yet, by going from header to header through all that is
 * not compressed at the image's beginning (lib/earlycpio.c), and this finds an early archive of the
 * user's behind ours. Behind the user's, an archive must begin at a multiple of four bytes, and the
 * lz4 format that the kernel reads has no end: it ends with the image, or at four zero bytes
 * (lib/decompress_unlz4.c). So zeros are put between 2 and 3, at least four.
 *
 * Equal options and files give equal bytes.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/boot.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "shim/busybox.h"
#include "shim/content.h"
#include "shim/cpio.h"
#include "shim/embed.h"
#include "shim/initrd.h"
#include "shim/load_order.h"
#include "shim/tree.h"

/* An initramfs of the user's, open and checked; fd -1 where there is none. */
struct initrd {
	int fd;
	uint64_t size;
};

static void free_cpio(struct cpio **cpio)
{
	cpio_destroy(*cpio);
}

static int open_initrd(const char *path, struct initrd *initrd, struct provium_error *error)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read initramfs %s", path);
	if (!S_ISREG(status.st_mode))
		return error_set(error, PROVIUM_INVALID, S_ISDIR(status.st_mode) ? EISDIR : 0,
				 "initramfs %s is not a regular file", path);
	initrd->size = (uint64_t)status.st_size;
	if (initrd_check(fd, path, initrd->size, NULL, error) < 0)
		return -1;
	initrd->fd = steal_fd(&fd);
	return 0;
}

/* Without a console device in its first root the kernel gives init no fds 0 to 2. */
static int add_console(struct cpio *cpio, struct names *names, struct provium_error *error)
{
	struct cpio_entry console = {
		.path = "/dev/console",
		.mode = S_IFCHR | 0600,
		.device = makedev(5, 1),
	};

	if (tree_make_directory(cpio, names, "/dev", 0755, error) < 0)
		return -1;
	return cpio_add(cpio, &console, error);
}

static int write_first(const struct provium_shim_options *options, int fd, struct names *names,
		       struct provium_error *error)
{
	cleanup(free_cpio) struct cpio *cpio = cpio_create(fd, error);

	if (!cpio)
		return -1;
	if (cpio_add_bytes(cpio, BOOT_WRAPPER, 0755, embed_wrapper,
			   (size_t)(embed_wrapper_end - embed_wrapper), error) < 0 ||
	    cpio_add_bytes(cpio, BOOT_AGENT_PACKED, 0644, embed_agent,
			   (size_t)(embed_agent_end - embed_agent), error) < 0 ||
	    (options->token && cpio_add_bytes(cpio, BOOT_TOKEN, 0400, options->token,
					      PROVIUM_TOKEN_SIZE, error) < 0) ||
	    add_console(cpio, names, error) < 0)
		return -1;
	if (options->modules_dir &&
	    load_order_add(cpio, names, options->modules_dir, options->modules, error) < 0)
		return -1;
	if (options->busybox && busybox_add(cpio, names, error) < 0)
		return -1;
	return cpio_finish(steal_ptr(&cpio), error);
}

static int write_files(const struct provium_shim_options *options, int fd, struct names *names,
		       struct provium_error *error)
{
	cleanup(free_cpio) struct cpio *cpio = cpio_create(fd, error);

	if (!cpio)
		return -1;
	for (size_t i = 0; i < options->n_files; i++) {
		if (tree_add(cpio, names, &options->files[i], error) < 0)
			return -1;
	}
	return cpio_finish(steal_ptr(&cpio), error);
}

int shim_write_fd(const struct provium_shim_options *options, int fd, struct provium_error *error)
{
	static const char zeros[CPIO_BLOCK + 4];
	cleanup(names_finish) struct names names = { 0 };
	struct initrd initrd = { .fd = -1 };
	cleanup_close int initrd_fd = -1;

	if (options->modules && options->modules[0] && !options->modules_dir)
		return error_set(error, PROVIUM_INVALID, 0,
				 "module %s: give the directory of the kernel's modules, too",
				 options->modules[0]);
	if (options->initrd && options->busybox)
		return error_set(
			error, PROVIUM_INVALID, 0,
			"initramfs %s: a busybox userland cannot be added to it: each would "
			"replace files of the other",
			options->initrd);
	if (options->initrd && open_initrd(options->initrd, &initrd, error) < 0)
		return -1;
	initrd_fd = initrd.fd;

	if (write_first(options, fd, &names, error) < 0)
		return -1;
	if (initrd_fd >= 0 && content_copy(fd, initrd_fd, initrd.size, options->initrd, error) < 0)
		return -1;
	if (options->n_files == 0)
		return 0;
	if (initrd_fd >= 0 &&
	    initrd_check(initrd_fd, options->initrd, initrd.size, &names, error) < 0)
		return -1;
	if (initrd_fd >= 0 &&
	    cpio_write_raw(fd, zeros,
			   4 + (CPIO_BLOCK - (initrd.size + 4) % CPIO_BLOCK) % CPIO_BLOCK,
			   error) < 0)
		return -1;
	return write_files(options, fd, &names, error);
}

/* What is no regular file (a pipe, /dev/stdout) is written to, and not replaced. */
static bool is_replaceable(const char *path)
{
	struct stat status;

	return stat(path, &status) < 0 || S_ISREG(status.st_mode);
}

static int write_special(const struct provium_shim_options *options, const char *path,
			 struct provium_error *error)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot write %s", path);
	return shim_write_fd(options, fd, error);
}

/* A new file beside path, with the permissions that the user's mask leaves of mode. */
static int open_temporary(const char *path, mode_t mode, char temporary[PATH_MAX],
			  struct provium_error *error)
{
	uint64_t number;
	int fd;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number) ||
	    snprintf(temporary, PATH_MAX, "%s.%016llx", path, (unsigned long long)number) >=
		    PATH_MAX)
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot write %s", path);
	return fd;
}

int provium_shim_write(const struct provium_shim_options *options, const char *path,
		       struct provium_error *error)
{
	char temporary[PATH_MAX];
	cleanup_close int fd = -1;
	int result;

	if (!is_replaceable(path))
		return write_special(options, path, error);
	/* Who may read the archive knows the token. */
	fd = open_temporary(path, options->token ? 0600 : 0666, temporary, error);
	if (fd < 0)
		return -1;
	result = shim_write_fd(options, fd, error);
	if (result == 0 && rename(temporary, path) < 0)
		result = error_set(error, PROVIUM_HOST, errno, "cannot write %s", path);
	if (result < 0)
		unlink(temporary);
	return result;
}
