/* Files and mounts. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>

#include "tests/integration/programs/calls.h"

static const char file_path[] = "/tmp/calls-file";
static const char link_path[] = "/tmp/calls-link";
static const char directory[] = "/tmp/calls-directory";

#define HERE V(AT_FDCWD)

static int open_file(void)
{
	return call_open(file_path, O_RDWR | O_CREAT | O_TRUNC);
}

static void remove_file(const char *path)
{
	MAKE(unlinkat, HERE, A(text(path)), V(0));
}

static void make_openat2(void)
{
	/* flags, mode, resolve */
	const uint64_t create[3] = { O_RDWR | O_CREAT, 0640, 0 };
	const uint64_t strict[3] = { O_RDONLY, 0, RESOLVE_NO_SYMLINKS };
	int how = OBJECT(create), other = OBJECT(strict), fd;

	fd = MAKE(openat2, HERE, A(text(file_path)), A(how), V(24));
	say_success("openat2", fd);
	call_close(fd);
	MAKE(symlinkat, A(text(file_path)), HERE, A(text(link_path)));
	say_failure("openat2 of a link", MAKE(openat2, HERE, A(text(link_path)), A(other), V(24)),
		    ELOOP);
	remove_file(link_path);
	remove_file(file_path);
}

static void make_paths(void)
{
	int name = text(directory), other = text(link_path);

	say("mkdirat", MAKE(mkdirat, HERE, A(name), V(0755)));
	say_failure("mkdirat again", MAKE(mkdirat, HERE, A(name), V(0755)), EEXIST);
	say("renameat2", MAKE(renameat2, HERE, A(name), HERE, A(other), V(RENAME_NOREPLACE)));
	say("unlinkat", MAKE(unlinkat, HERE, A(other), V(AT_REMOVEDIR)));
	say_failure("unlinkat again", MAKE(unlinkat, HERE, A(other), V(AT_REMOVEDIR)), ENOENT);
}

static void make_readlinkat(void)
{
	int target = zeros(32);

	say("symlinkat", MAKE(symlinkat, A(text("some/where")), HERE, A(text(link_path))));
	say("readlinkat", MAKE(readlinkat, HERE, A(text(link_path)), A(target), V(32)));
	say_bytes("target", target, 0, 32);
	remove_file(link_path);
}

static void make_statx(void)
{
	int status = zeros(256);

	say("statx", MAKE(statx, HERE, A(text("/holder")), V(0), V(STATX_BASIC_STATS), A(status)));
	/* Behind them are the times. */
	say_bytes("status", status, 0, 64);
}

static void make_getdents64(void)
{
	int fd = call_open("/bin", O_RDONLY | O_DIRECTORY), entries = zeros(4096);

	say("getdents64", MAKE(getdents64, R(fd), A(entries), V(4096)));
	say_bytes("entries", entries, 0, 4096);
	call_close(fd);
}

/* Where the address of an array's element stands. */
static uint32_t base_at(unsigned int element)
{
	return element * 16;
}

/* Elements of iovec with these lengths; the addresses are put there by the caller. */
static int vector(const uint64_t *lengths, unsigned int count)
{
	uint64_t pairs[6] = { 0 };

	for (unsigned int i = 0; i < count; i++)
		pairs[2 * i + 1] = lengths[i];
	return object(pairs, count * sizeof(uint64_t[2]));
}

static void make_vectors(void)
{
	int abc = text("abc"), rest = text("defghij"), back = zeros(12);
	int out = vector((const uint64_t[]){ 3, 4, 2 }, 3);
	int in = vector((const uint64_t[]){ 4, 5 }, 2), fd = open_file();

	provium_program_pointer(program, out, base_at(0), abc, 0);
	provium_program_pointer(program, out, base_at(1), rest, 2);
	provium_program_pointer(program, out, base_at(2), abc, 0);
	provium_program_pointer(program, in, base_at(0), back, 6);
	provium_program_pointer(program, in, base_at(1), back, 1);
	say("writev", MAKE(writev, R(fd), A(out), V(3)));
	MAKE(lseek, R(fd), V(0), V(SEEK_SET));
	say("readv", MAKE(readv, R(fd), A(in), V(2)));
	say_bytes("read", back, 0, 12);
	call_close(fd);
	remove_file(file_path);
}

static void make_positioned_vectors(void)
{
	int out = vector((const uint64_t[]){ 10 }, 1), in = vector((const uint64_t[]){ 8 }, 1);
	int back = zeros(8), fd = open_file();

	provium_program_pointer(program, out, 0, text("0123456789"), 0);
	provium_program_pointer(program, in, 0, back, 0);
	say("pwritev2", MAKE(pwritev2, R(fd), A(out), V(1), V(1000), V(0), V(0)));
	say("preadv2", MAKE(preadv2, R(fd), A(in), V(1), V(1004), V(0), V(0)));
	say_bytes("read", back, 0, 8);
	call_close(fd);
	remove_file(file_path);
}

static void make_copy_file_range(void)
{
	const uint64_t offsets[2] = { 2, 100 };
	int both = OBJECT(offsets), back = zeros(16);
	int from = open_file(), to = call_open(link_path, O_RDWR | O_CREAT);

	MAKE(write, R(from), A(text("copy this text")), V(14));
	say("copy_file_range",
	    MAKE(copy_file_range, R(from), A(both), R(to), AT(both, 8), V(7), V(0)));
	say_bytes("offset from", both, 0, 8);
	say_bytes("offset to", both, 8, 8);
	MAKE(pread64, R(to), A(back), V(16), V(100));
	say_bytes("copied", back, 0, 16);
	call_close(from);
	call_close(to);
	remove_file(file_path);
	remove_file(link_path);
}

