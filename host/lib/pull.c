/*
 * Copying out of the guest.
 *
 * What the guest says is not trusted: names have no slash (list_dir.c), each is used below the fd
 * of its directory and never followed, so nothing is written outside the target.
 *
 * The files of a directory are asked for ahead, a bounded number, each by STAT and READ_FILE; the
 * agent answers in the order asked, so one after the other is written. Going down or up waits for
 * them all: what is in flight belongs to the directory at hand.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "host/lib/copy.h"

/* Each holds an error value, 4 KiB, and may hold an fd. */
#define ENTRIES_MAX 32

struct pull {
	struct provium_connection *connection;
	struct deadline deadline;
	struct copy_walk walk;
	struct copy_progress progress;
	bool sparse;
	/* The agent serves STAT. */
	bool has_status;
	/* struct entry, in the order asked for. */
	struct list entries;
	size_t count;
};

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
/* Entries */

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

/* "DIRECTORY/NAME: what: errno's text". */
static int fail_host(const struct pull *pull, const char *name, int failure, const char *what,
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
		return fail_host(pull, entry->name, errno, "cannot make a file beside it", error);
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
		return fail_host(pull, entry->name, errno, "stat", error);
	}
	if (S_ISDIR(status.st_mode))
		return fail_host(pull, entry->name, EISDIR, "it is there", error);
	if ((status.st_mode & S_IFMT) == kind)
		return 0;
	fail_host(pull, entry->name, 0,
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
		return fail_host(pull, entry->name, errno, "rename", error);
	*entry->temporary = '\0';
	return 0;
}

