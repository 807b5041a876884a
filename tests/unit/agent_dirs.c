/* STAT, LIST_DIR, MKDIR, and the operations on names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/stat.h>

#include "agent/connection.h"
#include "agent_files.h"
#include "agent_os.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* A path in the test's folder that outlives the next. */
static char *path_of(const char *name)
{
	char *path = strdup(test_path(name));

	ck_assert_ptr_nonnull(path);
	return path;
}

/* ------------------------------------------------------------------------------------------- */
/* STAT */

static Provium__V1__StatResult stat_of(const Provium__V1__Stat *request)
{
	uint32_t id = send_body(&client, BODY(STAT), request);
	const Provium__V1__Message *message = client_expect(&client, BODY(STAT_RESULT));

	ck_assert_uint_eq(message->id, id);
	return *message->stat_result;
}

/* What the kernel says in 256 bytes, in which struct statx of some C library may end early. */
#define STATUS_SIZE 256

/* All that STAT tells: a field of the result, where the kernel has it, and its bit in the mask. */
static const struct {
	const char *name;
	unsigned int offset;
	/* Bytes; 0: a struct statx_timestamp. */
	unsigned int size;
	/* 0: it is always there. */
	uint32_t bit;
} status_fields[] = {
	{ "mask", 0x00, 4, 0 },
	{ "blksize", 0x04, 4, 0 },
	{ "attributes", 0x08, 8, 0 },
	{ "nlink", 0x10, 4, 0 },
	{ "uid", 0x14, 4, 0 },
	{ "gid", 0x18, 4, 0 },
	{ "mode", 0x1c, 2, 0 },
	{ "ino", 0x20, 8, 0 },
	{ "size", 0x28, 8, 0 },
	{ "blocks", 0x30, 8, 0 },
	{ "attributes_mask", 0x38, 8, 0 },
	{ "atime_ns", 0x40, 0, STATX_ATIME },
	{ "btime_ns", 0x50, 0, STATX_BTIME },
	{ "ctime_ns", 0x60, 0, STATX_CTIME },
	{ "mtime_ns", 0x70, 0, STATX_MTIME },
	{ "rdev_major", 0x80, 4, 0 },
	{ "rdev_minor", 0x84, 4, 0 },
	{ "dev_major", 0x88, 4, 0 },
	{ "dev_minor", 0x8c, 4, 0 },
	{ "mnt_id", 0x90, 8, STATX_MNT_ID },
	{ "dio_mem_align", 0x98, 4, 0x2000 },
	{ "dio_offset_align", 0x9c, 4, 0x2000 },
	{ "subvol", 0xa0, 8, 0x8000 },
	{ "atomic_write_unit_min", 0xa8, 4, 0x10000 },
	{ "atomic_write_unit_max", 0xac, 4, 0x10000 },
	{ "atomic_write_segments_max", 0xb0, 4, 0x10000 },
	{ "dio_read_offset_align", 0xb4, 4, 0x20000 },
	{ "atomic_write_unit_max_opt", 0xb8, 4, 0x10000 },
};

/* Not STATX_MNT_ID_UNIQUE: that is another number of the mount, in the place of the first. */
#define ALL_OF_STATUS 0x3bfffu

/* Little-endian, as the guests are. */
static uint64_t number_at(const uint8_t *status, unsigned int offset, unsigned int size)
{
	uint64_t number = 0;

	memcpy(&number, status + offset, size);
	return number;
}

static uint64_t expected_of(const uint8_t *status, size_t field)
{
	unsigned int offset = status_fields[field].offset;

	if (status_fields[field].size > 0)
		return number_at(status, offset, status_fields[field].size);
	return number_at(status, offset, 8) * 1000000000 + number_at(status, offset + 8, 4);
}