static void make_vmsplice(void)
{
	int pieces = vector((const uint64_t[]){ 5, 4 }, 2), ends = zeros(8), back = zeros(16);

	provium_program_pointer(program, pieces, base_at(0), text("spliced"), 2);
	provium_program_pointer(program, pieces, base_at(1), text("text"), 0);
	MAKE(pipe2, A(ends), V(0));
	say("vmsplice", MAKE(vmsplice, LOAD(ends, 4), A(pieces), V(2), V(0)));
	say("read", MAKE(read, LOAD(ends, 0), A(back), V(16)));
	say_bytes("read", back, 0, 16);
	call_close_at(ends, 0);
	call_close_at(ends, 4);
}

static void make_fallocate(void)
{
	int fd = open_file();

	say("fallocate", MAKE(fallocate, R(fd), V(0), V(8192), V(4096)));
	say("pwrite64", MAKE(pwrite64, R(fd), A(text("x")), V(1), V(9000)));
	say("SEEK_DATA", MAKE(lseek, R(fd), V(0), V(SEEK_DATA)));
	say("SEEK_END", MAKE(lseek, R(fd), V(-5), V(SEEK_END)));
	call_close(fd);
	remove_file(file_path);
}

static void make_xattr(void)
{
	int path = text(file_path), name = text("trusted.some"), value = zeros(16);
	int names = zeros(64);

	call_close(open_file());
	say("setxattr", MAKE(setxattr, A(path), A(name), A(text("value")), V(5), V(0)));
	say("getxattr", MAKE(getxattr, A(path), A(name), A(value), V(16)));
	say_bytes("value", value, 0, 16);
	say("listxattr", MAKE(listxattr, A(path), A(names), V(64)));
	say_bytes("names", names, 0, 64);
	remove_file(file_path);
}

static void make_utimensat(void)
{
	/* Seconds and nanoseconds, of the access and of the change. */
	const uint64_t times[4] = { 1000000000, 5, 1234567890, 123456789 };
	int path = text(file_path), status = zeros(144);

	call_close(open_file());
	say("utimensat", MAKE(utimensat, HERE, A(path), A(OBJECT(times)), V(0)));
	say("newfstatat", MAKE(newfstatat, HERE, A(path), A(status), V(0)));
	say_bytes("times", status, offsetof(struct stat, st_atim), 32);
	remove_file(file_path);
}

static void make_locks(void)
{
	/* Type and whence, 16 bits each, room for 32, start, length, pid. */
	const uint64_t mine[4] = { F_WRLCK, 10, 20, 0 }, theirs[4] = { F_RDLCK, 25, 100, 0 };
	int lock = OBJECT(theirs), first = open_file(), second = call_open(file_path, O_RDWR);

	say("F_OFD_SETLK", MAKE(fcntl, R(first), V(F_OFD_SETLK), A(OBJECT(mine))));
	say("F_OFD_GETLK", MAKE(fcntl, R(second), V(F_OFD_GETLK), A(lock)));
	say_bytes("lock", lock, 0, 32);
	call_close(first);
	call_close(second);
	remove_file(file_path);
}

static void make_directory(void)
{
	MAKE(mkdirat, HERE, A(text(directory)), V(0755));
}

static void remove_directory(void)
{
	MAKE(unlinkat, HERE, A(text(directory)), V(AT_REMOVEDIR));
}

static void make_new_mount(void)
{
	int where = text(directory), status = zeros(120), fs, mounted;

	make_directory();
	fs = MAKE(fsopen, A(text("tmpfs")), V(0));
	say_success("fsopen", fs);
	say("fsconfig",
	    MAKE(fsconfig, R(fs), V(FSCONFIG_SET_STRING), A(text("size")), A(text("1M")), V(0)));
	say("FSCONFIG_CMD_CREATE", MAKE(fsconfig, R(fs), V(FSCONFIG_CMD_CREATE), V(0), V(0), V(0)));
	mounted = MAKE(fsmount, R(fs), V(0), V(MOUNT_ATTR_NODEV));
	say_success("fsmount", mounted);
	say("move_mount",
	    MAKE(move_mount, R(mounted), A(text("")), HERE, A(where), V(MOVE_MOUNT_F_EMPTY_PATH)));
	say("statfs", MAKE(statfs, A(where), A(status)));
	say_bytes("status", status, 0, 40);
	/* They would keep it busy. */
	call_close(mounted);
	call_close(fs);
	say("umount2", MAKE(umount2, A(where), V(0)));
	remove_directory();
}

static void make_mount(void)
{
	int where = text(directory), status = zeros(120);

	make_directory();
	say("mount", MAKE(mount, A(text("nothing")), A(where), A(text("tmpfs")), V(MS_NOSUID),
			  A(text("size=8k,nr_inodes=7"))));
	say("statfs", MAKE(statfs, A(where), A(status)));
	say_bytes("status", status, 0, 56);
	say("umount2", MAKE(umount2, A(where), V(MNT_DETACH)));
	say_failure("umount2 again", MAKE(umount2, A(where), V(MNT_DETACH)), EINVAL);
	remove_directory();
}

const struct call_case file_cases[] = {
	{ "openat2", make_openat2 },
	{ "paths", make_paths },
	{ "readlinkat", make_readlinkat },
	{ "statx", make_statx },
	{ "getdents64", make_getdents64 },
	{ "vectors", make_vectors },
	{ "positioned-vectors", make_positioned_vectors },
	{ "copy_file_range", make_copy_file_range },
	{ "vmsplice", make_vmsplice },
	{ "fallocate", make_fallocate },
	{ "xattr", make_xattr },
	{ "utimensat", make_utimensat },
	{ "locks", make_locks },
	{ "new-mount", make_new_mount },
	{ "mount", make_mount },
	{ NULL, NULL },
};
