/* File operations of an agent that is not root: what the kernel refuses is told as it says it. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent_files.h"
#include "common/util.h"
#include "unit.h"

/*
 * Root's: a directory and a file that all may look at and nobody change, one that nobody may enter,
 * and one where all may make files and take away their own alone.
 */
#define THEIRS    "theirs"
#define CLOSED    "closed"
#define STICKY    "sticky"

#define FILE_SIZE 1000

/* Whom agent_drop_user makes of the agent. */
#define USER      12345

/* A request of this body about a path in the test's folder. */
struct attempt {
	int body;
	const char *name;
	int os_errno;
	const char *errno_name;
	const char *operation;
	/* WRITE_FILE's atomic, MKDIR's parents, REMOVE's recursive. */
	bool flag;
	/* WRITE_FILE has made the file, and the kernel refuses what comes when all data is there.
	 */
	bool late;
};

static const struct attempt attempts[] = {
	{ BODY(READ_FILE), THEIRS "/file", EACCES, "EACCES", "open" },
	{ BODY(READ_FILE), CLOSED "/file", EACCES, "EACCES", "open" },
	{ BODY(TAIL), THEIRS "/file", EACCES, "EACCES", "open" },
	{ BODY(WRITE_FILE), THEIRS "/file", EACCES, "EACCES", "open" },
	{ BODY(WRITE_FILE), THEIRS "/new", EACCES, "EACCES", "open" },
	{ BODY(WRITE_FILE), CLOSED "/new", EACCES, "EACCES", "open" },
	{ BODY(WRITE_FILE), THEIRS "/file", EACCES, "EACCES", "open", .flag = true },
	{ BODY(WRITE_FILE), THEIRS "/new", EACCES, "EACCES", "open", .flag = true },
	{ BODY(WRITE_FILE), CLOSED "/new", EACCES, "EACCES", "open", .flag = true },
	{ BODY(WRITE_FILE), STICKY "/file", EPERM, "EPERM", "rename", .flag = true, .late = true },
	{ BODY(MKDIR), THEIRS "/new", EACCES, "EACCES", "mkdir" },
	{ BODY(MKDIR), THEIRS "/new/below", EACCES, "EACCES", "mkdir", .flag = true },
	{ BODY(REMOVE), THEIRS "/file", EACCES, "EACCES", "unlinkat" },
	{ BODY(REMOVE), THEIRS "/dir", EACCES, "EACCES", "unlinkat", .flag = true },
	{ BODY(REMOVE), CLOSED, EACCES, "EACCES", "unlinkat" },
	{ BODY(REMOVE), CLOSED "/file", EACCES, "EACCES", "unlinkat" },
	{ BODY(REMOVE), STICKY "/file", EPERM, "EPERM", "unlinkat" },
	{ BODY(RENAME), THEIRS "/file", EACCES, "EACCES", "renameat2" },
	{ BODY(RENAME), STICKY "/file", EPERM, "EPERM", "renameat2" },
	{ BODY(SYMLINK), THEIRS "/new", EACCES, "EACCES", "symlink" },
	{ BODY(READLINK), CLOSED "/file", EACCES, "EACCES", "readlink" },
	{ BODY(LIST_DIR), CLOSED, EACCES, "EACCES", "open" },
	{ BODY(STAT), CLOSED "/file", EACCES, "EACCES", "statx" },
	{ BODY(CHMOD), THEIRS "/file", EPERM, "EPERM", "chmod" },
	{ BODY(CHOWN), THEIRS "/file", EPERM, "EPERM", "chown" },
	{ BODY(MOUNT), STICKY, EPERM, "EPERM", "mount" },
	{ BODY(UMOUNT), STICKY, EPERM, "EPERM", "umount2" },
};