static void compare_field(const Provium__V1__StatResult *result, const uint8_t *status, size_t i)
{
	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(
		&provium__v1__stat_result__descriptor, status_fields[i].name);
	const uint8_t *message = (const uint8_t *)result;
	uint32_t bit = status_fields[i].bit;
	protobuf_c_boolean has = true;
	uint64_t told = 0;

	ck_assert_ptr_nonnull(field);
	ck_assert_int_eq(field->label == PROTOBUF_C_LABEL_OPTIONAL, bit != 0);
	if (bit != 0)
		memcpy(&has, message + field->quantifier_offset, sizeof(has));
	ck_assert_msg(has == ((result->mask & bit) == bit), "%s is%s there", field->name,
		      has ? "" : " not");
	memcpy(&told, message + field->offset, field->type == PROTOBUF_C_TYPE_UINT32 ? 4 : 8);
	if (has)
		ck_assert_msg(told == expected_of(status, i), "%s is %#llx instead of %#llx",
			      field->name, (unsigned long long)told,
			      (unsigned long long)expected_of(status, i));
}

static void compare(const Provium__V1__StatResult *result, const uint8_t *status)
{
	ck_assert_uint_eq(ARRAY_SIZE(status_fields), provium__v1__stat_result__descriptor.n_fields);
	for (size_t i = 0; i < ARRAY_SIZE(status_fields); i++)
		compare_field(result, status, i);
}

