/* The files and symbolic links that a pull has asked for: how they come in and get their names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "host/lib/pull.h"

/* Each holds an error value, 4 KiB, and may hold an fd. */
#define ENTRIES_MAX 32

/* A file or a symbolic link that is asked for. */
struct entry {
	/* In pull->entries. */
	struct list link;
	struct pull *pull;
	struct request status_request;
	/* READ_FILE, or READLINK. */
	struct file_reading reading;
	struct provium_error failure;
	bool is_link;
	bool has_mode;
	unsigned int mode;
	/* It is no longer what the directory said. */
	bool changed;
	/* What is written, beside its name; temporary is "" while there is none. */
	int fd;
	char temporary[COPY_TEMPORARY_SIZE];
	bool ends_in_hole;
	/* What has failed here while it came in, and errno; the request only knows that it ended.
	 */
	const char *failed;
	int failed_errno;
	/* What a link says. */
	char *link_target;
	/* In the directory at hand; behind it the guest's path. */
	char *name;
	char path[];
};

/* ------------------------------------------------------------------------------------------- */
/* On the host */

static void entry_free(struct entry *entry)
{
	struct pull *pull = entry->pull;

	request_abandon(&entry->status_request);
	request_abandon(&entry->reading.request);
	list_remove(&entry->link);
	pull->count--;
	close_fd(entry->fd);
	if (*entry->temporary)
		unlinkat(pull->walk.fd, entry->temporary, 0);
	free(entry->link_target);
	free(entry->name);
	free(entry);
}

/* For name in the directory at hand, and the guest's path of it. */
static struct entry *entry_new(struct pull *pull, const char *name, const char *path,
			       struct provium_error *error)
{
	size_t size = strlen(path) + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + size);

	if (entry)
		entry->name = strdup(name);
	if (!entry || !entry->name) {
		free(entry);
		error_set(error, PROVIUM_HOST, ENOMEM, "%s", path);
		return NULL;
	}
	memcpy(entry->path, path, size);
	entry->pull = pull;
	entry->fd = -1;
	entry->status_request.error = &entry->failure;
	entry->reading.request.error = &entry->failure;
	list_append(&pull->entries, &entry->link);
	pull->count++;
	return entry;
}

int pull_fail(const struct pull *pull, const char *name, int failure, const char *what,
	      struct provium_error *error)
{
	const struct copy_path *host = &pull->walk.host;
	bool slash = host->length > 0 && host->text[host->length - 1] != '/';

	return error_set(error, PROVIUM_HOST, failure, "%s%s%s: %s", host->text, slash ? "/" : "",
			 name, what);
}

/* Makes the file beside the target; what is secret in the guest is so from the start. */
static int open_beside(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;
	char name[COPY_TEMPORARY_SIZE];

	do {
		if (copy_temporary_name(name, error) < 0)
			return -1;
		entry->fd = openat(pull->walk.fd, name,
				   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				   pull->has_status ? 0600 : 0666);
	} while (entry->fd < 0 && errno == EEXIST);
	if (entry->fd < 0)
		return pull_fail(pull, entry->name, errno, "cannot make a file beside it", error);
	memcpy(entry->temporary, name, sizeof(name));
	return 0;
}

static int break_off(struct entry *entry, const char *what)
{
	entry->failed_errno = errno;
	entry->failed = what;
	return -1;
}

/* A provium_sink_fn. */
static int to_file(void *user, const void *data, size_t size)
{
	struct entry *entry = user;
	const uint8_t *next = data;
	size_t left = size;

	while (left > 0) {
		ssize_t count = write(entry->fd, next, left);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return break_off(entry, "write");
		next += count;
		left -= (size_t)count;
	}
	entry->ends_in_hole = false;
	copy_advance(&entry->pull->progress, size);
	return 0;
}

