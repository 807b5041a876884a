/* What is in a shim: written to files of a temporary directory, and read back. */
#include "shim/shim.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "shim/busybox.h"
#include "shim/embed.h"
#include "unit.h"
#include "wrapper/unpack.h"

static char directory[256];
static struct provium_error error;

/* Where a name of the temporary directory is; good for many calls. */
static const char *at(const char *name)
{
	static char paths[64][512];
	static unsigned int turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void set_up(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/shim-write.XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	memset(&error, 0, sizeof(error));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_file(const char *name, const void *data, size_t size, mode_t mode)
{
	cleanup_close int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

static void make_text(const char *name, const char *text)
{
	make_file(name, text, strlen(text), 0644);
}

/* One file through a filter of libarchive's. */
static void make_compressed(const char *name, const char *text, int (*filter)(struct archive *))
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	ck_assert_int_eq(archive_write_set_format_raw(archive), ARCHIVE_OK);
	ck_assert_int_eq(filter(archive), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_open_filename(archive, at(name)), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
	archive_write_data(archive, text, strlen(text));
	ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(archive);
}

static int write_shim(const struct provium_shim_options *options)
{
	return provium_shim_write(options, at("out"), &error);
}

static void assert_written(const struct provium_shim_options *options)
{
	ck_assert_msg(write_shim(options) == 0, "%s", error.message);
}

static void assert_fails(const struct provium_shim_options *options, enum provium_code code,
			 const char *text)
{
	ck_assert_int_eq(write_shim(options), -1);
	ck_assert_msg(strstr(error.message, text), "'%s' is not in: %s", text, error.message);
	ck_assert_int_eq(error.code, code);
	/* Neither the file nor what was to become it. */
	ck_assert_int_eq(access(at("out"), F_OK), -1);
}

struct entry {
	char path[256];
	mode_t mode;
	uint64_t size;
	char target[256];
	char *data;
	time_t mtime;
};

struct listing {
	struct entry entries[1024];
	size_t count;
	/* Where the archive ends, its padding included. */
	uint64_t end;
};

/* Reads one archive of "out", from offset on. */
static struct listing *read_archive(uint64_t offset)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	cleanup_close int fd = open(at("out"), O_RDONLY | O_CLOEXEC);
	struct archive *archive = archive_read_new();
	struct archive_entry *header;
	int result;

	ck_assert_int_eq(lseek(fd, (off_t)offset, SEEK_SET), (off_t)offset);
	archive_read_support_format_cpio(archive);
	ck_assert_int_eq(archive_read_open_fd(archive, fd, CPIO_BLOCK), ARCHIVE_OK);
	while ((result = archive_read_next_header(archive, &header)) == ARCHIVE_OK) {
		struct entry *entry = &listing->entries[listing->count++];

		ck_assert_uint_lt(listing->count, ARRAY_SIZE(listing->entries));
		snprintf(entry->path, sizeof(entry->path), "%s", archive_entry_pathname(header));
		entry->mode = archive_entry_mode(header);
		if (S_ISREG(entry->mode))
			entry->size = (uint64_t)archive_entry_size(header);
		entry->mtime = archive_entry_mtime(header);
		if (archive_entry_symlink(header))
			snprintf(entry->target, sizeof(entry->target), "%s",
				 archive_entry_symlink(header));
		entry->data = calloc(1, entry->size + 1);
		ck_assert_int_eq(archive_read_data(archive, entry->data, entry->size),
				 (la_ssize_t)entry->size);
		ck_assert_int_eq(archive_entry_uid(header), 0);
		ck_assert_int_eq(archive_entry_gid(header), 0);
		ck_assert_int_eq(archive_entry_nlink(header), 1);
	}
	ck_assert_int_eq(result, ARCHIVE_EOF);
	listing->end = (offset + (uint64_t)archive_filter_bytes(archive, 0) + CPIO_BLOCK - 1) /
		       CPIO_BLOCK * CPIO_BLOCK;
	archive_read_free(archive);
	return listing;
}

static void free_listing(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->entries[i].data);
	free(listing);
}

static const struct entry *find(const struct listing *listing, const char *path)
{
	for (size_t i = 0; i < listing->count; i++) {
		if (strcmp(listing->entries[i].path, path) == 0)
			return &listing->entries[i];
	}
	return NULL;
}

static void assert_entry(const struct listing *listing, const char *path, mode_t mode,
			 const char *data)
{
	const struct entry *entry = find(listing, path);

	ck_assert_msg(entry != NULL, "%s is missing", path);
	ck_assert_msg(entry->mode == mode, "%s: %o, not %o", path, entry->mode, mode);
	if (data)
		ck_assert_msg(strcmp(entry->data, data) == 0, "%s: '%s'", path, entry->data);
}

START_TEST(programs)
{
	const struct provium_shim_options options = { 0 };
	struct listing *listing;
	const struct entry *agent;
	struct stat status;

	assert_written(&options);
	listing = read_archive(0);
	assert_entry(listing, "provium-wrapper", S_IFREG | 0755, NULL);
	assert_entry(listing, "provium-agent.packed", S_IFREG | 0644, NULL);
	assert_entry(listing, "dev", S_IFDIR | 0755, NULL);
	assert_entry(listing, "dev/console", S_IFCHR | 0600, NULL);
	ck_assert_uint_eq(listing->count, 4);
	agent = find(listing, "provium-agent.packed");
	ck_assert_uint_eq(agent->size, (size_t)(embed_agent_end - embed_agent));
	ck_assert_mem_eq(agent->data, embed_agent, agent->size);
	ck_assert_int_eq(stat(at("out"), &status), 0);
	ck_assert_int_le(status.st_size, KIB(128));
	ck_assert_int_eq(status.st_size % CPIO_BLOCK, 0);
	ck_assert_uint_eq(listing->end, (uint64_t)status.st_size);
	free_listing(listing);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */
/* Modules */

static const char dep[] =
	"kernel/vsock.ko:\n"
	"kernel/vmw_vsock_virtio_transport.ko.xz: kernel/common.ko.gz kernel/vsock.ko\n"
	"kernel/common.ko.gz: kernel/vsock.ko\n"
	"kernel/virtio-pci.ko.zst:\n"
	"kernel/gone.ko:\n"
	"kernel/broken.ko.xz:\n";

/* A directory of modules in "modules". */
static void make_modules(const char *dep_text, const char *builtin_text)
{
	ck_assert_int_eq(mkdir(at("modules"), 0755), 0);
	ck_assert_int_eq(mkdir(at("modules/kernel"), 0755), 0);
	if (dep_text)
		make_text("modules/modules.dep", dep_text);
	if (builtin_text)
		make_text("modules/modules.builtin", builtin_text);
	make_text("modules/kernel/vsock.ko", "vsock");
	make_compressed("modules/kernel/vmw_vsock_virtio_transport.ko.xz", "transport",
			archive_write_add_filter_xz);
	make_compressed("modules/kernel/common.ko.gz", "common", archive_write_add_filter_gzip);
	make_compressed("modules/kernel/virtio-pci.ko.zst", "pci", archive_write_add_filter_zstd);
	make_text("modules/kernel/broken.ko.xz", "\xfd"
						 "7zXZ");
}

START_TEST(modules)
{
	const struct provium_shim_options options = { .modules_dir = at("modules") };
	struct listing *listing;

	make_modules(dep, NULL);
	assert_written(&options);
	listing = read_archive(0);
	assert_entry(listing, "provium-modules", S_IFDIR | 0755, NULL);
	assert_entry(listing, "provium-modules/vsock.ko", S_IFREG | 0644, "vsock");
	assert_entry(listing, "provium-modules/common.ko", S_IFREG | 0644, "common");
	assert_entry(listing, "provium-modules/vmw_vsock_virtio_transport.ko", S_IFREG | 0644,
		     "transport");
	assert_entry(listing, "provium-modules/virtio-pci.ko", S_IFREG | 0644, "pci");
	assert_entry(listing, "provium-modules/list", S_IFREG | 0644,
		     "vsock.ko\ncommon.ko\nvmw_vsock_virtio_transport.ko\nvirtio-pci.ko\n");
	ck_assert_uint_eq(listing->count, 10);
	free_listing(listing);
}
END_TEST

START_TEST(modules_built_in)
{
	const struct provium_shim_options options = { .modules_dir = at("modules") };
	struct listing *listing;

	make_modules(
		"",
		"kernel/vsock.ko\nkernel/vmw_vsock_virtio_transport.ko\nkernel/virtio_pci.ko\n");
	assert_written(&options);
	listing = read_archive(0);
	ck_assert_uint_eq(listing->count, 4);
	free_listing(listing);
}
END_TEST

/* Without PCI there is virtio-mmio. */
START_TEST(modules_mmio)
{
	static const char *const wanted[] = { "virtio_mmio", NULL };
	const struct provium_shim_options options = {
		.modules_dir = at("modules"),
		.modules = wanted,
	};
	struct listing *listing;

	make_modules("kernel/vsock.ko:\n",
		     "kernel/vmw_vsock_virtio_transport.ko\nkernel/virtio_mmio.ko\n");
	assert_written(&options);
	listing = read_archive(0);
	assert_entry(listing, "provium-modules/list", S_IFREG | 0644, "vsock.ko\n");
	free_listing(listing);
}
END_TEST

static const struct {
	const char *dep;
	const char *builtin;
	const char *wanted;
	enum provium_code code;
	const char *text;
} bad_modules[] = {
	{ NULL, NULL, NULL, PROVIUM_INVALID, "modules.dep: give the directory" },
	{ "", "", NULL, PROVIUM_INVALID, "CONFIG_VSOCKETS" },
	{ "", "", NULL, PROVIUM_INVALID, "has no vsock," },
	{ "kernel/vsock.ko:\n", "", NULL, PROVIUM_INVALID, "CONFIG_VIRTIO_VSOCKETS" },
	{ "kernel/vsock.ko:\n", "", NULL, PROVIUM_INVALID, "has no vmw_vsock_virtio_transport," },
	{ "kernel/vsock.ko:\n", NULL, NULL, PROVIUM_INVALID, "modules.builtin is missing" },
	{ "kernel/vsock.ko:\nkernel/vmw_vsock_virtio_transport.ko.xz:\n", "", NULL, PROVIUM_INVALID,
	  "CONFIG_VIRTIO_PCI" },
	{ dep, "", "nonesuch", PROVIUM_INVALID, "no module nonesuch" },
	{ dep, "", "gone", PROVIUM_HOST, "kernel/gone.ko: No such file" },
	{ dep, "", "broken", PROVIUM_INVALID, "cannot decompress module" },
	{ "kernel/vsock.ko: kernel/vsock.ko\n", "", NULL, PROVIUM_INVALID,
	  "damaged at kernel/vsock.ko" },
};

START_TEST(modules_refused)
{
	const char *const wanted[] = { bad_modules[_i].wanted, NULL };
	const struct provium_shim_options options = {
		.modules_dir = at("modules"),
		.modules = wanted,
	};

	make_modules(bad_modules[_i].dep, bad_modules[_i].builtin);
	assert_fails(&options, bad_modules[_i].code, bad_modules[_i].text);
}
END_TEST

START_TEST(modules_without_directory)
{
	static const char *const wanted[] = { "vsock", NULL };
	const struct provium_shim_options none = { .modules = wanted };
	const struct provium_shim_options missing = { .modules_dir = at("missing") };

	assert_fails(&none, PROVIUM_INVALID, "module vsock");
	assert_fails(&missing, PROVIUM_INVALID, "missing/modules.dep");
}
END_TEST

/* --------------------------------------------------------------------------------------------- */
/* Files */

static void make_tree(void)
{
	ck_assert_int_eq(mkdir(at("tree"), 0755), 0);
	ck_assert_int_eq(chmod(at("tree"), 0750), 0);
	ck_assert_int_eq(mkdir(at("tree/empty"), 0755), 0);
	ck_assert_int_eq(chmod(at("tree/empty"), 01777), 0);
	ck_assert_int_eq(mkdir(at("tree/z"), 0755), 0);
	make_text("tree/z/deep", "deep");
	make_file("tree/program", "#!", 2, 04755);
	make_file("tree/nothing", "", 0, 0400);
	/* Names are bytes. */
	make_text("tree/caf\xc3\xa9", "utf-8");
	make_text("tree/\xff\x01", "no utf-8");
	ck_assert_int_eq(symlink("../nowhere", at("tree/link")), 0);
	ck_assert_int_eq(mkfifo(at("tree/pipe"), 0622), 0);
	ck_assert_int_eq(chmod(at("tree/pipe"), 0622), 0);
}

START_TEST(tree)
{
	const struct provium_file file = { .guest_path = "/opt//./t/", .host_path = at("tree") };
	const struct provium_shim_options options = { .files = &file, .n_files = 1 };
	struct listing *first, *files;

	make_tree();
	assert_written(&options);
	first = read_archive(0);
	files = read_archive(first->end);

	ck_assert_uint_eq(first->count, 4);

	assert_entry(files, "opt", S_IFDIR | 0755, NULL);
	assert_entry(files, "opt/t", S_IFDIR | 0750, NULL);
	assert_entry(files, "opt/t/empty", S_IFDIR | 01777, NULL);
	assert_entry(files, "opt/t/z", S_IFDIR | 0755, NULL);
	assert_entry(files, "opt/t/z/deep", S_IFREG | 0644, "deep");
	assert_entry(files, "opt/t/program", S_IFREG | 04755, "#!");
	assert_entry(files, "opt/t/nothing", S_IFREG | 0400, "");
	assert_entry(files, "opt/t/caf\xc3\xa9", S_IFREG | 0644, "utf-8");
	assert_entry(files, "opt/t/\xff\x01", S_IFREG | 0644, "no utf-8");
	assert_entry(files, "opt/t/pipe", S_IFIFO | 0622, NULL);
	assert_entry(files, "opt/t/link", S_IFLNK | 0777, NULL);
	ck_assert_str_eq(find(files, "opt/t/link")->target, "../nowhere");
	ck_assert_uint_eq(files->count, 11);
	for (size_t i = 1; i < files->count; i++)
		ck_assert_str_lt(files->entries[i - 1].path, files->entries[i].path);
	free_listing(first);
	free_listing(files);
}
END_TEST

START_TEST(single_files)
{
	const struct provium_file list[] = {
		{ .guest_path = "/a/b/c", .host_path = at("file") },
		{ .guest_path = "/a/b/d", .host_path = at("link") },
		/* The later of two comes over the earlier. */
		{ .guest_path = "/a/b/c", .host_path = at("other") },
	};
	const struct provium_shim_options options = { .files = list, .n_files = ARRAY_SIZE(list) };
	struct listing *first, *files;

	make_file("file", "file", 4, 0640);
	make_text("other", "other");
	ck_assert_int_eq(symlink("file", at("link")), 0);
	assert_written(&options);
	first = read_archive(0);
	files = read_archive(first->end);
	ck_assert_uint_eq(files->count, 5);
	assert_entry(files, "a", S_IFDIR | 0755, NULL);
	assert_entry(files, "a/b", S_IFDIR | 0755, NULL);
	assert_entry(files, "a/b/c", S_IFREG | 0640, "file");
	assert_entry(files, "a/b/d", S_IFREG | 0640, "file");
	ck_assert_str_eq(files->entries[4].path, "a/b/c");
	ck_assert_str_eq(files->entries[4].data, "other");
	free_listing(first);
	free_listing(files);
}
END_TEST

static const struct {
	const char *guest_path;
	/* NULL: none; not absolute: in the temporary directory. */
	const char *host_path;
	enum provium_code code;
	const char *text;
} bad_files[] = {
	{ "a", "file", PROVIUM_INVALID, "'a' is not absolute" },
	{ "", "file", PROVIUM_INVALID, "'' is not absolute" },
	{ "/", "file", PROVIUM_INVALID, "is the root" },
	{ "//./", "file", PROVIUM_INVALID, "is the root" },
	{ "/a/../../b", "file", PROVIUM_INVALID, "'..'" },
	{ NULL, "file", PROVIUM_INVALID, "a path on both sides" },
	{ "/a", NULL, PROVIUM_INVALID, "a path on both sides" },
	{ "/a", "missing", PROVIUM_HOST, "missing: No such file" },
	{ "/a", "file/below", PROVIUM_HOST, "file/below: Not a directory" },
	{ "/a", "huge", PROVIUM_INVALID, "4 GiB" },
	{ "/a", "/proc/self/status", PROVIUM_INVALID, "longer than it says" },
};

START_TEST(files_refused)
{
	const char *host_path = bad_files[_i].host_path;
	const struct provium_file file = {
		.guest_path = bad_files[_i].guest_path,
		.host_path = host_path && host_path[0] != '/' ? at(host_path) : host_path,
	};
	const struct provium_shim_options options = { .files = &file, .n_files = 1 };

	make_text("file", "file");
	make_text("huge", "");
	ck_assert_int_eq(truncate(at("huge"), INT64_C(1) << 32), 0);
	assert_fails(&options, bad_files[_i].code, bad_files[_i].text);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */
/* With an initramfs */

static void add_to_image(struct archive *archive, const char *path, mode_t mode, const char *target)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_size(entry, 0);
	if (target)
		archive_entry_set_symlink(entry, target);
	ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
	archive_entry_free(entry);
}

/* An initramfs with the kinds of links that distributions have, in "initrd". */
static void make_image(int (*filter)(struct archive *))
{
	struct archive *archive = archive_write_new();

	archive_write_set_format_cpio_newc(archive);
	ck_assert_int_eq(filter(archive), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_open_filename(archive, at("initrd")), ARCHIVE_OK);
	add_to_image(archive, ".", S_IFDIR | 0755, NULL);
	add_to_image(archive, "usr", S_IFDIR | 0755, NULL);
	add_to_image(archive, "./usr/lib", S_IFDIR | 0755, NULL);
	add_to_image(archive, "lib", S_IFLNK | 0777, "usr/lib");
	add_to_image(archive, "lib/deep", S_IFDIR | 0700, NULL);
	add_to_image(archive, "/usr/lib64", S_IFLNK | 0777, "./../../lib");
	add_to_image(archive, "loop", S_IFLNK | 0777, "loop");
	add_to_image(archive, "once", S_IFLNK | 0777, "usr");
	add_to_image(archive, "once", S_IFREG | 0644, NULL);
	add_to_image(archive, "top", S_IFLNK | 0777, "/");
	ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
}

/* Reads all of a file, of size bytes, into size + 2 * CPIO_BLOCK bytes that are zero behind it. */
static char *read_whole(const char *name, size_t *size)
{
	cleanup_close int fd = open(at(name), O_RDONLY | O_CLOEXEC);
	struct stat status;
	char *data;

	ck_assert_int_eq(fstat(fd, &status), 0);
	*size = (size_t)status.st_size;
	data = calloc(1, *size + (size_t)2 * CPIO_BLOCK);
	ck_assert_int_eq(read(fd, data, *size), status.st_size);
	return data;
}

/* How far behind a block's end the image ends. */
static const size_t image_ends[] = {
	0, 1, 4, CPIO_BLOCK - 5, CPIO_BLOCK - 4, CPIO_BLOCK - 3, CPIO_BLOCK - 1
};

/* Behind our archive, byte for byte; then at least four zeros, and the files where a block begins.
 */
START_TEST(initramfs_between)
{
	const struct provium_file file = { .guest_path = "/f", .host_path = at("file") };
	const struct provium_shim_options options = {
		.initrd = at("initrd"),
		.files = &file,
		.n_files = 1,
	};
	size_t image_size, size, padding = CPIO_BLOCK - image_ends[_i];
	struct listing *first, *files;
	char *image, *whole;

	if (padding < 4)
		padding += CPIO_BLOCK;
	make_text("file", "file");
	make_image(archive_write_add_filter_gzip);
	ck_assert_int_eq(truncate(at("initrd"), (off_t)((size_t)4 * CPIO_BLOCK + image_ends[_i])),
			 0);
	assert_written(&options);

	first = read_archive(0);
	image = read_whole("initrd", &image_size);
	whole = read_whole("out", &size);
	ck_assert_uint_gt(size, first->end + image_size + padding);
	ck_assert_mem_eq(whole + first->end, image, image_size + padding);
	files = read_archive(first->end + image_size + padding);
	assert_entry(files, "f", S_IFREG | 0644, "file");
	ck_assert_uint_eq(files->end, size);
	free_listing(first);
	free_listing(files);
	free(image);
	free(whole);
}
END_TEST

/* Where files go, and which directories are made for them, when the image has links. */
static const struct {
	const char *guest_path;
	/* "made file", of "made/" and the rest as in the archive. */
	const char *entries;
} places[] = {
	{ "/usr/file", "usr/file" },
	{ "/lib/file", "usr/lib/file" },
	{ "/lib/new/er/file", "usr/lib/new/ usr/lib/new/er/ usr/lib/new/er/file" },
	/* A directory that is there keeps its mode. */
	{ "/lib/deep/file", "usr/lib/deep/file" },
	{ "/usr/lib64/x/file", "usr/lib/x/ usr/lib/x/file" },
	/* A link in the file's own place is replaced. */
	{ "/lib", "lib" },
	{ "/once/file", "once/ once/file" },
	{ "/top/top/file", "file" },
	{ "/none/file", "none/ none/file" },
};

START_TEST(places_in_image)
{
	const struct provium_file file = { .guest_path = places[_i].guest_path,
					   .host_path = at("file") };
	const struct provium_shim_options options = {
		.initrd = at("initrd"),
		.files = &file,
		.n_files = 1,
	};
	static int (*const filters[])(struct archive *) = {
		archive_write_add_filter_none,
		archive_write_add_filter_gzip,
		archive_write_add_filter_zstd,
	};

	make_text("file", "file");
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		char found[256] = "";
		struct listing *first, *files;
		struct stat image;

		make_image(filters[i]);
		assert_written(&options);
		first = read_archive(0);
		ck_assert_int_eq(stat(at("initrd"), &image), 0);
		files = read_archive((first->end + (uint64_t)image.st_size + 4 + CPIO_BLOCK - 1) /
				     CPIO_BLOCK * CPIO_BLOCK);
		for (size_t j = 0; j < files->count; j++)
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s%s",
				 j > 0 ? " " : "", files->entries[j].path,
				 S_ISDIR(files->entries[j].mode) ? "/" : "");
		ck_assert_str_eq(found, places[_i].entries);
		free_listing(first);
		free_listing(files);
	}
}
END_TEST

