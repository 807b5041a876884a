/* What is done to paths in one round trip, directories that are listed, and files that are
 * followed.
 */
#include "host/include/provium.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/util.h"
#include "lib_file_agent.h"
#include "unit.h"

#define SOON 10000

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static bool is(ProtobufCBinaryData data, const char *text)
{
	return data.len == strlen(text) && memcmp(data.data, text, data.len) == 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Calls whose answer is OK: what each asks for, with its options and without */

static int call_mkdir(void)
{
	return provium_mkdir(connection, "/p", 0, false, SOON, &error);
}

static bool asks_mkdir(const Provium__V1__Message *message)
{
	const Provium__V1__Mkdir *body = message->mkdir;

	return is(body->path, "/p") && body->has_mode && body->mode == 0 && !body->parents;
}

static int call_mkdir_parents(void)
{
	return provium_mkdir(connection, "/p", 01777, true, SOON, &error);
}

static bool asks_mkdir_parents(const Provium__V1__Message *message)
{
	return message->mkdir->mode == 01777 && message->mkdir->parents;
}

static int call_remove(void)
{
	return provium_remove(connection, "/p", false, false, SOON, &error);
}

static bool asks_remove(const Provium__V1__Message *message)
{
	const Provium__V1__Remove *body = message->remove;

	return is(body->path, "/p") && !body->recursive && !body->missing_ok;
}

static int call_remove_all(void)
{
	return provium_remove(connection, "/p", true, true, SOON, &error);
}

static bool asks_remove_all(const Provium__V1__Message *message)
{
	return message->remove->recursive && message->remove->missing_ok;
}

static int call_rename(void)
{
	return provium_rename(connection, "/p", "/new", 3, SOON, &error);
}

static bool asks_rename(const Provium__V1__Message *message)
{
	const Provium__V1__Rename *body = message->rename;

	return is(body->old_path, "/p") && is(body->new_path, "/new") && body->flags == 3;
}

static int call_symlink(void)
{
	return provium_symlink(connection, "says", "/p", SOON, &error);
}

static bool asks_symlink(const Provium__V1__Message *message)
{
	return is(message->symlink->target, "says") && is(message->symlink->path, "/p");
}

static int call_chmod(void)
{
	return provium_chmod(connection, "/p", 0, SOON, &error);
}

static bool asks_chmod(const Provium__V1__Message *message)
{
	const Provium__V1__Chmod *body = message->chmod;

	return is(body->path, "/p") && body->has_mode && body->mode == 0;
}

static int call_chown(void)
{
	return provium_chown(connection, "/p", 0, (uint32_t)-1, true, SOON, &error);
}

static bool asks_chown(const Provium__V1__Message *message)
{
	const Provium__V1__Chown *body = message->chown;

	return is(body->path, "/p") && body->has_uid && body->uid == 0 && !body->has_gid &&
	       (!body->has_follow || body->follow);
}

static int call_chown_link(void)
{
	return provium_chown(connection, "/p", (uint32_t)-1, 7, false, SOON, &error);
}

static bool asks_chown_link(const Provium__V1__Message *message)
{
	const Provium__V1__Chown *body = message->chown;

	return !body->has_uid && body->has_gid && body->gid == 7 && body->has_follow &&
	       !body->follow;
}

static int call_mount(void)
{
	return provium_mount(connection, "none", "/p", "tmpfs", 1, "size=1m", SOON, &error);
}

static bool asks_mount(const Provium__V1__Message *message)
{
	const Provium__V1__Mount *body = message->mount;

	return is(body->source, "none") && is(body->target, "/p") && is(body->fstype, "tmpfs") &&
	       body->flags == 1 && is(body->data, "size=1m");
}

static int call_mount_flags(void)
{
	return provium_mount(connection, NULL, "/p", NULL, UINT64_C(1) << 40, NULL, SOON, &error);
}

static bool asks_mount_flags(const Provium__V1__Message *message)
{
	const Provium__V1__Mount *body = message->mount;

	return !body->has_source && !body->has_fstype && !body->has_data &&
	       body->flags == UINT64_C(1) << 40;
}

static int call_umount(void)
{
	return provium_umount(connection, "/p", 2, SOON, &error);
}

static bool asks_umount(const Provium__V1__Message *message)
{
	return is(message->umount->target, "/p") && message->umount->flags == 2;
}

#define BODY(name) PROVIUM__V1__MESSAGE__BODY_##name

static const struct {
	Provium__V1__Message__BodyCase kind;
	int (*call)(void);
	bool (*asks)(const Provium__V1__Message *message);
} calls[] = {
	{ BODY(MKDIR), call_mkdir, asks_mkdir },
	{ BODY(MKDIR), call_mkdir_parents, asks_mkdir_parents },
	{ BODY(REMOVE), call_remove, asks_remove },
	{ BODY(REMOVE), call_remove_all, asks_remove_all },
	{ BODY(RENAME), call_rename, asks_rename },
	{ BODY(SYMLINK), call_symlink, asks_symlink },
	{ BODY(CHMOD), call_chmod, asks_chmod },
	{ BODY(CHOWN), call_chown, asks_chown },
	{ BODY(CHOWN), call_chown_link, asks_chown_link },
	{ BODY(MOUNT), call_mount, asks_mount },
	{ BODY(MOUNT), call_mount_flags, asks_mount_flags },
	{ BODY(UMOUNT), call_umount, asks_umount },
};

/* OK, an error, and what does not belong there. */
static void call_script(struct fake *agent)
{
	fake_ready(agent);
	for (int i = 0; i < 3; i++) {
		fake_check(agent, calls[agent->number].asks(
					  fake_expect(agent, calls[agent->number].kind)));
		if (i == 0)
			fake_ok(agent, 0, -1);
		else if (i == 1)
			fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, EROFS, "EROFS",
				   "call", "Read-only file system");
		else
			fake_pong(agent, 0);
	}
	fake_expect_end(agent);
}

