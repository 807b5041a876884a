/* LIST_DIR: directories of any size, an entry at a time. */
#include <inttypes.h>
#include <limits.h>

#include "host/lib/file.h"

/* docs/protocol.md, "Limits". */
#define MAX_ENTRIES 256

struct listing {
	struct request request;
	provium_dir_entry_fn callback;
	void *user;
};

/*
 * A name is made a path of, here and in the guest: nothing that leads elsewhere is let through.
 * *text gets it, with a NUL.
 */
static bool take_name(ProtobufCBinaryData name, char text[static PATH_MAX])
{
	if (name.len == 0 || name.len >= PATH_MAX || memchr(name.data, '\0', name.len) ||
	    memchr(name.data, '/', name.len))
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static enum request_verdict take_entries(struct listing *listing,
					 const Provium__V1__DirEntries *message)
{
	struct request *request = &listing->request;
	char name[PATH_MAX];

	if (message->n_entries > MAX_ENTRIES)
		return request_broken(request, "%zu entries at once", message->n_entries);
	for (size_t i = 0; i < message->n_entries; i++) {
		const Provium__V1__DirEntry *entry = message->entries[i];
		struct provium_dir_entry taken = {
			.name = name,
			.type = entry->type,
			.ino = entry->ino,
		};

		if (!take_name(entry->name, name))
			return request_broken(request, "a name that no file can have");
		if (listing->callback(listing->user, &taken) != 0) {
			error_set(request->error, PROVIUM_CANCELLED, 0,
				  "%s: list: the receiver wanted no more", request->subject);
			return REQUEST_GIVE_UP;
		}
	}
	return REQUEST_MORE;
}

static enum request_verdict on_entries(struct request *request, const Provium__V1__Message *message)
{
	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES:
		return take_entries(container_of(request, struct listing, request),
				    message->dir_entries);
	case PROVIUM__V1__MESSAGE__BODY_OK:
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

int file_list_dir(struct provium_connection *connection, const char *path,
		  provium_dir_entry_fn callback, void *user, const struct deadline *deadline,
		  struct provium_error *error)
{
	struct listing listing = {
		.request = { .what = "list", .subject = path, .on_message = on_entries },
		.callback = callback,
		.user = user,
	};
	Provium__V1__ListDir body = PROVIUM__V1__LIST_DIR__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_LIST_DIR;
	message.list_dir = &body;
	return request_call(connection, &listing.request, &message, deadline, error);
}

int provium_list_dir(struct provium_connection *connection, const char *path,
		     provium_dir_entry_fn callback, void *user, int timeout_ms,
		     struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return file_list_dir(connection, path, callback, user, &deadline, error);
}