/* False: only root has rights to give up. */
static bool make_theirs(void)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = { { ".", 0755 },
		     { THEIRS, 0755 },
		     { THEIRS "/dir", 0755 },
		     { CLOSED, 0700 },
		     { STICKY, 01777 } };
	static const char *const files[] = { THEIRS "/file", THEIRS "/dir/file", CLOSED "/file",
					     STICKY "/file" };

	if (!unit_is_root())
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		ck_assert(mkdir(test_path(dirs[i].name), 0700) == 0 || errno == EEXIST);
		ck_assert_int_eq(chmod(test_path(dirs[i].name), dirs[i].mode), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(test_path(files[i]), FILE_SIZE, 0600);
	return true;
}

/* What is in the test's folder: names, modes, owners, sizes. */
static char listing[4096];

static int list_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	size_t length = strlen(listing);
	int count = snprintf(listing + length, sizeof(listing) - length, "%s %o %u %lld\n", path,
			     status->st_mode, status->st_uid,
			     S_ISDIR(status->st_mode) ? 0 : (long long)status->st_size);

	(void)type;
	(void)walk;
	ck_assert_uint_lt((size_t)count, sizeof(listing) - length);
	return 0;
}

static void list_folder(void)
{
	listing[0] = '\0';
	ck_assert_int_eq(nftw(test_path("."), list_entry, 16, FTW_PHYS), 0);
}

/* Of this thread alone, which is why it is the system call: the library's is about all threads. */
static void set_own_euid(uid_t uid)
{
	ck_assert_int_eq(syscall(SYS_setresuid, -1, uid, -1), 0);
}

/* The request that is made. */
static union {
	Provium__V1__ReadFile read_file;
	Provium__V1__Tail tail;
	Provium__V1__WriteFile write_file;
	Provium__V1__Mkdir mkdir;
	Provium__V1__Remove remove;
	Provium__V1__Rename rename;
	Provium__V1__Symlink symlink;
	Provium__V1__Readlink readlink;
	Provium__V1__ListDir list_dir;
	Provium__V1__Stat stat;
	Provium__V1__Chmod chmod;
	Provium__V1__Chown chown;
	Provium__V1__Mount mount;
	Provium__V1__Umount umount;
} request;

#define MAKE(member, NAME, field)                                                  \
	(request.member = (__typeof__(request.member))PROVIUM__V1__##NAME##__INIT, \
	 SET(request.member, field, bytes_of(path)))

static void make_request(const struct attempt *attempt, const char *path)
{
	switch (attempt->body) {
	case BODY(READ_FILE):
		MAKE(read_file, READ_FILE, path);
		break;
	case BODY(TAIL):
		MAKE(tail, TAIL, path);
		break;
	case BODY(WRITE_FILE):
		MAKE(write_file, WRITE_FILE, path);
		SET(request.write_file, atomic, attempt->flag);
		break;
	case BODY(MKDIR):
		MAKE(mkdir, MKDIR, path);
		SET(request.mkdir, parents, attempt->flag);
		break;
	case BODY(REMOVE):
		MAKE(remove, REMOVE, path);
		SET(request.remove, recursive, attempt->flag);
		break;
	case BODY(RENAME):
		MAKE(rename, RENAME, old_path);
		SET(request.rename, new_path, BYTES("/tmp/agent-denied"));
		break;
	case BODY(SYMLINK):
		MAKE(symlink, SYMLINK, path);
		SET(request.symlink, target, BYTES("anywhere"));
		break;
	case BODY(READLINK):
		MAKE(readlink, READLINK, path);
		break;
	case BODY(LIST_DIR):
		MAKE(list_dir, LIST_DIR, path);
		break;
	case BODY(STAT):
		MAKE(stat, STAT, path);
		break;
	case BODY(CHMOD):
		MAKE(chmod, CHMOD, path);
		SET(request.chmod, mode, 0666);
		break;
	case BODY(CHOWN):
		MAKE(chown, CHOWN, path);
		SET(request.chown, uid, USER);
		break;
	case BODY(MOUNT):
		MAKE(mount, MOUNT, target);
		SET(request.mount, fstype, BYTES("tmpfs"));
		break;
	case BODY(UMOUNT):
		MAKE(umount, UMOUNT, target);
		break;
	default:
		ck_abort_msg("no request of code %d", attempt->body);
	}
}