/* What the agent says is what the kernel says to the test. */
static Provium__V1__StatResult compare_stat(const Provium__V1__Stat *request, int fd,
					    const char *path, int flags)
{
	Provium__V1__StatResult result = stat_of(request);
	uint8_t status[STATUS_SIZE];

	ck_assert_int_eq(syscall(SYS_statx, fd, path, flags, ALL_OF_STATUS, status), 0);
	ck_assert_uint_eq(result.mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	compare(&result, status);
	return result;
}

START_TEST(stat_files)
{
	/* Before 1970, and beyond what 64 bits of nanoseconds hold. */
	const struct timespec times[2] = { { -5, 250000000 }, { 10000000000, 1 } };
	Provium__V1__Stat request = PROVIUM__V1__STAT__INIT;
	cleanup_free char *link = path_of("link");
	Provium__V1__StatResult result;
	struct stat status;
	int fd;

	make_file(file_path, 12345, 04751);
	ck_assert_int_eq(symlink(file_path, link), 0);
	SET(request, path, bytes_of(link));
	result = compare_stat(&request, AT_FDCWD, file_path, 0);
	ck_assert(S_ISREG(result.mode) && result.size == 12345);
	SET(request, follow, false);
	result = compare_stat(&request, AT_FDCWD, link, AT_SYMLINK_NOFOLLOW);
	ck_assert(S_ISLNK(result.mode));
	request.path = bytes_of("/dev/null");
	result = compare_stat(&request, AT_FDCWD, "/dev/null", 0);
	ck_assert_uint_eq(result.rdev_major, 1);
	ck_assert_uint_eq(result.rdev_minor, 3);
	/* Where something is mounted. */
	request.path = bytes_of("/dev/pts");
	result = compare_stat(&request, AT_FDCWD, "/dev/pts", 0);
	ck_assert_uint_ne(result.attributes, 0);
	ck_assert_uint_ne(result.attributes_mask, 0);

	request.has_path = false;
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	SET(request, fd, fd);
	compare_stat(&request, fd, "", AT_EMPTY_PATH);
	ck_assert_int_eq(futimens(fd, times), 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	result = stat_of(&request);
	ck_assert_int_eq(result.atime_ns, -4750000000);
	/* The file system may not go so far itself. */
	if (status.st_mtim.tv_sec == times[1].tv_sec)
		ck_assert_int_eq(result.mtime_ns, INT64_MAX);
	close(fd);
	request.fd = 400;
	client_expect_os_error(&client, send_body(&client, BODY(STAT), &request), EBADF, "fd 400");
	/* A file system without birth times. */
	request.has_fd = false;
	SET(request, path, bytes_of("/proc/version"));
	result = compare_stat(&request, AT_FDCWD, "/proc/version", 0);
	ck_assert(!result.has_btime_ns && result.has_mtime_ns && result.size == 0);
}
END_TEST

/* Whatever a kernel may say, or not say, each field by itself. */
START_TEST(stat_fields)
{
	Provium__V1__Stat request = PROVIUM__V1__STAT__INIT;
	uint8_t status[STATUS_SIZE] = { 0 };
	Provium__V1__StatResult result;

	SET(request, path, BYTES("/"));
	for (unsigned int i = 0; i < STATUS_SIZE; i++)
		status[i] = (uint8_t)(i + 1);
	/* Times that 64 bits of nanoseconds hold. */
	for (unsigned int offset = 0x40; offset < 0x80; offset += 0x10)
		memset(status + offset + 4, 0, 4);
	for (unsigned int bit = 0; bit <= 32; bit++) {
		uint32_t mask = bit < 32 ? ALL_OF_STATUS & ~(1u << bit) : ALL_OF_STATUS;

		memcpy(status, &mask, sizeof(mask));
		os_pretend_status(status);
		result = stat_of(&request);
		os_pretend_status(NULL);
		compare(&result, status);
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* LIST_DIR */

static uint32_t send_list(struct client *to, const char *path)
{
	Provium__V1__ListDir request = PROVIUM__V1__LIST_DIR__INIT;

	SET(request, path, bytes_of(path));
	return send_body(to, BODY(LIST_DIR), &request);
}

static uint8_t type_of(mode_t mode)
{
	return (uint8_t)((mode & S_IFMT) >> 12);
}

START_TEST(list_kinds)
{
	cleanup_free char *directory = path_of("dir");
	const Provium__V1__Message *message;
	struct stat status;
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkdir(directory, 0700), 0);
	id = send_list(&client, directory);
	client_expect_ok(&client, id);
	fd = open(directory, O_PATH | O_CLOEXEC);
	ck_assert_int_eq(mkfifoat(fd, "fifo", 0600), 0);
	ck_assert_int_eq(mkdirat(fd, "..directory", 0600), 0);
	ck_assert_int_eq(symlinkat("nowhere", fd, "\xff link\n"), 0);
	ck_assert_int_eq(mknodat(fd, ".file", S_IFREG | 0600, 0), 0);
	id = send_list(&client, directory);
	message = client_expect(&client, BODY(DIR_ENTRIES));
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->dir_entries->n_entries, 4);
	for (size_t i = 0; i < 4; i++) {
		const Provium__V1__DirEntry *entry = message->dir_entries->entries[i];
		char name[NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)entry->name.len,
			 (const char *)entry->name.data);
		ck_assert_int_eq(fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_uint_eq(entry->ino, status.st_ino);
		ck_assert_uint_eq(entry->type, type_of(status.st_mode));
	}
	client_expect_ok(&client, id);
	close(fd);
	make_file(file_path, 1, 0600);
	client_expect_os_error(&client, send_list(&client, file_path), ENOTDIR, file_path);
	client_expect_os_error(&client, send_list(&client, "/no/such"), ENOENT, "");
	/* Its own way of making entries. */
	id = send_list(&client, "/proc/self/fdinfo");
	ck_assert_uint_gt(client_expect(&client, BODY(DIR_ENTRIES))->dir_entries->n_entries, 3);
	client_expect_ok(&client, id);
}
END_TEST

#define MANY 100000

static void make_many(const char *directory, int count, int width)
{
	char name[NAME_MAX + 1];
	int fd;

	ck_assert_int_eq(mkdir(directory, 0700), 0);
	fd = open(directory, O_PATH | O_CLOEXEC);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%0*d", width, i);
		ck_assert_int_eq(mknodat(fd, name, S_IFREG | 0600, 0), 0);
	}
	close(fd);
}

/* In memory, where that can be. */
static char *path_of_many(void)
{
	return path_of(is_mounted() ? "mount/dir" : "dir");
}

/* Each comes once; a host that does not read makes no queue of them; all can be removed at once. */
START_TEST(list_many)
{
	cleanup_free char *directory = path_of_many();
	Provium__V1__Remove removal = PROVIUM__V1__REMOVE__INIT;
	static bool seen[MANY];
	struct client slow;
	uint64_t queued;
	size_t count = 0;
	uint32_t id;

	make_many(directory, MANY, 1);
	client_connect(&slow);
	id = send_list(&slow, directory);
	eventually(client_info(&client).queued_bytes > QUEUE_LOW);
	do {
		queued = client_info(&client).queued_bytes;
		usleep(100000);
	} while (client_info(&client).queued_bytes != queued);
	ck_assert_uint_le(queued, QUEUE_HIGH + KIB(64));
	for (;;) {
		const Provium__V1__Message *message = client_receive(&slow);
		const Provium__V1__DirEntries *entries = message->dir_entries;

		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OK))
			break;
		ck_assert_int_eq(message->body_case, BODY(DIR_ENTRIES));
		ck_assert_uint_le(entries->n_entries, 256);
		for (size_t i = 0; i < entries->n_entries; i++) {
			char name[16];
			int number;

			snprintf(name, sizeof(name), "%.*s", (int)entries->entries[i]->name.len,
				 (const char *)entries->entries[i]->name.data);
			number = atoi(name);
			if (number < 0 || number >= MANY || seen[number])
				ck_abort_msg("%s comes twice", name);
			seen[number] = true;
			count++;
		}
	}
	ck_assert_uint_eq(count, MANY);
	client_close(&slow);
	SET(removal, path, bytes_of(directory));
	SET(removal, recursive, true);
	id = send_body(&client, BODY(REMOVE), &removal);
	/* Others go on beside it. */
	client_ping(&client);
	client_expect_ok(&client, id);
	ck_assert_int_eq(access(directory, F_OK), -1);
}
END_TEST

