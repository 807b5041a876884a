/* Copying out of the guest. pull.h tells how it is asked for ahead, and what is trusted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "host/lib/pull.h"

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
	if (pull_send_stat(pull, &listing->status_request, path, error) < 0)
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

	if (!name)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s", walk->host.text);
	walk->fd = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy_path_cut(&walk->host, walk->host.length - strlen(name));
	if (walk->fd >= 0 && walk->host.length > 0) {
		close_fd(walk->fd);
		walk->fd = open(walk->host.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (walk->fd < 0)
		return pull_fail(pull, name, errno, "cannot make a file beside it", error);

	/* Of a device, say, neither size nor mode are of use. */
	pull->has_status = pull->has_status && S_ISREG(status->mode);
	pull->progress.total = pull->has_status ? status->size : 0;
	if (pull_ask_file(pull, name, walk->guest.text, pull->has_status ? status : NULL, error) <
	    0)
		return -1;
	return pull_drain(pull, error);
}

/* As cp(1) -R: a directory that is there gets the copy in it. */
static int find_target(struct pull *pull, bool is_directory, struct provium_error *error)
{
	const struct provium_copy_options *options = pull->progress.options;
	struct copy_path *host = &pull->walk.host;
	struct stat status;

	if (options && options->exact)
		return 0;
	if ((!pull->target_slash || is_directory) &&
	    (stat(host->text, &status) < 0 || !S_ISDIR(status.st_mode)))
		return 0;
	return copy_path_append(host, copy_path_name(&pull->walk.guest), error);
}

static int pull_all(struct pull *pull, struct provium_error *error)
{
	struct provium_file_status status = { 0 };

	if (pull->has_status && file_status(pull->connection, pull->walk.guest.text, true,
					    &pull->deadline, &status, error) < 0)
		return -1;
	if (find_target(pull, S_ISDIR(status.mode), error) < 0)
		return -1;
	if (S_ISDIR(status.mode))
		return pull_tree(pull, error);
	return pull_file(pull, &status, error);
}

static void pull_finish(struct pull *pull)
{
	pull_abandon(pull);
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
		.target_slash = copy_ends_in_slash(host_path),
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
