#include "agent_files.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

char file_path[256];

void files_start(void)
{
	agent_start_connected();
	snprintf(file_path, sizeof(file_path), "%s", test_path("file"));
}

static bool mounted;

void files_start_mounted(void)
{
	/* Before there is a second thread: mounts are those of a thread otherwise. */
	mounted =
		unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	files_start();
	ck_assert_int_eq(mkdir(test_path("mount"), 0755), 0);
	if (mounted)
		mounted = mount("none", test_path("mount"), "tmpfs", 0, "size=256k") == 0;
}

void files_stop_mounted(void)
{
	if (mounted)
		ck_assert_int_eq(umount2(test_path("mount"), MNT_DETACH), 0);
	agent_stop_connected();
}

bool is_mounted(void)
{
	return mounted;
}

bool can_mount(void)
{
	if (!mounted)
		unit_skip("mounting is not permitted");
	return mounted;
}

static uint8_t pattern_at(uint64_t offset)
{
	return (uint8_t)(offset ^ offset >> 8 ^ offset >> 16);
}

void make_file(const char *name, uint64_t size, mode_t mode)
{
	FILE *file = fopen(name, "we");

	ck_assert_ptr_nonnull(file);
	for (uint64_t i = 0; i < size; i++)
		putc_unlocked(pattern_at(i), file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

bool is_pattern(const uint8_t *data, uint64_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != pattern_at(offset + i))
			return false;
	return true;
}

bool holds_pattern(const char *name, uint64_t offset, uint64_t size)
{
	FILE *file = fopen(name, "re");
	bool same = true;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseeko(file, (off_t)offset, SEEK_SET), 0);
	for (uint64_t i = 0; i < size; i++)
		same &= getc_unlocked(file) == pattern_at(offset + i);
	same &= getc_unlocked(file) == EOF;
	fclose(file);
	return same;
}

mode_t mode_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return status.st_mode & 07777;
}

unsigned int count_files(void)
{
	DIR *dir = opendir(test_path("."));
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

uint32_t send_body(struct client *to, int code, const void *body)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	/* The members of the union are pointers alike. */
	message.body_case = (Provium__V1__Message__BodyCase)code;
	message.exec = (Provium__V1__Exec *)(uintptr_t)body;
	return client_send(to, &message);
}

void expect_done(int code, const void *body)
{
	client_expect_ok(&client, send_body(&client, code, body));
}

void expect_refused(int code, const void *body, int os_errno)
{
	client_expect_os_error(&client, send_body(&client, code, body), os_errno, "");
}

const Provium__V1__ReadFile plain_read = PROVIUM__V1__READ_FILE__INIT;

uint32_t send_read(struct client *to, const char *name, const Provium__V1__ReadFile *options)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = *options;

	body.has_path = true;
	body.path = bytes_of(name);
	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	return client_send(to, &message);
}

uint64_t expect_pattern(struct client *from, uint32_t id, uint64_t offset)
{
	uint64_t received = 0;

	for (;;) {
		const Provium__V1__Message *message = client_receive(from);

		ck_assert_ptr_nonnull(message);
		if (message->id != id)
			ck_abort_msg("message %d of request %u", message->body_case, message->id);
		if (message->body_case == BODY(OK)) {
			ck_assert_uint_eq(message->ok->bytes, received);
			return received;
		}
		ck_assert_int_eq(message->body_case, BODY(FILE_DATA));
		ck_assert_uint_eq(message->file_data->offset, offset + received);
		ck_assert_uint_gt(message->file_data->data.len, 0);
		ck_assert_uint_le(message->file_data->data.len, PROVIUM_CHUNK);
		ck_assert(is_pattern(message->file_data->data.data, offset + received,
				     message->file_data->data.len));
		received += message->file_data->data.len;
	}
}

uint32_t tail_from_end(struct client *to, const char *name)
{
	Provium__V1__Tail request = PROVIUM__V1__TAIL__INIT;

	SET(request, path, bytes_of(name));
	return send_body(to, BODY(TAIL), &request);
}

void expect_text(struct client *from, uint32_t id, uint64_t offset, const char *text)
{
	while (*text) {
		const Provium__V1__Message *message = client_expect(from, BODY(FILE_DATA));
		const Provium__V1__FileData *data = message->file_data;

		ck_assert_uint_eq(message->id, id);
		ck_assert(!data->has_event);
		ck_assert_uint_eq(data->offset, offset);
		ck_assert_uint_gt(data->data.len, 0);
		ck_assert_uint_le(data->data.len, strlen(text));
		ck_assert_mem_eq(data->data.data, text, data->data.len);
		offset += data->data.len;
		text += data->data.len;
	}
}

const Provium__V1__WriteFile plain_write = PROVIUM__V1__WRITE_FILE__INIT;

uint32_t send_write(const char *name, const Provium__V1__WriteFile *options)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteFile body = *options;

	body.has_path = true;
	body.path = bytes_of(name);
	message.body_case = BODY(WRITE_FILE);
	message.write_file = &body;
	return client_send(&client, &message);
}

void send_hole(uint32_t id, uint64_t hole, const void *data, size_t size, bool last)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;

	message.has_id = true;
	message.id = id;
	message.body_case = BODY(WRITE_DATA);
	message.write_data = &body;
	body.has_hole = hole > 0;
	body.hole = hole;
	body.has_data = size > 0;
	body.data = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
	body.has_last = last;
	body.last = last;
	client_send(&client, &message);
}

void send_data(uint32_t id, const void *data, size_t size, bool last)
{
	send_hole(id, 0, data, size, last);
}

void send_pattern(uint32_t id, uint64_t offset, uint64_t size, size_t piece)
{
	cleanup_free uint8_t *data = malloc(piece);
	uint64_t sent = 0, acked = 0;

	ck_assert_ptr_nonnull(data);
	do {
		size_t count = (size_t)MIN(size - sent, (uint64_t)piece);

		while (sent + count - acked > PROVIUM_WRITE_WINDOW) {
			const Provium__V1__Message *message =
				client_expect(&client, BODY(WRITE_ACK));

			ck_assert_uint_eq(message->id, id);
			ck_assert_uint_gt(message->write_ack->bytes, acked);
			acked = message->write_ack->bytes;
			ck_assert_uint_le(acked, sent);
		}
		for (size_t i = 0; i < count; i++)
			data[i] = pattern_at(offset + sent + i);
		sent += count;
		send_data(id, data, count, sent == size);
	} while (sent < size);
}

void expect_written(uint32_t id, uint64_t size)
{
	const Provium__V1__Message *message = client_receive(&client);

	while (message && message->body_case == BODY(WRITE_ACK))
		message = client_receive(&client);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(message->body_case == BODY(OK), "%s",
		      message->body_case == BODY(ERROR) ? message->error->text : "no OK");
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, size);
}