START_TEST(no_place_in_image)
{
	const struct provium_file file = { .guest_path = "/loop/file", .host_path = at("file") };
	const struct provium_file root = { .guest_path = "/top", .host_path = at("tree") };
	struct provium_shim_options options = {
		.initrd = at("initrd"),
		.files = &file,
		.n_files = 1,
	};

	make_text("file", "file");
	make_tree();
	make_image(archive_write_add_filter_gzip);
	assert_fails(&options, PROVIUM_INVALID, "'/loop/file': Too many levels");
	options.files = &root;
	assert_fails(&options, PROVIUM_INVALID, "'/top' leads to the root");
}
END_TEST

/* A tree goes into the directory that is there, also through a link. */
START_TEST(tree_in_image)
{
	const struct provium_file file = { .guest_path = "/lib", .host_path = at("tree") };
	const struct provium_shim_options options = {
		.initrd = at("initrd"),
		.files = &file,
		.n_files = 1,
	};
	struct listing *first, *files;
	struct stat image;

	make_tree();
	make_image(archive_write_add_filter_gzip);
	assert_written(&options);
	first = read_archive(0);
	ck_assert_int_eq(stat(at("initrd"), &image), 0);
	files = read_archive((first->end + (uint64_t)image.st_size + 4 + CPIO_BLOCK - 1) /
			     CPIO_BLOCK * CPIO_BLOCK);
	ck_assert_ptr_null(find(files, "lib"));
	ck_assert_ptr_null(find(files, "usr/lib"));
	assert_entry(files, "usr/lib/z", S_IFDIR | 0755, NULL);
	assert_entry(files, "usr/lib/z/deep", S_IFREG | 0644, "deep");
	free_listing(first);
	free_listing(files);
}
END_TEST

