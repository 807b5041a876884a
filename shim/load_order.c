#include "shim/load_order.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/boot.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "shim/content.h"
#include "shim/modules.h"

/* Of a distribution's kernel modules.dep is 1 MiB. */
#define LIST_MAX MIB(64)

/* What a guest needs to be reached. */
static const struct {
	const char *name;
	const char *option;
} needed[] = {
	{ "vsock", "CONFIG_VSOCKETS" },
	{ "vmw_vsock_virtio_transport", "CONFIG_VIRTIO_VSOCKETS" },
	{ "virtio_pci", "CONFIG_VIRTIO_PCI" },
};

static void free_modules(struct modules **modules)
{
	modules_free(*modules);
}

/* Reads a text file whole into *text, the caller's to free. Returns 0 where there is none. */
static int read_list(const char *directory, const char *name, char **text,
		     struct provium_error *error)
{
	char path[PATH_MAX];
	cleanup_close int fd = -1;
	struct stat status;
	ssize_t length;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", path);
	if (status.st_size > (off_t)LIST_MAX)
		return error_set(error, PROVIUM_INVALID, EFBIG, "cannot read %s", path);
	*text = malloc((size_t)status.st_size + 1);
	length = *text ? read(fd, *text, (size_t)status.st_size) : -1;
	if (length < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", path);
	(*text)[length] = '\0';
	return 1;
}

/* option: the configuration that gives the kernel this module; NULL: not known. */
static int add(struct modules *modules, const char *directory, const char *name, const char *option,
	       bool has_builtin, struct provium_error *error)
{
	const char *culprit;

	switch (modules_add(modules, name, &culprit)) {
	case MODULES_OK:
	case MODULES_BUILTIN:
		return 0;
	case MODULES_DAMAGED:
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s/modules.dep is damaged at %s: make it anew with depmod",
				 directory, culprit);
	case MODULES_UNKNOWN:
		break;
	}
	if (option)
		return error_set(
			error, PROVIUM_INVALID, 0,
			"the kernel of %s has no %s, as a module or built in%s: it must be "
			"built with %s (vsock needs CONFIG_VSOCKETS, CONFIG_VIRTIO_VSOCKETS "
			"and CONFIG_VIRTIO_PCI)",
			directory, name, has_builtin ? "" : " (modules.builtin is missing there)",
			option);
	return error_set(error, PROVIUM_INVALID, 0,
			 "the kernel of %s has no module %s, and does not have it built in%s",
			 directory, name, has_builtin ? "" : " (modules.builtin is missing there)");
}

static bool is_wanted(const char *const *wanted, const char *name)
{
	for (; wanted && *wanted; wanted++) {
		if (strcmp(*wanted, name) == 0)
			return true;
	}
	return false;
}

static int choose(struct modules *modules, const char *directory, const char *const *wanted,
		  bool has_builtin, struct provium_error *error)
{
	/* Machines without PCI have their virtio devices on this. */
	bool mmio = is_wanted(wanted, "virtio_mmio") || is_wanted(wanted, "virtio-mmio");

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (mmio && strcmp(needed[i].name, "virtio_pci") == 0)
			continue;
		if (add(modules, directory, needed[i].name, needed[i].option, has_builtin, error) <
		    0)
			return -1;
	}
	for (; wanted && *wanted; wanted++) {
		if (add(modules, directory, *wanted, NULL, has_builtin, error) < 0)
			return -1;
	}
	return 0;
}

/* "kernel/net/vsock.ko.xz": "vsock.ko". The kernel need not know how to decompress. */
static void guest_name(const char *path, char name[BOOT_MODULE_NAME_MAX])
{
	const char *base = strrchr(path, '/');
	char *suffix;

	snprintf(name, BOOT_MODULE_NAME_MAX, "%s", base ? base + 1 : path);
	suffix = strstr(name, ".ko");
	if (suffix)
		suffix[3] = '\0';
}

static int add_file(struct cpio *cpio, const char *directory, const char *path, const char *name,
		    struct provium_error *error)
{
	char host_path[PATH_MAX], guest_path[PATH_MAX];

	snprintf(guest_path, sizeof(guest_path), BOOT_MODULES_DIR "/%s", name);
	/* depmod writes absolute paths of modules that lie elsewhere. */
	if (snprintf(host_path, sizeof(host_path), "%s%s%s", path[0] == '/' ? "" : directory,
		     path[0] == '/' ? "" : "/", path) >= (int)sizeof(host_path))
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "module %s", path);
	return content_add_module(cpio, guest_path, host_path, error);
}

static int add_files(struct cpio *cpio, struct names *names, const char *directory,
		     const struct modules *modules, struct provium_error *error)
{
	char list[BOOT_MODULES_MAX * (BOOT_MODULE_NAME_MAX + 1)];
	size_t count = modules_count(modules), used = 0;

	if (count == 0)
		return 0;
	if (count > BOOT_MODULES_MAX)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%zu modules to load, at most %d are possible", count,
				 BOOT_MODULES_MAX);
	if (tree_make_directory(cpio, names, BOOT_MODULES_DIR, 0755, error) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		char name[BOOT_MODULE_NAME_MAX];

		guest_name(modules_path(modules, i), name);
		if (add_file(cpio, directory, modules_path(modules, i), name, error) < 0)
			return -1;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\n", name);
	}
	return cpio_add_bytes(cpio, BOOT_MODULES_DIR "/" BOOT_MODULES_LIST, 0644, list, used,
			      error);
}

int load_order_add(struct cpio *cpio, struct names *names, const char *modules_dir,
		   const char *const *wanted, struct provium_error *error)
{
	cleanup_free char *dep = NULL, *builtin = NULL;
	cleanup(free_modules) struct modules *modules = NULL;
	int found = read_list(modules_dir, "modules.dep", &dep, error);

	if (found < 0)
		return -1;
	if (found == 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "there is no %s/modules.dep: give the directory that has it "
				 "(/lib/modules/VERSION), or make it with depmod",
				 modules_dir);
	if (read_list(modules_dir, "modules.builtin", &builtin, error) < 0)
		return -1;
	modules = modules_parse(dep, builtin);
	if (!modules)
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot read %s", modules_dir);
	if (choose(modules, modules_dir, wanted, builtin != NULL, error) < 0)
		return -1;
	return add_files(cpio, names, modules_dir, modules, error);
}