/* close(2) tells what some file systems notice only then; after it the fd is gone in any case. */
static int finish_file(struct entry *entry, struct provium_error *error)
{
	struct pull *pull = entry->pull;
	off_t size = entry->ends_in_hole ? lseek(entry->fd, 0, SEEK_CUR) : 0;

	if (entry->ends_in_hole && (size < 0 || ftruncate(entry->fd, size) < 0))
		return fail_host(pull, entry->name, errno, "truncate", error);
	if (pull->has_status && fchmod(entry->fd, entry->has_mode ? entry->mode & 0777 : 0600) < 0)
		return fail_host(pull, entry->name, errno, "chmod", error);
	if (close(steal_fd(&entry->fd)) < 0 && errno != EINTR)
		return fail_host(pull, entry->name, errno, "write", error);
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
	return fail_host(pull, entry->name, errno, "symlink", error);
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
		return fail_host(pull, entry->name, entry->failed_errno, entry->failed, error);
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

static int pull_drain(struct pull *pull, struct provium_error *error)
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

/* STAT of a path, without following a link that it names. */
static int send_stat(struct pull *pull, struct request *request, const char *path,
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

/* Asks for what name is in the directory at hand, a file or a link. */
static int pull_ask(struct pull *pull, unsigned int type, const char *name, const char *path,
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
	if (send_stat(pull, &entry->status_request, entry->path, error) < 0)
		return -1;
	return send_read(entry, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Directories */

struct listing {
	struct pull *pull;
	struct copy_names names;
	/* Of the directory itself. */
	struct request status_request;
	struct provium_error failure;
	unsigned int mode;
	bool too_long;
	bool no_memory;
};

static void listing_finish(struct listing *listing)
{
	request_abandon(&listing->status_request);
	copy_names_finish(&listing->names);
}

/* A provium_dir_entry_fn. */
static int add_name(void *user, const struct provium_dir_entry *entry)
{
	struct listing *listing = user;
	unsigned int type = entry->type <= UINT8_MAX ? entry->type : DT_UNKNOWN;

	listing->too_long = listing->pull->walk.names_size + listing->names.size > COPY_NAMES_LIMIT;
	if (listing->too_long)
		return -1;
	listing->no_memory = copy_names_add(&listing->names, type, entry->name) < 0;
	return listing->no_memory ? -1 : 0;
}

static enum request_verdict on_directory(struct request *request,
					 const Provium__V1__Message *message)
{
	struct listing *listing = container_of(request, struct listing, status_request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_STAT_RESULT)
		return request_unexpected(request, message);
	listing->mode = message->stat_result->mode;
	return REQUEST_FINAL;
}

/* What the file system does not tell with the name; the error is left in listing->failure. */
static int type_of(void *user, const char *name, unsigned int *type)
{
	struct listing *listing = user;
	struct pull *pull = listing->pull;
	struct copy_path *guest = &pull->walk.guest;
	size_t length = guest->length;
	struct provium_file_status status;
	int rc;

	if (copy_path_append(guest, name, &listing->failure) < 0)
		return -1;
	rc = file_status(pull->connection, guest->text, false, &pull->deadline, &status,
			 &listing->failure);
	copy_path_cut(guest, length);
	*type = IFTODT(status.mode);
	return rc;
}

/* Names and mode of the guest's directory at hand, in one round trip. */
static int list(struct pull *pull, struct listing *listing, struct provium_error *error)
{
	const char *path = pull->walk.guest.text;

	listing->status_request.error = &listing->failure;
	listing->status_request.on_message = on_directory;
	if (send_stat(pull, &listing->status_request, path, error) < 0)
		return -1;
	if (file_list_dir(pull->connection, path, add_name, listing, &pull->deadline, error) < 0) {
		if (listing->too_long)
			error_set(error, PROVIUM_LIMIT, 0,
				  "%s: the names on the way to it take more than %zu MiB", path,
				  COPY_NAMES_LIMIT >> 20);
		else if (listing->no_memory)
			error_set(error, PROVIUM_HOST, ENOMEM, "%s", path);
		return -1;
	}
	if (request_wait(&listing->status_request, &pull->deadline, error) < 0)
		return -1;
	if (copy_names_retype(&listing->names, type_of, listing) < 0)
		return error_copy(error, &listing->failure);
	return 0;
}

/*
 * Makes name in the directory parent, or opens it where it is there. *made tells. Only what the
 * caller has named (follow) may be a link to a directory.
 */
static int open_directory(int parent, const char *name, bool follow, bool *made)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);

	*made = mkdirat(parent, name, 0700) == 0;
	if (!*made && errno != EEXIST)
		return -1;
	return openat(parent, name, flags);
}

/* Goes down into the guest's directory at hand; parent and name say where its copy is made. */
static int pull_enter(struct pull *pull, int parent, const char *name, size_t guest_length,
		      size_t host_length, struct provium_error *error)
{
	bool top = !pull->walk.level;
	cleanup(listing_finish) struct listing listing = { .pull = pull };
	int fd;
	bool made;

	copy_tell_entry(&pull->progress, pull->walk.guest.text);
	if (list(pull, &listing, error) < 0)
		return -1;
	fd = open_directory(parent, name, top, &made);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: mkdir", pull->walk.host.text);
	if (copy_walk_enter(&pull->walk, fd, &listing.names, guest_length, host_length, error) < 0)
		return -1;
	pull->walk.level->has_mode = made;
	pull->walk.level->mode = listing.mode & 0777;
	return 0;
}

static int pull_leave(struct pull *pull, struct provium_error *error)
{
	struct copy_level *level;
	int rc = 0;
	int fd;

	if (pull_drain(pull, error) < 0 || copy_walk_leave(&pull->walk, &level, &fd, error) < 0)
		return -1;
	if (level->has_mode && fchmod(fd, level->mode) < 0)
		rc = error_set(error, PROVIUM_HOST, errno, "%s: chmod of a directory in it",
			       pull->walk.host.text);
	close_fd(fd);
	copy_level_free(level);
	return rc;
}

static int pull_down(struct pull *pull, const char *name, size_t guest_length,
		     struct provium_error *error)
{
	struct copy_walk *walk = &pull->walk;
	size_t host_length = walk->host.length;

	if (pull_drain(pull, error) < 0 || copy_path_append(&walk->host, name, error) < 0)
		return -1;
	return pull_enter(pull, walk->fd, name, guest_length, host_length, error);
}

static int pull_entry(struct pull *pull, unsigned int type, const char *name,
		      struct provium_error *error)
{
	struct copy_path *guest = &pull->walk.guest;
	size_t length = guest->length;
	int rc = 0;

	if (copy_path_append(guest, name, error) < 0)
		return -1;
	if (type == DT_DIR)
		return pull_down(pull, name, length, error);
	if (type == DT_REG || type == DT_LNK)
		rc = pull_ask(pull, type, name, guest->text, error);
	else
		copy_tell_skip(&pull->progress, guest->text);
	copy_path_cut(guest, length);
	return rc;
}

static int pull_tree(struct pull *pull, struct provium_error *error)
{
	struct copy_walk *walk = &pull->walk;
	int rc = pull_enter(pull, AT_FDCWD, walk->host.text, walk->guest.length, walk->host.length,
			    error);

	while (rc == 0 && walk->level) {
		unsigned int type;
		const char *name = copy_names_next(&walk->level->names, &type);

		rc = name ? pull_entry(pull, type, name, error) : pull_leave(pull, error);
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------- */
/* The whole */

/* A single file, which need not be a regular one: its own directory is the one at hand. */
static int pull_file(struct pull *pull, const struct provium_file_status *status,
		     struct provium_error *error)
{
	struct copy_walk *walk = &pull->walk;
	cleanup_free char *name = strdup(copy_path_name(&walk->host));
	struct entry *entry;

	if (!name)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s", walk->host.text);
	walk->fd = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy_path_cut(&walk->host, walk->host.length - strlen(name));
	if (walk->fd >= 0 && walk->host.length > 0) {
		close_fd(walk->fd);
		walk->fd = open(walk->host.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (walk->fd < 0)
		return fail_host(pull, name, errno, "cannot make a file beside it", error);

	copy_tell_entry(&pull->progress, walk->guest.text);
	entry = entry_new(pull, name, walk->guest.text, error);
	if (!entry || check_target(entry, error) < 0)
		return -1;
	entry->has_mode = pull->has_status && S_ISREG(status->mode);
	entry->mode = status->mode;
	pull->has_status = entry->has_mode;
	pull->progress.total = entry->has_mode ? status->size : 0;
	if (send_read(entry, error) < 0)
		return -1;
	return pull_drain(pull, error);
}

/* As cp(1) -R: a directory that is there gets the copy in it. */
static int find_target(struct pull *pull, struct provium_error *error)
{
	const struct provium_copy_options *options = pull->progress.options;
	struct copy_path *host = &pull->walk.host;
	struct stat status;

	if ((options && options->exact) || stat(host->text, &status) < 0 ||
	    !S_ISDIR(status.st_mode))
		return 0;
	return copy_path_append(host, copy_path_name(&pull->walk.guest), error);
}

static int pull_all(struct pull *pull, struct provium_error *error)
{
	struct provium_file_status status = { 0 };

	if (find_target(pull, error) < 0)
		return -1;
	if (pull->has_status && file_status(pull->connection, pull->walk.guest.text, true,
					    &pull->deadline, &status, error) < 0)
		return -1;
	if (S_ISDIR(status.mode))
		return pull_tree(pull, error);
	return pull_file(pull, &status, error);
}

static void pull_finish(struct pull *pull)
{
	while (!list_empty(&pull->entries))
		entry_free(oldest(pull));
	copy_walk_finish(&pull->walk);
}

int provium_pull(struct provium_connection *connection, const char *guest_path,
		 const char *host_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error)
{
	cleanup(pull_finish) struct pull pull = {
		.connection = connection,
		.deadline = deadline_after(timeout_ms),
		.walk.fd = -1,
		.progress.options = options,
		.sparse = options && options->sparse,
		.has_status = connection_serves(connection, PROVIUM__V1__MESSAGE__BODY_STAT),
	};
	struct provium_error failure;

	list_init(&pull.entries);
	if (copy_path_set(&pull.walk.guest, guest_path, error) < 0 ||
	    copy_path_set(&pull.walk.host, host_path, error) < 0)
		return -1;
	if (pull_all(&pull, &failure) < 0)
		return error_copy(error, &failure);
	return 0;
}