/* What can only be seen by reading all of it. */
START_TEST(image_damaged_behind_its_beginning)
{
	const struct provium_file file = { .guest_path = "/f", .host_path = at("file") };
	struct provium_shim_options options = { .initrd = at("initrd") };

	make_text("file", "file");
	make_compressed("initrd", "070701 and so on", archive_write_add_filter_gzip);
	assert_written(&options);
	ck_assert_int_eq(unlink(at("out")), 0);
	options.files = &file;
	options.n_files = 1;
	assert_fails(&options, PROVIUM_INVALID, "is cut off");
}
END_TEST

/* Without files the image ends as the user's does. */
START_TEST(initramfs_last)
{
	const struct provium_shim_options options = { .initrd = at("initrd") };
	struct listing *first;
	struct stat image, status;

	make_image(archive_write_add_filter_gzip);
	assert_written(&options);
	first = read_archive(0);
	ck_assert_int_eq(stat(at("initrd"), &image), 0);
	ck_assert_int_eq(stat(at("out"), &status), 0);
	ck_assert_uint_eq((uint64_t)status.st_size, first->end + (uint64_t)image.st_size);
	free_listing(first);
}
END_TEST

START_TEST(initramfs_refused)
{
	struct provium_shim_options options = { .initrd = at("initrd") };

	assert_fails(&options, PROVIUM_HOST, "No such file");
	ck_assert_int_eq(mkdir(at("initrd"), 0755), 0);
	assert_fails(&options, PROVIUM_INVALID, "not a regular file: Is a directory");
	ck_assert_int_eq(rmdir(at("initrd")), 0);
	ck_assert_int_eq(mkfifo(at("initrd"), 0600), 0);
	assert_fails(&options, PROVIUM_INVALID, "not a regular file");
	ck_assert_int_eq(unlink(at("initrd")), 0);
	make_text("initrd", "root:x:0:0");
	assert_fails(&options, PROVIUM_INVALID, "expected a cpio archive");
	options.busybox = true;
	assert_fails(&options, PROVIUM_INVALID, "busybox userland cannot be added");
}
END_TEST