START_TEST(test_call)
{
	fake.number = _i;
	connection = fake_connect(&fake, call_script);
	check_ok(calls[_i].call());
	ck_assert_int_eq(calls[_i].call(), -1);
	check_error(PROVIUM_GUEST, "/p: Read-only file system (call: EROFS)");
	ck_assert_int_eq(error.os_errno, EROFS);
	ck_assert_int_eq(calls[_i].call(), -1);
	check_error(PROVIUM_PROTOCOL, "message 137");
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* STAT */

static void stat_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__StatResult result = PROVIUM__V1__STAT_RESULT__INIT;
	const Provium__V1__Stat *body;

	fake_ready(agent);
	body = fake_expect(agent, BODY(STAT))->stat;
	fake_check(agent,
		   is(body->path, "/p") && !body->has_fd && body->has_follow && !body->follow);
	result = (Provium__V1__StatResult){
		.base = result.base,
		.mask = 1,
		.mode = S_IFBLK | 0640,
		.nlink = 2,
		.uid = 3,
		.gid = 4,
		.ino = 5,
		.size = UINT64_C(6) << 40,
		.blocks = 7,
		.blksize = 8,
		.attributes = 9,
		.attributes_mask = 10,
		.has_atime_ns = true,
		.atime_ns = -11,
		.has_ctime_ns = true,
		.ctime_ns = 12,
		.has_mtime_ns = true,
		.mtime_ns = 13,
		.rdev_major = 14,
		.rdev_minor = 15,
		.dev_major = 16,
		.dev_minor = 17,
		.has_mnt_id = true,
		.mnt_id = 18,
		.has_dio_mem_align = true,
		.dio_mem_align = 19,
		.has_dio_offset_align = true,
		.dio_offset_align = 20,
		.has_subvol = true,
		.subvol = UINT64_C(21) << 40,
		.has_atomic_write_unit_min = true,
		.atomic_write_unit_min = 22,
		.has_atomic_write_unit_max = true,
		.atomic_write_unit_max = 23,
		.has_atomic_write_segments_max = true,
		.atomic_write_segments_max = 24,
		.has_dio_read_offset_align = true,
		.dio_read_offset_align = 25,
		.has_atomic_write_unit_max_opt = true,
		.atomic_write_unit_max_opt = 26,
	};
	message.has_id = true;
	message.id = agent->id;
	message.body_case = BODY(STAT_RESULT);
	message.stat_result = &result;
	fake_send(agent, &message);

	body = fake_expect(agent, BODY(STAT))->stat;
	fake_check(agent, !body->has_path && body->has_fd && body->fd == 0);
	file_agent_status(agent, 0, S_IFREG, 1);
	fake_expect(agent, BODY(STAT));
	fake_ok(agent, 0, -1);
	fake_expect_end(agent);
}