/* A provium_hole_fn. */
static int skip_hole(void *user, uint64_t size)
{
	struct entry *entry = user;

	/* The sum was checked: it is one that off_t can hold. */
	if (lseek(entry->fd, (off_t)size, SEEK_CUR) < 0)
		return break_off(entry, "seek");
	entry->ends_in_hole = true;
	copy_advance(&entry->pull->progress, size);
	return 0;
}

/* An entry replaces only what is of its kind; a rename follows no link, whatever comes between. */
static int check_target(const struct entry *entry, struct provium_error *error)
{
	const struct pull *pull = entry->pull;
	mode_t kind = entry->is_link ? S_IFLNK : S_IFREG;
	struct stat status;

	if (fstatat(pull->walk.fd, entry->name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return pull_fail(pull, entry->name, errno, "stat", error);
	}
	if (S_ISDIR(status.st_mode))
		return pull_fail(pull, entry->name, EISDIR, "it is there", error);
	if ((status.st_mode & S_IFMT) == kind)
		return 0;
	pull_fail(pull, entry->name, 0,
		  S_ISLNK(status.st_mode)   ? "it is there, a symbolic link"
		  : S_ISREG(status.st_mode) ? "it is there, a file"
					    : "it is there, and special",
		  error);
	error->code = PROVIUM_INVALID;
	return -1;
}

static int put_in_place(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;

	if (check_target(entry, error) < 0)
		return -1;
	if (renameat(pull->walk.fd, entry->temporary, pull->walk.fd, entry->name) < 0)
		return pull_fail(pull, entry->name, errno, "rename", error);
	*entry->temporary = '\0';
	return 0;
}

/* close(2) tells what some file systems notice only then; after it the fd is gone in any case. */
static int finish_file(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;
	off_t size = entry->ends_in_hole ? lseek(entry->fd, 0, SEEK_CUR) : 0;

	if (entry->ends_in_hole && (size < 0 || ftruncate(entry->fd, size) < 0))
		return pull_fail(pull, entry->name, errno, "truncate", error);
	if (pull->has_status && fchmod(entry->fd, entry->has_mode ? entry->mode & 0777 : 0600) < 0)
		return pull_fail(pull, entry->name, errno, "chmod", error);
	if (close(steal_fd(&entry->fd)) < 0 && errno != EINTR)
		return pull_fail(pull, entry->name, errno, "write", error);
	return put_in_place(entry, error);
}

static int finish_link(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;
	char name[COPY_TEMPORARY_SIZE];

	do {
		if (copy_temporary_name(name, error) < 0)
			return -1;
		if (symlinkat(entry->link_target, pull->walk.fd, name) == 0) {
			memcpy(entry->temporary, name, sizeof(name));
			return put_in_place(entry, error);
		}
	} while (errno == EEXIST);
	return pull_fail(pull, entry->name, errno, "symlink", error);
}

/* ------------------------------------------------------------------------------------------- */
/* Requests */

static bool entry_ended(const struct entry *entry)
{
	return entry->changed || entry->status_request.state == REQUEST_FAILED ||
	       (entry->status_request.state != REQUEST_IN_FLIGHT &&
		entry->reading.request.state != REQUEST_IN_FLIGHT);
}

static struct entry *oldest(const struct pull *pull)
{
	return container_of(pull->entries.next, struct entry, link);
}

static bool oldest_ended(const void *arg)
{
	const struct pull *pull = arg;

	return list_empty(&pull->entries) || entry_ended(oldest(pull));
}

static int entry_finish(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;

	if (entry->changed) {
		copy_tell_skip(&pull->progress, entry->path);
		return 0;
	}
	if (entry->failed)
		return pull_fail(pull, entry->name, entry->failed_errno, entry->failed, error);
	if (entry->status_request.state == REQUEST_FAILED ||
	    entry->reading.request.state == REQUEST_FAILED)
		return error_copy(error, &entry->failure);
	return entry->is_link ? finish_link(entry, error) : finish_file(entry, error);
}

/* Finishes what has come, until fewer than so many are in flight. */
static int pull_settle(struct pull *pull, size_t most, struct provium_error *error)
{
	while (pull->count > 0 && (pull->count >= most || oldest_ended(pull))) {
		struct entry *entry = oldest(pull);

		if (connection_wait(pull->connection, oldest_ended, pull, &pull->deadline, "read",
				    error) < 0) {
			error_prefix(error, "%s", entry->path);
			return -1;
		}
		if (entry_finish(entry, error) < 0)
			return -1;
		entry_free(entry);
	}
	return 0;
}

int pull_drain(struct pull *pull, struct provium_error *error)
{
	return pull_settle(pull, 1, error);
}

static enum request_verdict on_status(struct request *request, const Provium__V1__Message *message)
{
	struct entry *entry = container_of(request, struct entry, status_request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_STAT_RESULT)
		return request_unexpected(request, message);
	entry->has_mode = true;
	entry->mode = message->stat_result->mode;
	entry->changed = !S_ISREG(entry->mode);
	return REQUEST_FINAL;
}

static enum request_verdict on_link(struct request *request, const Provium__V1__Message *message)
{
	struct entry *entry = container_of(request, struct entry, reading.request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_READLINK_RESULT)
		return request_unexpected(request, message);
	entry->link_target = file_link_take(request, message->readlink_result);
	if (entry->link_target)
		return REQUEST_FINAL;
	return request->connection->lost ? REQUEST_MORE : REQUEST_GIVE_UP;
}

int pull_send_stat(struct pull *pull, struct request *request, const char *path,
		   struct provium_error *error)
{
	Provium__V1__Stat body = PROVIUM__V1__STAT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	request->what = "stat";
	request->subject = path;
	body.has_path = true;
	body.path = bytes_of(path);
	body.has_follow = true;
	body.follow = false;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT;
	message.stat = &body;
	return request_send(pull->connection, request, &message, error);
}

static int send_read(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;
	const struct provium_read_options options = {
		.on_hole = pull->sparse ? skip_hole : NULL,
	};

	if (open_beside(entry, error) < 0)
		return -1;
	return file_read_start(pull->connection, &entry->reading, entry->path, &options, to_file,
			       entry, error);
}

static int send_readlink(struct entry *entry, struct provium_error *error)
{
	struct request *request = &entry->reading.request;
	Provium__V1__Readlink body = PROVIUM__V1__READLINK__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	entry->is_link = true;
	request->what = "readlink";
	request->subject = entry->path;
	request->on_message = on_link;
	body.has_path = true;
	body.path = bytes_of(entry->path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READLINK;
	message.readlink = &body;
	return request_send(entry->pull->connection, request, &message, error);
}

int pull_ask(struct pull *pull, unsigned int type, const char *name, const char *path,
	     struct provium_error *error)
{
	struct entry *entry;

	if (pull_settle(pull, ENTRIES_MAX, error) < 0)
		return -1;
	copy_tell_entry(&pull->progress, path);
	entry = entry_new(pull, name, path, error);
	if (!entry)
		return -1;
	if (type == DT_LNK)
		return send_readlink(entry, error);
	entry->status_request.on_message = on_status;
	if (pull_send_stat(pull, &entry->status_request, entry->path, error) < 0)
		return -1;
	return send_read(entry, error);
}

int pull_ask_file(struct pull *pull, const char *name, const char *path,
		  const struct provium_file_status *status, struct provium_error *error)
{
	struct entry *entry;

	copy_tell_entry(&pull->progress, path);
	entry = entry_new(pull, name, path, error);
	if (!entry || check_target(entry, error) < 0)
		return -1;
	entry->has_mode = status != NULL;
	entry->mode = status ? status->mode : 0;
	return send_read(entry, error);
}

void pull_abandon(struct pull *pull)
{
	while (!list_empty(&pull->entries))
		entry_free(oldest(pull));
}