#define CHANGING 12000
#define CREATED  3000

/* Of the entries of a directory that changes: how often each was told. */
static uint8_t told[CHANGING], told_created[CREATED];

static void count_entry(const Provium__V1__DirEntry *entry)
{
	const char *name = (const char *)entry->name.data;
	char number[16];

	/* Behind zeros that make it long. */
	ck_assert_uint_gt(entry->name.len, 8);
	snprintf(number, sizeof(number), "%.8s", name + entry->name.len - 8);
	if (name[0] == 'c')
		told_created[atoi(number)]++;
	else
		told[atoi(number)]++;
}

/* Begins a listing that stops in the midst of the directory, since nobody reads it. */
static uint32_t begin_listing(struct client *slow, const char *directory)
{
	uint64_t queued;
	uint32_t id;

	make_many(directory, CHANGING, 200);
	client_connect(slow);
	id = send_list(slow, directory);
	eventually(client_info(&client).queued_bytes > QUEUE_LOW);
	do {
		queued = client_info(&client).queued_bytes;
		usleep(100000);
	} while (client_info(&client).queued_bytes != queued);
	return id;
}

/* Takes the rest of it, up to the OK. */
static void finish_listing(struct client *slow, uint32_t id)
{
	for (;;) {
		const Provium__V1__Message *message = client_receive(slow);

		ck_assert_ptr_nonnull(message);
		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OK))
			break;
		ck_assert_msg(message->body_case == BODY(DIR_ENTRIES), "%s",
			      message->body_case == BODY(ERROR) ? message->error->text : "");
		for (size_t i = 0; i < message->dir_entries->n_entries; i++)
			count_entry(message->dir_entries->entries[i]);
	}
	client_ping(slow);
	client_close(slow);
}

/* In memory, and on the disk that the tests have. */
static char *path_of_changing(int i)
{
	return i == 0 ? path_of_many() : path_of("dir");
}

static void name_entry(char name[NAME_MAX + 1], const char *start, int i)
{
	snprintf(name, NAME_MAX + 1, "%s%0200d", start, i);
}

