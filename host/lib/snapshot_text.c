/*
 * A snapshot's text, for another process. What it says is checked as anything from outside is; what
 * the files hold is for QEMU to judge, which checks a state while it loads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"
#include "host/lib/json_text.h"
#include "host/lib/snapshot.h"

/* Of the text. One that is not known is refused. */
#define VERSION   1

/* Memory and state come before the disks. */
#define FIRST_FDS 2

_Static_assert(PROVIUM_SNAPSHOT_MAX_FDS == FIRST_FDS + VM_MAX_DISKS, "an fd for each disk");

static void release(json_t **json)
{
	json_decref(*json);
}

static const char *accel_name(enum provium_accel accel)
{
	return accel == PROVIUM_ACCEL_KVM ? "kvm" : "tcg";
}

/* "s*" leaves the key out where there is NULL. */
static json_t *pack_disk(const struct vm_disk *disk)
{
	return json_pack("{s:s, s:b, s:s*, s:s*}", "format", disk->format, "readonly",
			 disk->readonly, "backing", disk->backing, "backing_format",
			 disk->backing ? disk->backing_format : NULL);
}

char *provium_snapshot_text(const struct provium_snapshot *snapshot)
{
	const struct vm_hardware *hardware = &snapshot->hardware;
	char token[PROVIUM_TOKEN_SIZE * 2 + 1];
	json_t *disks cleanup(release) = json_array();
	json_t *root cleanup(release) = NULL;

	for (size_t i = 0; i < hardware->n_disks; i++) {
		if (json_array_append_new(disks, pack_disk(&hardware->disks[i])) < 0)
			return NULL;
	}
	for (size_t i = 0; i < PROVIUM_TOKEN_SIZE; i++)
		snprintf(token + 2 * i, 3, "%02x", snapshot->token[i]);
	root = json_pack("{s:i, s:s, s:I, s:I, s:I, s:s, s:O}", "provium_snapshot", VERSION,
			 "accel", accel_name(hardware->accel), "memory",
			 (json_int_t)hardware->memory, "cpus", (json_int_t)hardware->cpus, "state",
			 (json_int_t)snapshot->state_size, "token", token, "disks", disks);
	explicit_bzero(token, sizeof(token));
	return json_write(root);
}

size_t provium_snapshot_fds(const struct provium_snapshot *snapshot, int *fds, size_t capacity)
{
	const struct vm_hardware *hardware = &snapshot->hardware;

	for (size_t i = 0; i < capacity && i < FIRST_FDS + hardware->n_disks; i++)
		fds[i] = i == 0   ? hardware->memory_fd
			 : i == 1 ? snapshot->state_fd
				  : hardware->disks[i - FIRST_FDS].fd;
	return FIRST_FDS + hardware->n_disks;
}

static int refuse(struct provium_error *error, const char *what)
{
	return error_set(error, PROVIUM_INVALID, 0, "this is no snapshot's text: %s", what);
}

/* A number from 1 to max. */
static int take_number(const json_t *root, const char *key, uint64_t max, uint64_t *number,
		       struct provium_error *error)
{
	const json_t *value = json_object_get(root, key);
	json_int_t taken = json_integer_value(value);

	if (!json_is_integer(value) || taken < 1 || (uint64_t)taken > max)
		return refuse(error, key);
	*number = (uint64_t)taken;
	return 0;
}

static int take_token(const json_t *root, uint8_t token[PROVIUM_TOKEN_SIZE],
		      struct provium_error *error)
{
	static const char digits[] = "0123456789abcdef";
	const json_t *value = json_object_get(root, "token");
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) != 2 * (size_t)PROVIUM_TOKEN_SIZE)
		return refuse(error, "token");
	for (size_t i = 0; i < 2 * (size_t)PROVIUM_TOKEN_SIZE; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit || !*digit)
			return refuse(error, "token");
		token[i / 2] = (uint8_t)(token[i / 2] << 4 | (uint8_t)(digit - digits));
	}
	return 0;
}

/* Duplicates an fd that leads to a file (with device: or a device) which can be read. */
static int take_fd(int from, bool device, int *to, struct provium_error *error)
{
	struct stat st;
	int flags = fcntl(from, F_GETFL);

	if (flags < 0 || fstat(from, &st) < 0)
		return error_set(error, PROVIUM_INVALID, errno, "a snapshot's fd %d", from);
	if (!S_ISREG(st.st_mode) && !(device && S_ISBLK(st.st_mode)))
		return error_set(error, PROVIUM_INVALID, 0, "a snapshot's fd %d is no file", from);
	if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH))
		return error_set(error, PROVIUM_INVALID, 0, "a snapshot's fd %d cannot be read",
				 from);
	*to = fcntl(from, F_DUPFD_CLOEXEC, 0);
	return *to < 0 ? error_set(error, PROVIUM_HOST, errno, "duplicate an fd") : 0;
}

