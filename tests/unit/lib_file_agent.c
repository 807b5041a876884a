#include "lib_file_agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/util.h"
#include "proto/limits.h"

/* The file that is written. */
static struct {
	uint32_t id;
	int fd;
	char path[4096];
	char temporary[4128];
	uint64_t bytes;
} writing = { .fd = -1 };

static void send_body(struct fake *agent, uint32_t id, Provium__V1__Message *message)
{
	message->has_id = true;
	message->id = id ? id : agent->id;
	fake_send(agent, message);
}

void file_agent_ready(struct fake *agent)
{
	static uint32_t codes[] = { PROVIUM__V1__MESSAGE__BODY_READ_FILE,
				    PROVIUM__V1__MESSAGE__BODY_WRITE_FILE,
				    PROVIUM__V1__MESSAGE__BODY_STAT,
				    PROVIUM__V1__MESSAGE__BODY_LIST_DIR };
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.n_requests = ARRAY_SIZE(codes);
	ready.requests = codes;
	fake_send(agent, &message);
}

void file_agent_status(struct fake *agent, uint32_t id, uint32_t mode, uint64_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__StatResult result = PROVIUM__V1__STAT_RESULT__INIT;

	result.mode = mode;
	result.size = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT_RESULT;
	message.stat_result = &result;
	send_body(agent, id, &message);
}

void file_agent_entries(struct fake *agent, uint32_t id, const char *const *names, size_t count,
			uint32_t type)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__DirEntries entries = PROVIUM__V1__DIR_ENTRIES__INIT;
	Provium__V1__DirEntry *list = calloc(count + 1, sizeof(*list));
	Provium__V1__DirEntry **pointers = calloc(count + 1, sizeof(Provium__V1__DirEntry *));

	fake_check(agent, list && pointers);
	for (size_t i = 0; i < count; i++) {
		provium__v1__dir_entry__init(&list[i]);
		list[i].name.data = (uint8_t *)names[i];
		list[i].name.len = strlen(names[i]);
		list[i].type = type;
		list[i].ino = i + 1;
		pointers[i] = &list[i];
	}
	entries.n_entries = count;
	entries.entries = pointers;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES;
	message.dir_entries = &entries;
	send_body(agent, id, &message);
	free(pointers);
	free(list);
}

void file_agent_link(struct fake *agent, uint32_t id, const void *target, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadlinkResult result = PROVIUM__V1__READLINK_RESULT__INIT;

	result.target.data = (uint8_t *)target;
	result.target.len = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READLINK_RESULT;
	message.readlink_result = &result;
	send_body(agent, id, &message);
}

void file_agent_hole(struct fake *agent, uint32_t id, uint64_t offset, uint64_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__FileData body = PROVIUM__V1__FILE_DATA__INIT;

	body.offset = offset;
	body.has_hole = true;
	body.hole = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_FILE_DATA;
	message.file_data = &body;
	send_body(agent, id, &message);
}

static const char *text_of(ProtobufCBinaryData bytes, char text[static 4096])
{
	snprintf(text, 4096, "%.*s", (int)bytes.len, (const char *)bytes.data);
	return text;
}

static void fail(struct fake *agent, const char *operation)
{
	int failure = errno;

	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, failure, strerrorname_np(failure),
		   operation, strerror(failure));
}

static void answer(struct fake *agent, int rc, const char *operation)
{
	if (rc < 0)
		fail(agent, operation);
	else
		fake_ok(agent, 0, -1);
}

/* ------------------------------------------------------------------------------------------- */

static void serve_stat(struct fake *agent, const Provium__V1__Stat *body)
{
	char path[4096];
	struct stat status;
	bool follow = !body->has_follow || body->follow;

	text_of(body->path, path);
	if ((follow ? stat(path, &status) : lstat(path, &status)) < 0)
		fail(agent, "statx");
	else
		file_agent_status(agent, 0, status.st_mode, (uint64_t)status.st_size);
}

static void serve_list(struct fake *agent, const Provium__V1__ListDir *body)
{
	char path[4096];
	DIR *dir = opendir(text_of(body->path, path));
	const struct dirent *entry;
	/* Every second directory is of a file system that tells no types. */
	static unsigned int count;
	bool types = count++ % 2 == 0;

	if (!dir) {
		fail(agent, "open");
		return;
	}
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			file_agent_entries(agent, 0, &name, 1, types ? entry->d_type : DT_UNKNOWN);
	}
	closedir(dir);
	fake_ok(agent, 0, -1);
}

static void serve_readlink(struct fake *agent, const Provium__V1__Readlink *body)
{
	char path[4096];
	char target[4096];
	ssize_t size = readlink(text_of(body->path, path), target, sizeof(target));

	if (size < 0)
		fail(agent, "readlink");
	else
		file_agent_link(agent, 0, target, (size_t)size);
}

static uint64_t send_data(struct fake *agent, int fd, off_t at, off_t end)
{
	static uint8_t data[PROVIUM_CHUNK];
	uint64_t bytes = 0;

	while (at < end) {
		ssize_t count = pread(fd, data, (size_t)MIN((off_t)sizeof(data), end - at), at);

		if (count <= 0)
			break;
		fake_data(agent, 0, (uint64_t)at, data, (size_t)count);
		at += count;
		bytes += (uint64_t)count;
	}
	return bytes;
}