static void create_entry(int fd, const char *start, int i)
{
	char name[NAME_MAX + 1];

	name_entry(name, start, i);
	ck_assert_int_eq(mknodat(fd, name, S_IFREG | 0600, 0), 0);
}

static void remove_entry(int fd, int i)
{
	char name[NAME_MAX + 1];

	name_entry(name, "", i);
	ck_assert_int_eq(unlinkat(fd, name, 0), 0);
}

/* What is there all the time comes once, whatever goes, comes, or is another file of its name. */
START_TEST(list_changing)
{
	cleanup_free char *directory = path_of_changing(_i);
	struct client slow;
	uint32_t id = begin_listing(&slow, directory);
	int fd = open(directory, O_PATH | O_CLOEXEC);
	unsigned int before = 0;

	for (int i = 0; i < CHANGING; i++) {
		if (i % 3 != 0)
			remove_entry(fd, i);
		if (i % 3 == 1)
			create_entry(fd, "", i);
	}
	for (int i = 0; i < CREATED; i++)
		create_entry(fd, "c", i);
	close(fd);
	finish_listing(&slow, id);
	for (int i = 0; i < CHANGING; i++) {
		ck_assert_msg(i % 3 == 0 ? told[i] == 1 : i % 3 == 1 || told[i] <= 1,
			      "%d comes %d times", i, told[i]);
		before += i % 3 == 2 && told[i] == 1;
	}
	for (int i = 0; i < CREATED; i++)
		ck_assert_msg(told_created[i] <= 1, "c%d comes twice", i);
	/* It was in the midst of them. */
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_lt(before, CHANGING / 3);
}
END_TEST

/* It goes with all that is in it: what had been read is told, and that is its end. */
START_TEST(list_removed)
{
	cleanup_free char *directory = path_of_changing(_i);
	struct client slow;
	uint32_t id = begin_listing(&slow, directory);
	int fd = open(directory, O_PATH | O_CLOEXEC);
	unsigned int count = 0;

	for (int i = 0; i < CHANGING; i++)
		remove_entry(fd, i);
	close(fd);
	ck_assert_int_eq(rmdir(directory), 0);
	finish_listing(&slow, id);
	for (int i = 0; i < CHANGING; i++) {
		ck_assert_msg(told[i] <= 1, "%d comes twice", i);
		count += told[i];
	}
	ck_assert_uint_gt(count, 0);
	ck_assert_uint_lt(count, CHANGING);
}
END_TEST

