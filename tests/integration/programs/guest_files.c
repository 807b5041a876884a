/* Files and mounts. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "guest_calls.h"

#define FILE_PATH "/tmp/calls-file"
#define LINK_PATH "/tmp/calls-link"
#define DIRECTORY "/tmp/calls-directory"

/* linux/mount.h, which sys/mount.h of musl cannot stand beside. */
#ifndef FSCONFIG_SET_STRING
#define FSCONFIG_SET_STRING 1
#define FSCONFIG_CMD_CREATE 6
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#define MOUNT_ATTR_NODEV        4
#endif

static int open_file(void)
{
	return open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

static void run_openat2(void)
{
	struct open_how how = { .flags = O_RDWR | O_CREAT, .mode = 0640 };
	struct open_how strict = { .flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS };

	tell_success("openat2", CALL(SYS_openat2, AT_FDCWD, FILE_PATH, &how, sizeof(how)));
	symlink(FILE_PATH, LINK_PATH);
	tell("openat2 of a link", CALL(SYS_openat2, AT_FDCWD, LINK_PATH, &strict, sizeof(strict)));
	unlink(LINK_PATH);
	unlink(FILE_PATH);
}

static void run_paths(void)
{
	tell("mkdirat", CALL(SYS_mkdirat, AT_FDCWD, DIRECTORY, 0755));
	tell("mkdirat again", CALL(SYS_mkdirat, AT_FDCWD, DIRECTORY, 0755));
	tell("renameat2", CALL(SYS_renameat2, AT_FDCWD, DIRECTORY, AT_FDCWD, LINK_PATH, 1));
	tell("unlinkat", CALL(SYS_unlinkat, AT_FDCWD, LINK_PATH, AT_REMOVEDIR));
	tell("unlinkat again", CALL(SYS_unlinkat, AT_FDCWD, LINK_PATH, AT_REMOVEDIR));
}

static void run_readlinkat(void)
{
	char target[32] = "";

	tell("symlinkat", CALL(SYS_symlinkat, "some/where", AT_FDCWD, LINK_PATH));
	tell("readlinkat", CALL(SYS_readlinkat, AT_FDCWD, LINK_PATH, target, sizeof(target)));
	tell_bytes("target", target, sizeof(target));
	unlink(LINK_PATH);
}

static void run_statx(void)
{
	struct statx status = { 0 };

	tell("statx", CALL(SYS_statx, AT_FDCWD, "/holder", 0, STATX_BASIC_STATS, &status));
	/* Up to the times. */
	tell_bytes("status", &status, offsetof(struct statx, stx_atime));
}

static void run_getdents64(void)
{
	char entries[4096] = { 0 };
	int fd = open("/bin", O_RDONLY | O_DIRECTORY);

	tell("getdents64", CALL(SYS_getdents64, fd, entries, sizeof(entries)));
	tell_bytes("entries", entries, sizeof(entries));
}

static void run_vectors(void)
{
	char first[3] = "abc", second[7] = "defghij", back[2][6] = { "", "" };
	struct iovec out[] = { { first, 3 }, { second + 2, 4 }, { first, 2 } };
	struct iovec in[] = { { back[1], 4 }, { back[0] + 1, 5 } };
	int fd = open_file();

	tell("writev", CALL(SYS_writev, fd, out, 3));
	lseek(fd, 0, SEEK_SET);
	tell("readv", CALL(SYS_readv, fd, in, 2));
	tell_bytes("read", back, sizeof(back));
	unlink(FILE_PATH);
}

static void run_positioned_vectors(void)
{
	char data[] = "0123456789", back[8] = "";
	struct iovec out = { data, 10 }, in = { back, 8 };
	int fd = open_file();

	tell("pwritev2", CALL(SYS_pwritev2, fd, &out, 1, 1000L, 0L, 0));
	tell("preadv2", CALL(SYS_preadv2, fd, &in, 1, 1004L, 0L, 0));
	tell_bytes("read", back, sizeof(back));
	unlink(FILE_PATH);
}

static void run_copy_file_range(void)
{
	int from = open_file(), to = open(LINK_PATH, O_RDWR | O_CREAT, 0600);
	int64_t from_offset = 2, to_offset = 100;
	char back[16] = "";

	write(from, "copy this text", 14);
	tell("copy_file_range",
	     CALL(SYS_copy_file_range, from, &from_offset, to, &to_offset, 7L, 0));
	tell_bytes("offset from", &from_offset, 8);
	tell_bytes("offset to", &to_offset, 8);
	pread(to, back, sizeof(back), 100);
	tell_bytes("copied", back, sizeof(back));
	unlink(FILE_PATH);
	unlink(LINK_PATH);
}

static void run_vmsplice(void)
{
	char first[] = "spliced", second[] = "text", back[16] = "";
	struct iovec pieces[] = { { first + 2, 5 }, { second, 4 } };
	int ends[2];

	pipe(ends);
	tell("vmsplice", CALL(SYS_vmsplice, ends[1], pieces, 2, 0));
	tell("read", read(ends[0], back, sizeof(back)));
	tell_bytes("read", back, sizeof(back));
}

static void run_fallocate(void)
{
	int fd = open_file();

	tell("fallocate", CALL(SYS_fallocate, fd, 0, 8192L, 4096L));
	tell("pwrite64", CALL(SYS_pwrite64, fd, "x", 1L, 9000L));
	tell("SEEK_DATA", CALL(SYS_lseek, fd, 0L, SEEK_DATA));
	tell("SEEK_END", CALL(SYS_lseek, fd, -5L, SEEK_END));
	unlink(FILE_PATH);
}

static void run_xattr(void)
{
	char value[16] = "", names[64] = "";

	close(open_file());
	tell("setxattr", CALL(SYS_setxattr, FILE_PATH, "trusted.some", "value", 5L, 0));
	tell("getxattr", CALL(SYS_getxattr, FILE_PATH, "trusted.some", value, sizeof(value)));
	tell_bytes("value", value, sizeof(value));
	tell("listxattr", CALL(SYS_listxattr, FILE_PATH, names, sizeof(names)));
	tell_bytes("names", names, sizeof(names));
	unlink(FILE_PATH);
}

static void run_utimensat(void)
{
	struct timespec times[2] = { { 1000000000, 5 }, { 1234567890, 123456789 } };
	struct stat status = { 0 };

	close(open_file());
	tell("utimensat", CALL(SYS_utimensat, AT_FDCWD, FILE_PATH, times, 0));
	tell("newfstatat", CALL(SYS_newfstatat, AT_FDCWD, FILE_PATH, &status, 0));
	tell_bytes("times", &status.st_atim, 2 * sizeof(struct timespec));
	unlink(FILE_PATH);
}

static void run_locks(void)
{
	struct flock mine = { .l_type = F_WRLCK, .l_start = 10, .l_len = 20 };
	struct flock theirs = { .l_type = F_RDLCK, .l_start = 25, .l_len = 100 };
	int first = open_file(), second = open(FILE_PATH, O_RDWR);

	tell("F_OFD_SETLK", CALL(SYS_fcntl, first, F_OFD_SETLK, &mine));
	tell("F_OFD_GETLK", CALL(SYS_fcntl, second, F_OFD_GETLK, &theirs));
	tell_bytes("lock", &theirs, sizeof(theirs));
	unlink(FILE_PATH);
}

static void run_new_mount(void)
{
	int fs, mount_fd;
	struct statfs status = { 0 };

	mkdir(DIRECTORY, 0755);
	fs = (int)CALL(SYS_fsopen, "tmpfs", 0);
	tell_success("fsopen", fs);
	tell("fsconfig", CALL(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "1M", 0));
	tell("FSCONFIG_CMD_CREATE", CALL(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	mount_fd = (int)CALL(SYS_fsmount, fs, 0, MOUNT_ATTR_NODEV);
	tell_success("fsmount", mount_fd);
	tell("move_mount",
	     CALL(SYS_move_mount, mount_fd, "", AT_FDCWD, DIRECTORY, MOVE_MOUNT_F_EMPTY_PATH));
	tell("statfs", CALL(SYS_statfs, DIRECTORY, &status));
	/* Type, block size, blocks, those that are free and available. */
	tell_bytes("status", &status, 40);
	close(mount_fd);
	close(fs);
	tell("umount2", CALL(SYS_umount2, DIRECTORY, 0));
	rmdir(DIRECTORY);
}

static void run_mount(void)
{
	struct statfs status = { 0 };

	mkdir(DIRECTORY, 0755);
	tell("mount", CALL(SYS_mount, "nothing", DIRECTORY, "tmpfs", (long)MS_NOSUID,
			   "size=8k,nr_inodes=7"));
	tell("statfs", CALL(SYS_statfs, DIRECTORY, &status));
	tell_bytes("status", &status, 56);
	tell("umount2", CALL(SYS_umount2, DIRECTORY, MNT_DETACH));
	tell("umount2 again", CALL(SYS_umount2, DIRECTORY, MNT_DETACH));
	rmdir(DIRECTORY);
}

const struct guest_case guest_file_cases[] = {
	{ "openat2", run_openat2 },
	{ "paths", run_paths },
	{ "readlinkat", run_readlinkat },
	{ "statx", run_statx },
	{ "getdents64", run_getdents64 },
	{ "vectors", run_vectors },
	{ "positioned-vectors", run_positioned_vectors },
	{ "copy_file_range", run_copy_file_range },
	{ "vmsplice", run_vmsplice },
	{ "fallocate", run_fallocate },
	{ "xattr", run_xattr },
	{ "utimensat", run_utimensat },
	{ "locks", run_locks },
	{ "new-mount", run_new_mount },
	{ "mount", run_mount },
	{ NULL, NULL },
};