static void serve_read(struct fake *agent, const Provium__V1__ReadFile *body)
{
	char path[4096];
	int fd = open(text_of(body->path, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	uint64_t bytes = 0;

	if (fd < 0 || fstat(fd, &status) < 0 || S_ISDIR(status.st_mode)) {
		errno = fd < 0 ? errno : EISDIR;
		fail(agent, "open");
		close(fd);
		return;
	}
	if (!body->sparse) {
		bytes = send_data(agent, fd, 0, status.st_size);
	} else {
		for (off_t at = 0; at < status.st_size;) {
			off_t data = lseek(fd, at, SEEK_DATA);
			off_t end = data < 0 ? status.st_size : lseek(fd, data, SEEK_HOLE);

			data = data < 0 ? status.st_size : data;
			if (data > at)
				file_agent_hole(agent, 0, (uint64_t)at, (uint64_t)(data - at));
			bytes += send_data(agent, fd, data, end);
			at = end;
		}
	}
	close(fd);
	fake_ok(agent, 0, (int64_t)bytes);
}

static void serve_write(struct fake *agent, const Provium__V1__WriteFile *body)
{
	fake_check(agent, writing.fd < 0 && body->atomic && body->has_mode);
	text_of(body->path, writing.path);
	snprintf(writing.temporary, sizeof(writing.temporary), "%s.provium-half", writing.path);
	writing.id = agent->id;
	writing.bytes = 0;
	writing.fd = open(writing.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (writing.fd < 0)
		fail(agent, "open");
	else
		fchmod(writing.fd, body->mode);
}

static void serve_write_data(struct fake *agent, const Provium__V1__WriteData *body)
{
	if (writing.fd < 0 || agent->id != writing.id)
		return;
	fake_check(agent, body->data.len <= PROVIUM_CHUNK);
	fake_check(agent, lseek(writing.fd, (off_t)body->hole, SEEK_CUR) >= 0);
	if (body->data.len > 0)
		fake_check(agent, write(writing.fd, body->data.data, body->data.len) ==
					  (ssize_t)body->data.len);
	writing.bytes += body->data.len;
	if (!body->last) {
		fake_ack(agent, 0, writing.bytes);
		return;
	}
	fake_check(agent, ftruncate(writing.fd, lseek(writing.fd, 0, SEEK_CUR)) == 0);
	close(writing.fd);
	writing.fd = -1;
	if (rename(writing.temporary, writing.path) < 0) {
		fail(agent, "rename");
		unlink(writing.temporary);
		return;
	}
	fake_ok(agent, 0, (int64_t)writing.bytes);
}

static void serve_change(struct fake *agent, const Provium__V1__Message *message)
{
	char path[4096];
	char other[4096];

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_MKDIR:
		fake_check(agent, message->mkdir->has_mode && !message->mkdir->parents);
		answer(agent, mkdir(text_of(message->mkdir->path, path), message->mkdir->mode),
		       "mkdir");
		break;
	case PROVIUM__V1__MESSAGE__BODY_SYMLINK:
		answer(agent,
		       symlink(text_of(message->symlink->target, other),
			       text_of(message->symlink->path, path)),
		       "symlink");
		break;
	case PROVIUM__V1__MESSAGE__BODY_CHMOD:
		answer(agent, chmod(text_of(message->chmod->path, path), message->chmod->mode),
		       "chmod");
		break;
	case PROVIUM__V1__MESSAGE__BODY_RENAME:
		answer(agent,
		       rename(text_of(message->rename->old_path, other),
			      text_of(message->rename->new_path, path)),
		       "rename");
		break;
	case PROVIUM__V1__MESSAGE__BODY_REMOVE:
		answer(agent, unlink(text_of(message->remove->path, path)), "unlink");
		break;
	case PROVIUM__V1__MESSAGE__BODY_CANCEL:
		fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND, 0, NULL, NULL,
			   "it has ended");
		break;
	default:
		fake_complain(agent, "message %d is not served", (int)message->body_case);
	}
}

void file_agent_serve(struct fake *agent, const Provium__V1__Message *message)
{
	/* An agent would come to it only after the file, for which the host may be waiting. */
	if (writing.fd >= 0 && message->body_case != PROVIUM__V1__MESSAGE__BODY_WRITE_DATA &&
	    message->body_case != PROVIUM__V1__MESSAGE__BODY_CANCEL)
		fake_complain(agent, "message %d comes amid a file", (int)message->body_case);
	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_STAT:
		serve_stat(agent, message->stat);
		break;
	case PROVIUM__V1__MESSAGE__BODY_LIST_DIR:
		serve_list(agent, message->list_dir);
		break;
	case PROVIUM__V1__MESSAGE__BODY_READLINK:
		serve_readlink(agent, message->readlink);
		break;
	case PROVIUM__V1__MESSAGE__BODY_READ_FILE:
		serve_read(agent, message->read_file);
		break;
	case PROVIUM__V1__MESSAGE__BODY_WRITE_FILE:
		serve_write(agent, message->write_file);
		break;
	case PROVIUM__V1__MESSAGE__BODY_WRITE_DATA:
		serve_write_data(agent, message->write_data);
		break;
	default:
		serve_change(agent, message);
	}
}

void file_agent_script(struct fake *agent)
{
	const Provium__V1__Message *message;

	umask(022);
	file_agent_ready(agent);
	for (int left = agent->number; (message = fake_receive(agent)); left--) {
		if (agent->number && left == 0)
			break;
		file_agent_serve(agent, message);
	}
	/* As an agent does. */
	if (writing.fd >= 0)
		unlink(writing.temporary);
}