/* A file of this size. */
static int take_file(int from, uint64_t size, int *to, struct provium_error *error)
{
	struct stat st;

	if (take_fd(from, false, to, error) < 0)
		return -1;
	if (fstat(*to, &st) < 0 || (uint64_t)st.st_size != size)
		return error_set(error, PROVIUM_INVALID, 0,
				 "a snapshot's fd %d has not the size that its text says", from);
	return 0;
}

static int take_disk(const json_t *value, int fd, struct vm_disk *disk, struct provium_error *error)
{
	const char *format = json_string_value(json_object_get(value, "format"));
	const json_t *readonly = json_object_get(value, "readonly");
	const json_t *backing = json_object_get(value, "backing");
	const char *path = json_string_value(backing);
	const char *beneath = json_string_value(json_object_get(value, "backing_format"));

	if (!format || !vm_format_known(format) || !json_is_boolean(readonly))
		return refuse(error, "disks");
	if (backing && (!path || path[0] != '/' || json_string_length(backing) >= PATH_MAX ||
			strcmp(format, "qcow2") != 0 || !beneath || !vm_format_known(beneath)))
		return refuse(error, "the backing file of a disk");
	snprintf(disk->format, sizeof(disk->format), "%s", format);
	disk->readonly = json_is_true(readonly);
	disk->own = !disk->readonly;
	if (path) {
		snprintf(disk->backing_format, sizeof(disk->backing_format), "%s", beneath);
		disk->backing = strdup(path);
		if (!disk->backing)
			return error_set(error, PROVIUM_HOST, ENOMEM, "disk");
	}
	return take_fd(fd, disk->readonly, &disk->fd, error);
}

static int take(struct provium_snapshot *snapshot, const json_t *root, const int *fds, size_t n_fds,
		struct provium_error *error)
{
	struct vm_hardware *hardware = &snapshot->hardware;
	const char *accel = json_string_value(json_object_get(root, "accel"));
	const json_t *disks = json_object_get(root, "disks");
	uint64_t cpus = 0;

	if (take_number(root, "memory", VM_MAX_MEMORY, &hardware->memory, error) < 0 ||
	    take_number(root, "cpus", VM_MAX_CPUS, &cpus, error) < 0 ||
	    take_number(root, "state", SNAPSHOT_MAX_STATE, &snapshot->state_size, error) < 0 ||
	    take_token(root, snapshot->token, error) < 0)
		return -1;
	hardware->cpus = (unsigned int)cpus;
	if (hardware->memory < VM_MIN_MEMORY || hardware->memory % (1 << 20))
		return refuse(error, "memory");
	hardware->accel = PROVIUM_ACCEL_KVM;
	while (!accel || strcmp(accel, accel_name(hardware->accel)) != 0) {
		if (!accel || hardware->accel == PROVIUM_ACCEL_TCG)
			return refuse(error, "accel");
		hardware->accel = PROVIUM_ACCEL_TCG;
	}
	if (!json_is_array(disks) || json_array_size(disks) > VM_MAX_DISKS)
		return refuse(error, "disks");
	if (n_fds != FIRST_FDS + json_array_size(disks))
		return error_set(error, PROVIUM_INVALID, 0, "the snapshot has %zu fds, not %zu",
				 FIRST_FDS + json_array_size(disks), n_fds);
	if (take_file(fds[0], hardware->memory, &hardware->memory_fd, error) < 0 ||
	    take_file(fds[1], snapshot->state_size, &snapshot->state_fd, error) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(disks); i++) {
		hardware->n_disks++;
		if (take_disk(json_array_get(disks, i), fds[FIRST_FDS + i], &hardware->disks[i],
			      error) < 0)
			return -1;
	}
	return 0;
}

int provium_snapshot_open(const char *text, const int *fds, size_t n_fds,
			  struct provium_snapshot **snapshot, struct provium_error *error)
{
	json_t *root cleanup(release) = NULL;
	struct provium_snapshot *made;
	json_int_t version;

	*snapshot = NULL;
	error_clear(error);
	if (strnlen(text, PROVIUM_SNAPSHOT_MAX_TEXT) == PROVIUM_SNAPSHOT_MAX_TEXT)
		return refuse(error, "it is too long");
	root = json_read(text, strlen(text), JSON_REJECT_DUPLICATES);
	if (!root && errno == ENOMEM)
		return error_set(error, PROVIUM_HOST, ENOMEM, "a snapshot's text");
	version = json_integer_value(json_object_get(root, "provium_snapshot"));
	if (version == 0)
		return refuse(error, "it does not say so");
	if (version != VERSION)
		return error_set(error, PROVIUM_UNSUPPORTED, 0,
				 "the snapshot is of version %lld, known is %d", (long long)version,
				 VERSION);
	made = snapshot_new(error);
	if (!made)
		return -1;
	if (take(made, root, fds, n_fds, error) < 0) {
		provium_snapshot_free(made);
		return -1;
	}
	*snapshot = made;
	return 0;
}