START_TEST(test_stat)
{
	struct provium_file_status status;

	connection = fake_connect(&fake, stat_script);
	check_ok(provium_stat(connection, "/p", false, SOON, &status, &error));
	ck_assert_uint_eq(status.mask, 1);
	ck_assert_uint_eq(status.mode, S_IFBLK | 0640);
	ck_assert_uint_eq(status.nlink, 2);
	ck_assert_uint_eq(status.uid, 3);
	ck_assert_uint_eq(status.gid, 4);
	ck_assert_uint_eq(status.ino, 5);
	ck_assert_uint_eq(status.size, UINT64_C(6) << 40);
	ck_assert_uint_eq(status.blocks, 7);
	ck_assert_uint_eq(status.blksize, 8);
	ck_assert_uint_eq(status.attributes, 9);
	ck_assert_uint_eq(status.attributes_mask, 10);
	ck_assert(status.has_atime && !status.has_btime && status.has_ctime && status.has_mtime);
	ck_assert_int_eq(status.atime_ns, -11);
	ck_assert_int_eq(status.ctime_ns, 12);
	ck_assert_int_eq(status.mtime_ns, 13);
	ck_assert_uint_eq(status.rdev_major, 14);
	ck_assert_uint_eq(status.rdev_minor, 15);
	ck_assert_uint_eq(status.dev_major, 16);
	ck_assert_uint_eq(status.dev_minor, 17);
	ck_assert(status.has_mnt_id);
	ck_assert_uint_eq(status.mnt_id, 18);
	ck_assert(status.has_dio_align && status.has_subvol);
	ck_assert(status.has_atomic_write && status.has_dio_read_align);
	ck_assert_uint_eq(status.dio_mem_align, 19);
	ck_assert_uint_eq(status.dio_offset_align, 20);
	ck_assert_uint_eq(status.subvol, UINT64_C(21) << 40);
	ck_assert_uint_eq(status.atomic_write_unit_min, 22);
	ck_assert_uint_eq(status.atomic_write_unit_max, 23);
	ck_assert_uint_eq(status.atomic_write_segments_max, 24);
	ck_assert_uint_eq(status.dio_read_offset_align, 25);
	ck_assert_uint_eq(status.atomic_write_unit_max_opt, 26);

	check_ok(provium_stat_fd(connection, 0, SOON, &status, &error));
	ck_assert_uint_eq(status.size, 1);
	ck_assert(!status.has_mnt_id && !status.has_mtime);
	ck_assert(!status.has_dio_align && !status.has_subvol);
	ck_assert(!status.has_atomic_write && !status.has_dio_read_align);
	/* Not sent at all. */
	ck_assert_int_eq(provium_stat(connection, NULL, true, SOON, &status, &error), -1);
	check_error(PROVIUM_INVALID, "either a path or a descriptor");
	ck_assert_int_eq(provium_stat_fd(connection, -1, SOON, &status, &error), -1);
	check_error(PROVIUM_INVALID, "no descriptor -1");
	ck_assert_int_eq(provium_stat(connection, "/p", true, SOON, &status, &error), -1);
	check_error(PROVIUM_PROTOCOL, "message 136");
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* READLINK */

static const struct {
	const char *target;
	size_t size;
	const char *why;
} links[] = {
	{ "../to/it", 8, NULL },      { "", 0, "a link of 0 bytes" },
	{ "a\0b", 3, "with a NUL" },  { NULL, PATH_MAX, "a link of 4096 bytes" },
	{ NULL, PATH_MAX - 1, NULL },
};

static void link_script(struct fake *agent)
{
	static char longest[PATH_MAX];

	memset(longest, 'x', sizeof(longest));
	fake_ready(agent);
	fake_check(agent, is(fake_expect(agent, BODY(READLINK))->readlink->path, "/p"));
	file_agent_link(agent, 0,
			links[agent->number].target ? links[agent->number].target : longest,
			links[agent->number].size);
	fake_expect_end(agent);
}

START_TEST(test_readlink)
{
	char *target;
	int rc;

	fake.number = _i;
	connection = fake_connect(&fake, link_script);
	rc = provium_readlink(connection, "/p", SOON, &target, &error);
	if (links[_i].why) {
		ck_assert_int_eq(rc, -1);
		ck_assert_ptr_null(target);
		check_error(PROVIUM_PROTOCOL, links[_i].why);
	} else {
		check_ok(rc);
		ck_assert_uint_eq(strlen(target), links[_i].size);
		ck_assert(!links[_i].target || strcmp(target, links[_i].target) == 0);
	}
	free(target);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* LIST_DIR */

static void list_script(struct fake *agent)
{
	static const char *const names[] = { "a", "..b", "c d\n", ".x" };

	fake_ready(agent);
	fake_check(agent, is(fake_expect(agent, BODY(LIST_DIR))->list_dir->path, "/p"));
	file_agent_entries(agent, 0, names, 2, DT_DIR);
	file_agent_entries(agent, 0, names, 0, DT_REG);
	file_agent_entries(agent, 0, names + 2, 2, DT_REG);
	fake_ok(agent, 0, -1);
	fake_expect_end(agent);
}

struct listed {
	char text[128];
	unsigned int count;
	/* Wants no more after so many; 0: all. */
	unsigned int most;
};

static int on_entry(void *user, const struct provium_dir_entry *entry)
{
	struct listed *listed = user;
	size_t used = strlen(listed->text);

	snprintf(listed->text + used, sizeof(listed->text) - used, "%s:%u:%d ", entry->name,
		 entry->type, (int)entry->ino);
	listed->count++;
	return listed->count == listed->most;
}

START_TEST(test_list)
{
	struct listed listed = { .most = 0 };

	connection = fake_connect(&fake, list_script);
	check_ok(provium_list_dir(connection, "/p", on_entry, &listed, SOON, &error));
	ck_assert_str_eq(listed.text, "a:4:1 ..b:4:2 c d\n:8:1 .x:8:2 ");
	disconnect();
}
END_TEST

static void list_stopped_script(struct fake *agent)
{
	static const char *const names[] = { "a", "b", "c" };
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, BODY(LIST_DIR));
	id = agent->id;
	file_agent_entries(agent, 0, names, 3, DT_DIR);
	fake_check(agent, fake_expect(agent, BODY(CANCEL))->cancel->request == id);
	fake_error(agent, id, PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED, 0, NULL, NULL, "ended");
	fake_expect(agent, BODY(PING));
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_list_stopped)
{
	struct listed listed = { .most = 2 };

	connection = fake_connect(&fake, list_stopped_script);
	ck_assert_int_eq(provium_list_dir(connection, "/p", on_entry, &listed, SOON, &error), -1);
	check_error(PROVIUM_CANCELLED, "/p: list: the receiver");
	ck_assert_uint_eq(listed.count, 2);
	check_ok(provium_ping(connection, SOON, &error));
	disconnect();
}
END_TEST

static void bad_list_script(struct fake *agent)
{
	static const char *const names[] = { "good", "." };
	const char *many[257];

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "x";
	fake_ready(agent);
	fake_expect(agent, BODY(LIST_DIR));
	if (agent->number)
		file_agent_entries(agent, 0, many, ARRAY_SIZE(many), DT_REG);
	else
		file_agent_entries(agent, 0, names, 2, DT_REG);
	fake_expect_end(agent);
}

START_TEST(test_bad_list)
{
	struct listed listed = { .most = 0 };

	fake.number = _i;
	connection = fake_connect(&fake, bad_list_script);
	ck_assert_int_eq(provium_list_dir(connection, "/p", on_entry, &listed, SOON, &error), -1);
	check_error(PROVIUM_PROTOCOL, _i ? "257 entries at once" : "a name that no file can have");
	ck_assert_uint_eq(listed.count, _i ? 0 : 1);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* TAIL */

static void tail_event(struct fake *agent, Provium__V1__TailEvent event)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__FileData body = PROVIUM__V1__FILE_DATA__INIT;

	body.has_event = true;
	body.event = event;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = BODY(FILE_DATA);
	message.file_data = &body;
	fake_send(agent, &message);
}

static void tail_script(struct fake *agent)
{
	const Provium__V1__Tail *body;
	uint32_t id;

	fake_ready(agent);
	body = fake_expect(agent, BODY(TAIL))->tail;
	fake_check(agent, is(body->path, "/p") && !body->has_start && !body->has_offset);
	id = agent->id;
	/* Where the end was only the data tell. */
	fake_data(agent, id, 100, "one", 3);
	fake_data(agent, id, 103, "two", 3);
	tail_event(agent, PROVIUM__V1__TAIL_EVENT__TAIL_TRUNCATED);
	fake_data(agent, id, 0, "three", 5);
	tail_event(agent, PROVIUM__V1__TAIL_EVENT__TAIL_ROTATED);
	fake_data(agent, id, 0, "end", 3);
	fake_check(agent, fake_expect(agent, BODY(CANCEL))->cancel->request == id);
	fake_ok(agent, id, 14);
	fake_ok(agent, 0, -1);
	fake_expect(agent, BODY(PING));
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

static int on_tail(void *user, enum provium_tail_event event, uint64_t offset, const void *data,
		   size_t size)
{
	char *text = user;
	size_t used = strlen(text);

	snprintf(text + used, 256 - used, "%d@%d:%.*s ", (int)event, (int)offset, (int)size,
		 (const char *)data);
	return size == 3 && memcmp(data, "end", 3) == 0;
}

START_TEST(test_tail)
{
	char text[256] = "";

	connection = fake_connect(&fake, tail_script);
	check_ok(provium_tail(connection, "/p", NULL, on_tail, text, SOON, &error));
	ck_assert_str_eq(text, "0@100:one 0@103:two 1@0: 0@0:three 2@0: 0@0:end ");
	check_ok(provium_ping(connection, SOON, &error));
	disconnect();
}
END_TEST

/* An fd, from an offset; it ends by itself. Then one that nothing comes of. */
static void tail_fd_script(struct fake *agent)
{
	const Provium__V1__Tail *body;
	uint32_t id;

	fake_ready(agent);
	body = fake_expect(agent, BODY(TAIL))->tail;
	fake_check(agent, !body->has_path && body->has_fd && body->fd == 9);
	fake_check(agent, body->start == PROVIUM__V1__TAIL__START__OFFSET && body->offset == 5);
	fake_data(agent, 0, 5, "abc", 3);
	fake_ok(agent, 0, 3);
	body = fake_expect(agent, BODY(TAIL))->tail;
	fake_check(agent, body->has_start && body->start == PROVIUM__V1__TAIL__START__BEGINNING);
	id = agent->id;
	fake_check(agent, fake_expect(agent, BODY(CANCEL))->cancel->request == id);
	fake_expect_end(agent);
}

START_TEST(test_tail_fd)
{
	struct provium_tail_options options = {
		.start = PROVIUM_TAIL_OFFSET,
		.offset = 5,
		.has_fd = true,
		.fd = 9,
	};
	char text[256] = "";

	connection = fake_connect(&fake, tail_fd_script);
	check_ok(provium_tail(connection, NULL, &options, on_tail, text, SOON, &error));
	ck_assert_str_eq(text, "0@5:abc ");
	options = (struct provium_tail_options){ .start = PROVIUM_TAIL_BEGINNING };
	ck_assert_int_eq(provium_tail(connection, "/p", &options, on_tail, text, 60, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "/p: tail: timed out");
	disconnect();
}
END_TEST

static void tail_gap(struct fake *agent)
{
	fake_data(agent, 0, 10, "abc", 3);
	fake_data(agent, 0, 14, "abc", 3);
}

static void tail_no_event(struct fake *agent)
{
	tail_event(agent, (Provium__V1__TailEvent)77);
}

static void tail_not_from_start(struct fake *agent)
{
	tail_event(agent, PROVIUM__V1__TAIL_EVENT__TAIL_ROTATED);
	fake_data(agent, 0, 1, "abc", 3);
}

static void tail_hole(struct fake *agent)
{
	file_agent_hole(agent, 0, 0, 5);
}

static void tail_overflow(struct fake *agent)
{
	fake_data(agent, 0, UINT64_MAX - 1, "abc", 3);
}

static const struct {
	void (*reply)(struct fake *agent);
	const char *why;
} wrong_tails[] = {
	{ tail_gap, "offset 14 where 13 was next" },
	{ tail_no_event, "event 77" },
	{ tail_not_from_start, "offset 1 where 0 was next" },
	{ tail_hole, "a hole that was not asked for" },
	{ tail_overflow, "data at offset 18446744073709551614" },
};

static void wrong_tail_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, BODY(TAIL));
	wrong_tails[agent->number].reply(agent);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_wrong_tail)
{
	char text[256] = "";

	fake.number = _i;
	connection = fake_connect(&fake, wrong_tail_script);
	ck_assert_int_eq(provium_tail(connection, "/p", NULL, on_tail, text, SOON, &error), -1);
	check_error(PROVIUM_PROTOCOL, "reply to \"tail\"");
	check_error(PROVIUM_PROTOCOL, wrong_tails[_i].why);
	disconnect();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-path");
	TCase *tcase = unit_counted_case("path");

	tcase_add_loop_test(tcase, test_call, 0, ARRAY_SIZE(calls));
	tcase_add_test(tcase, test_stat);
	tcase_add_loop_test(tcase, test_readlink, 0, ARRAY_SIZE(links));
	tcase_add_test(tcase, test_list);
	tcase_add_test(tcase, test_list_stopped);
	tcase_add_loop_test(tcase, test_bad_list, 0, 2);
	tcase_add_test(tcase, test_tail);
	tcase_add_test(tcase, test_tail_fd);
	tcase_add_loop_test(tcase, test_wrong_tail, 0, ARRAY_SIZE(wrong_tails));
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