START_TEST(list_cancelled)
{
	cleanup_free char *directory = path_of_many();
	struct client slow;
	uint32_t id, cancel;

	/* More than the queue and the socket take. */
	make_many(directory, 8000, NAME_MAX);
	client_connect(&slow);
	id = send_list(&slow, directory);
	client_expect(&slow, BODY(DIR_ENTRIES));
	cancel = client_cancel(&slow, id);
	for (;;) {
		const Provium__V1__Message *message = client_receive(&slow);

		if (message->body_case == BODY(DIR_ENTRIES))
			continue;
		ck_assert_int_eq(message->body_case, BODY(ERROR));
		ck_assert_int_eq(message->error->code, CODE(CANCELLED));
		break;
	}
	client_expect_ok(&slow, cancel);
	/* The connection ends in the middle of another. */
	send_list(&slow, directory);
	client_expect(&slow, BODY(DIR_ENTRIES));
	client_close(&slow);
	eventually(client_info(&client).connections == 1);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* MKDIR */

START_TEST(make_directories)
{
	Provium__V1__Mkdir request = PROVIUM__V1__MKDIR__INIT;
	cleanup_free char *deep = path_of("a/b//c");
	cleanup_free char *above = path_of("a/b");
	cleanup_free char *slash = path_of("a/b/d/");
	mode_t mask = umask(077);

	SET(request, path, bytes_of(deep));
	expect_refused(BODY(MKDIR), &request, ENOENT);
	SET(request, parents, true);
	SET(request, mode, 01777);
	expect_done(BODY(MKDIR), &request);
	ck_assert_uint_eq(mode_of(deep), 01777);
	ck_assert_uint_eq(mode_of(above), 0755);
	/* It may be there; its mode stays. */
	request.mode = 0700;
	expect_done(BODY(MKDIR), &request);
	ck_assert_uint_eq(mode_of(deep), 01777);
	request.path = bytes_of(slash);
	expect_done(BODY(MKDIR), &request);
	ck_assert_uint_eq(mode_of(slash), 0700);
	request.has_parents = false;
	request.parents = false;
	expect_refused(BODY(MKDIR), &request, EEXIST);
	rmdir(slash);
	request.has_mode = false;
	expect_done(BODY(MKDIR), &request);
	ck_assert_uint_eq(mode_of(slash), 0755);
	/* A file is none, whether above or itself; nor is a link to nothing. */
	SET(request, parents, true);
	make_file(file_path, 1, 0600);
	request.path = bytes_of(file_path);
	expect_refused(BODY(MKDIR), &request, EEXIST);
	request.path = bytes_of(test_path("file/x/y"));
	expect_refused(BODY(MKDIR), &request, ENOTDIR);
	ck_assert_int_eq(symlink("nowhere", test_path("link")), 0);
	request.path = bytes_of(test_path("link"));
	expect_refused(BODY(MKDIR), &request, EEXIST);
	request.path = bytes_of("/");
	expect_done(BODY(MKDIR), &request);
	umask(mask);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* RENAME, SYMLINK, READLINK, CHMOD, CHOWN */

START_TEST(rename_files)
{
	Provium__V1__Rename request = PROVIUM__V1__RENAME__INIT;
	cleanup_free char *other = path_of("other");

	make_file(file_path, 10, 0600);
	SET(request, old_path, bytes_of(file_path));
	SET(request, new_path, bytes_of(other));
	expect_done(BODY(RENAME), &request);
	ck_assert(holds_pattern(other, 0, 10));
	expect_refused(BODY(RENAME), &request, ENOENT);
	make_file(file_path, 20, 0600);
	SET(request, flags, RENAME_NOREPLACE);
	expect_refused(BODY(RENAME), &request, EEXIST);
	request.flags = RENAME_EXCHANGE;
	expect_done(BODY(RENAME), &request);
	ck_assert(holds_pattern(other, 0, 20));
	ck_assert(holds_pattern(file_path, 0, 10));
	request.flags = 1u << 31;
	expect_refused(BODY(RENAME), &request, EINVAL);
}
END_TEST

START_TEST(symbolic_links)
{
	Provium__V1__Symlink request = PROVIUM__V1__SYMLINK__INIT;
	Provium__V1__Readlink query = PROVIUM__V1__READLINK__INIT;
	const size_t lengths[] = { 1, 59, 60, 4095 };
	char target[PATH_MAX] = "";
	const Provium__V1__Message *message;

	SET(request, path, bytes_of(file_path));
	SET(query, path, bytes_of(file_path));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint32_t id;

		/* A relative one stays one, whatever bytes it is of. */
		memset(target, 0xfe, lengths[i]);
		SET(request, target, bytes_of(target));
		expect_done(BODY(SYMLINK), &request);
		id = send_body(&client, BODY(READLINK), &query);
		message = client_expect(&client, BODY(READLINK_RESULT));
		ck_assert_uint_eq(message->id, id);
		ck_assert_uint_eq(message->readlink_result->target.len, lengths[i]);
		ck_assert_mem_eq(message->readlink_result->target.data, target, lengths[i]);
		expect_refused(BODY(SYMLINK), &request, EEXIST);
		unlink(file_path);
	}
	expect_refused(BODY(READLINK), &query, ENOENT);
	make_file(file_path, 1, 0600);
	expect_refused(BODY(READLINK), &query, EINVAL);
}
END_TEST

START_TEST(modes_and_owners)
{
	Provium__V1__Chmod mode = PROVIUM__V1__CHMOD__INIT;
	Provium__V1__Chown owner = PROVIUM__V1__CHOWN__INIT;
	cleanup_free char *link = path_of("link");
	struct stat status;

	make_file(file_path, 1, 0600);
	ck_assert_int_eq(symlink(file_path, link), 0);
	SET(mode, path, bytes_of(link));
	SET(mode, mode, 07751);
	expect_done(BODY(CHMOD), &mode);
	ck_assert_uint_eq(mode_of(file_path), 07751);
	mode.mode = 010000;
	client_expect_error(&client, send_body(&client, BODY(CHMOD), &mode), CODE(INVALID),
			    "mode: 4096");
	if (!unit_is_root())
		return;
	SET(owner, path, bytes_of(link));
	SET(owner, uid, 1234);
	expect_done(BODY(CHOWN), &owner);
	ck_assert_int_eq(stat(file_path, &status), 0);
	ck_assert(status.st_uid == 1234 && status.st_gid == 0);
	owner.has_uid = false;
	SET(owner, gid, 5678);
	SET(owner, follow, false);
	expect_done(BODY(CHOWN), &owner);
	ck_assert_int_eq(stat(file_path, &status), 0);
	ck_assert(status.st_uid == 1234 && status.st_gid == 0);
	ck_assert_int_eq(lstat(link, &status), 0);
	ck_assert(status.st_uid == 0 && status.st_gid == 5678);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Errors, on a file system of the test's own */

START_TEST(mount_and_unmount)
{
	Provium__V1__Mount request = PROVIUM__V1__MOUNT__INIT;
	Provium__V1__Umount end = PROVIUM__V1__UMOUNT__INIT;
	cleanup_free char *directory = path_of("other");
	struct stat before, after;

	if (!can_mount())
		return;
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	ck_assert_int_eq(stat(directory, &before), 0);
	SET(request, target, bytes_of(directory));
	SET(request, source, bytes_of("none"));
	SET(request, fstype, bytes_of("no-such-type"));
	expect_refused(BODY(MOUNT), &request, ENODEV);
	request.fstype = bytes_of("tmpfs");
	SET(request, data, bytes_of("size=64k,mode=0123"));
	SET(request, flags, MS_NOSUID | MS_RDONLY);
	expect_done(BODY(MOUNT), &request);
	ck_assert_int_eq(stat(directory, &after), 0);
	ck_assert(after.st_dev != before.st_dev);
	ck_assert_uint_eq(mode_of(directory), 0123);
	request.has_data = request.has_fstype = request.has_source = false;
	request.flags = MS_REMOUNT | MS_BIND;
	expect_done(BODY(MOUNT), &request);
	SET(end, target, bytes_of(directory));
	SET(end, flags, MNT_DETACH);
	expect_done(BODY(UMOUNT), &end);
	expect_refused(BODY(UMOUNT), &end, EINVAL);
	ck_assert_int_eq(stat(directory, &after), 0);
	ck_assert(after.st_dev == before.st_dev);
}
END_TEST

/* A full disk: told with its errno, nothing is left of an atomic write, and the agent goes on. */
START_TEST(full_disk)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	Provium__V1__Stat query = PROVIUM__V1__STAT__INIT;
	cleanup_free char *file = path_of("mount/file");
	DIR *dir;
	uint32_t id;
	unsigned int names = 0;

	if (!can_mount())
		return;
	make_file(file, 10, 0600);
	SET(options, atomic, _i);
	id = send_write(file, &options);
	send_pattern(id, 0, MIB(1), KIB(64));
	for (;;) {
		const Provium__V1__Message *message = client_receive(&client);

		if (message->body_case == BODY(WRITE_ACK))
			continue;
		ck_assert_int_eq(message->body_case, BODY(ERROR));
		ck_assert_int_eq(message->error->os_errno, ENOSPC);
		ck_assert_str_eq(message->error->errno_name, "ENOSPC");
		break;
	}
	dir = opendir(test_path("mount"));
	while (readdir(dir))
		names++;
	closedir(dir);
	ck_assert_uint_eq(names, 3);
	ck_assert(!_i || holds_pattern(file, 0, 10));
	SET(query, path, bytes_of(file));
	ck_assert_uint_gt(stat_of(&query).size, 0);
}
END_TEST

START_TEST(read_only_file_system)
{
	Provium__V1__Mkdir directory = PROVIUM__V1__MKDIR__INIT;
	Provium__V1__Remove removal = PROVIUM__V1__REMOVE__INIT;
	Provium__V1__Chmod mode = PROVIUM__V1__CHMOD__INIT;
	cleanup_free char *file = path_of("mount/file");

	if (!can_mount())
		return;
	make_file(file, 10, 0600);
	ck_assert_int_eq(mount(NULL, test_path("mount"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	client_expect_os_error(&client, send_write(file, &plain_write), EROFS, file);
	SET(removal, path, bytes_of(file));
	expect_refused(BODY(REMOVE), &removal, EROFS);
	SET(removal, recursive, true);
	expect_refused(BODY(REMOVE), &removal, EROFS);
	SET(mode, path, bytes_of(file));
	SET(mode, mode, 0);
	expect_refused(BODY(CHMOD), &mode, EROFS);
	SET(directory, path, bytes_of(test_path("mount/new")));
	expect_refused(BODY(MKDIR), &directory, EROFS);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, file, &plain_read), 0), 10);
}
END_TEST

START_TEST(errors_of_paths)
{
	static char longest[PATH_MAX + 10], name[NAME_MAX + 10];
	Provium__V1__Stat request = PROVIUM__V1__STAT__INIT;
	cleanup_free char *loop = path_of("loop");
	cleanup_free char *below = path_of("file/x");

	make_file(file_path, 1, 0600);
	ck_assert_int_eq(symlink(loop, loop), 0);
	memset(longest, '/', sizeof(longest) - 1);
	memset(name, 'n', sizeof(name) - 1);
	SET(request, path, bytes_of(loop));
	expect_refused(BODY(STAT), &request, ELOOP);
	request.path = bytes_of(longest);
	expect_refused(BODY(STAT), &request, ENAMETOOLONG);
	request.path = bytes_of(name);
	expect_refused(BODY(STAT), &request, ENAMETOOLONG);
	request.path = bytes_of(below);
	expect_refused(BODY(STAT), &request, ENOTDIR);
	client_expect_os_error(&client, send_read(&client, loop, &plain_read), ELOOP, "");
	client_expect_os_error(&client, send_list(&client, name), ENAMETOOLONG, "");
	client_expect_os_error(&client, send_write(below, &plain_write), ENOTDIR, "");
	client_ping(&client);
}
END_TEST

static Suite *dirs_suite(void)
{
	Suite *suite = suite_create("agent: directories and names");
	TCase *tcase = unit_counted_case("connected");
	TCase *mounts = unit_counted_case("with mounts");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_test(tcase, stat_files);
	tcase_add_test(tcase, stat_fields);
	tcase_add_test(tcase, list_kinds);
	tcase_add_test(tcase, make_directories);
	tcase_add_test(tcase, rename_files);
	tcase_add_test(tcase, symbolic_links);
	tcase_add_test(tcase, modes_and_owners);
	tcase_add_test(tcase, errors_of_paths);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);

	tcase_add_checked_fixture(mounts, files_start_mounted, files_stop_mounted);
	tcase_add_test(mounts, list_many);
	tcase_add_loop_test(mounts, list_changing, 0, 2);
	tcase_add_loop_test(mounts, list_removed, 0, 2);
	tcase_add_test(mounts, list_cancelled);
	tcase_add_test(mounts, mount_and_unmount);
	tcase_add_loop_test(mounts, full_disk, 0, 2);
	tcase_add_test(mounts, read_only_file_system);
	tcase_set_timeout(mounts, 120);
	suite_add_tcase(suite, mounts);
	return suite;
}

int main(void)
{
	return unit_run(dirs_suite());
}