/* --------------------------------------------------------------------------------------------- */
/* Busybox */

START_TEST(busybox)
{
	const struct provium_shim_options options = { .busybox = true };
	struct listing *listing;

	assert_written(&options);
	listing = read_archive(0);
	assert_entry(listing, "bin/busybox", S_IFREG | 0755, NULL);
	assert_entry(listing, "bin/sh", S_IFLNK | 0777, NULL);
	ck_assert_str_eq(find(listing, "bin/sh")->target, "/bin/busybox");
	assert_entry(listing, "tmp", S_IFDIR | 01777, NULL);
	assert_entry(listing, "etc/passwd", S_IFREG | 0644, NULL);
	/* The wrapper would execute it in its own place. */
	ck_assert_ptr_null(find(listing, "init"));
	ck_assert_ptr_null(find(listing, "linuxrc"));
	ck_assert_uint_gt(listing->count, 200);
	for (size_t i = 0; i < listing->count; i++) {
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(listing->entries[i].path, listing->entries[j].path);
	}
	free_listing(listing);
}
END_TEST

START_TEST(static_program)
{
	cleanup_close int ours = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cleanup_close int text = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	cleanup_close int agent = -1;

	make_file("packed", embed_agent, (size_t)(embed_agent_end - embed_agent), 0644);
	ck_assert_int_eq(unpack(at("packed"), at("agent")), 0);
	agent = open(at("agent"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(busybox_is_static(ours), 0);
	ck_assert_int_eq(busybox_is_static(text), 0);
	ck_assert_int_eq(busybox_is_static(agent), 1);
	ck_assert_int_eq(busybox_is_static(-1), -1);
}
END_TEST

/* --------------------------------------------------------------------------------------------- */
/* As a whole */

/* Runs `busybox cpio -t`, from "out" to "names". */
static void list_with_busybox(void)
{
	char *argv[] = { (char *)"busybox", (char *)"cpio", (char *)"-t", NULL };
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, at("out"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, at("names"), O_WRONLY | O_CREAT, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	ck_assert_int_eq(posix_spawnp(&pid, "busybox", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* A reader that is not ours lists the same names. */
START_TEST(other_reader)
{
	const struct provium_shim_options options = { .busybox = true };
	struct listing *listing;
	size_t count = 0, size;
	char *names, *rest, *line;

	assert_written(&options);
	listing = read_archive(0);
	list_with_busybox();
	rest = names = read_whole("names", &size);
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		ck_assert_uint_lt(count, listing->count);
		ck_assert_str_eq(line, listing->entries[count].path);
		count++;
	}
	ck_assert_uint_eq(count, listing->count);
	free(names);
	free_listing(listing);
}
END_TEST

START_TEST(deterministic)
{
	const struct provium_file file = { .guest_path = "/opt/t", .host_path = at("tree") };
	const struct provium_shim_options options = {
		.modules_dir = at("modules"),
		.files = &file,
		.n_files = 1,
		.busybox = true,
	};
	size_t before_size, after_size;
	char *before, *after;

	make_tree();
	make_modules(dep, NULL);
	assert_written(&options);
	before = read_whole("out", &before_size);
	assert_written(&options);
	after = read_whole("out", &after_size);
	ck_assert_uint_eq(before_size, after_size);
	ck_assert(memcmp(before, after, after_size) == 0);
	free(before);
	free(after);
}
END_TEST

static long resident_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

START_TEST(large_files_are_streamed)
{
	const struct provium_file file = { .guest_path = "/large", .host_path = at("large") };
	const struct provium_shim_options options = { .files = &file, .n_files = 1 };
	long before;

	make_text("large", "");
	ck_assert_int_eq(truncate(at("large"), 512 << 20), 0);
	ck_assert_msg(
		provium_shim_write(&(struct provium_shim_options){ 0 }, "/dev/null", &error) == 0,
		"%s", error.message);
	before = resident_kib();
	ck_assert_msg(provium_shim_write(&options, "/dev/null", &error) == 0, "%s", error.message);
	ck_assert_int_lt(resident_kib() - before, 8192);
}
END_TEST

START_TEST(no_space)
{
	const struct provium_shim_options options = { 0 };
	struct stat status;

	ck_assert_int_eq(provium_shim_write(&options, "/dev/full", &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOSPC);
	ck_assert_int_eq(stat("/dev/full", &status), 0);
	ck_assert(S_ISCHR(status.st_mode));
	ck_assert_int_eq(provium_shim_write(&options, at("missing/out"), &error), -1);
	ck_assert_int_eq(error.os_errno, ENOENT);
}
END_TEST

/* The archive is as secret as what is in it. */
START_TEST(with_token)
{
	static const unsigned char token[PROVIUM_TOKEN_SIZE] = "a\0token\377 of 32 bytes";
	const struct provium_shim_options none = { 0 };
	const struct provium_shim_options options = { .token = token };
	struct listing *listing;
	struct stat status;

	umask(0);
	make_file("out", "old", 3, 0666);
	assert_written(&options);
	ck_assert_int_eq(stat(at("out"), &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
	listing = read_archive(0);
	assert_entry(listing, "provium-token", S_IFREG | 0400, NULL);
	ck_assert_uint_eq(find(listing, "provium-token")->size, sizeof(token));
	ck_assert_mem_eq(find(listing, "provium-token")->data, token, sizeof(token));
	free_listing(listing);

	assert_written(&none);
	listing = read_archive(0);
	ck_assert_ptr_null(find(listing, "provium-token"));
	free_listing(listing);
}
END_TEST

START_TEST(replaces)
{
	const struct provium_shim_options options = { 0 };
	struct stat status;
	mode_t mask = umask(027);

	make_file("out", "old", 3, 0666);
	assert_written(&options);
	umask(mask);
	ck_assert_int_eq(stat(at("out"), &status), 0);
	ck_assert_int_gt(status.st_size, 3);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0640);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shim-write");
	TCase *tests = unit_counted_case("write");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, programs);
	tcase_add_test(tests, modules);
	tcase_add_test(tests, modules_built_in);
	tcase_add_test(tests, modules_mmio);
	tcase_add_loop_test(tests, modules_refused, 0, (int)ARRAY_SIZE(bad_modules));
	tcase_add_test(tests, modules_without_directory);
	tcase_add_test(tests, tree);
	tcase_add_test(tests, single_files);
	tcase_add_loop_test(tests, files_refused, 0, (int)ARRAY_SIZE(bad_files));
	tcase_add_loop_test(tests, initramfs_between, 0, (int)ARRAY_SIZE(image_ends));
	tcase_add_loop_test(tests, places_in_image, 0, (int)ARRAY_SIZE(places));
	tcase_add_test(tests, no_place_in_image);
	tcase_add_test(tests, tree_in_image);
	tcase_add_test(tests, image_damaged_behind_its_beginning);
	tcase_add_test(tests, initramfs_last);
	tcase_add_test(tests, initramfs_refused);
	tcase_add_test(tests, busybox);
	tcase_add_test(tests, static_program);
	tcase_add_test(tests, other_reader);
	tcase_add_test(tests, deterministic);
	tcase_add_test(tests, large_files_are_streamed);
	tcase_add_test(tests, no_space);
	tcase_add_test(tests, with_token);
	tcase_add_test(tests, replaces);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