START_TEST(denied)
{
	const struct attempt *attempt = &attempts[_i];
	static char before[sizeof(listing)];
	const Provium__V1__Message *message;
	char path[256];
	uint32_t id;

	if (!make_theirs())
		return;
	list_folder();
	memcpy(before, listing, sizeof(before));
	agent_drop_user();
	snprintf(path, sizeof(path), "%s", test_path(attempt->name));
	make_request(attempt, path);
	id = send_body(&client, attempt->body, &request);
	if (attempt->late)
		send_data(id, "data", 4, true);
	message = client_expect(&client, BODY(ERROR));
	ck_assert_uint_eq(message->id, id);
	ck_assert_int_eq(message->error->code, CODE(OS));
	ck_assert_int_eq(message->error->os_errno, attempt->os_errno);
	ck_assert_str_eq(message->error->errno_name, attempt->errno_name);
	ck_assert_str_eq(message->error->operation, attempt->operation);
	ck_assert_msg(strstr(message->error->text, path), "\"%s\" lacks the path",
		      message->error->text);
	client_ping(&client);
	/* Nothing is changed, and nothing left behind. */
	set_own_euid(0);
	list_folder();
	set_own_euid(USER);
	ck_assert_str_eq(listing, before);
}
END_TEST

/* The same agent does what its user may do. */
START_TEST(permitted)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	char path[256];
	struct stat status;
	uint32_t id;

	if (!make_theirs())
		return;
	agent_drop_user();
	snprintf(path, sizeof(path), "%s", test_path(STICKY "/own"));
	SET(options, atomic, true);
	id = send_write(path, &options);
	send_pattern(id, 0, FILE_SIZE, FILE_SIZE);
	expect_written(id, FILE_SIZE);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_uid, USER);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, path, &plain_read), 0),
			  FILE_SIZE);
}
END_TEST

/*
 * Writing and growing a file clears its set-user-ID bit, where root does neither: it is there when
 * all is done, and not before.
 */
START_TEST(special_modes)
{
	static const mode_t modes[] = { 04755, 02711, 01600, 06000, 07777 };
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	char path[256];
	uint32_t id;

	if (!make_theirs())
		return;
	agent_drop_user();
	snprintf(path, sizeof(path), "%s", test_path(STICKY "/own"));
	SET(options, atomic, _i);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		SET(options, mode, modes[i]);
		id = send_write(path, &options);
		send_data(id, "data", 4, false);
		client_ping(&client);
		if (!_i)
			ck_assert_uint_eq(mode_of(path), modes[i] & 0777);
		send_hole(id, 4096, NULL, 0, true);
		expect_written(id, 4);
		ck_assert_uint_eq(mode_of(path), modes[i]);
		ck_assert_int_eq(unlink(path), 0);
	}
	/* One that was there has the mode that the kernel leaves it. */
	make_file(path, FILE_SIZE, 0755);
	set_own_euid(0);
	ck_assert_int_eq(chown(path, USER, USER), 0);
	ck_assert_int_eq(chmod(path, 04755), 0);
	set_own_euid(USER);
	id = send_write(path, &options);
	send_data(id, "data", 4, true);
	expect_written(id, 4);
	ck_assert_uint_eq(mode_of(path), _i ? 07777 : 0755);
}
END_TEST

static Suite *denied_suite(void)
{
	Suite *suite = suite_create("agent: files of others");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_loop_test(tcase, denied, 0, ARRAY_SIZE(attempts));
	tcase_add_test(tcase, permitted);
	tcase_add_loop_test(tcase, special_modes, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(denied_suite());
}
