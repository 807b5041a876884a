/*
 * What the guest's kernel says of paths, a line each: all fields of statx(2), in the form in which
 * vm_files.c writes down what the library says.
 *
 *     guest-statx PATH...    a link itself, not what it leads to
 *     guest-statx -a PATH    makes it append-only (ioctl_iflags(2))
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/statx.h"

static int make_append_only(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int flags = FS_APPEND_FL;

	return fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0;
}

static void print_time(const char *name, const struct statx_timestamp *time, bool is_there)
{
	if (is_there)
		printf(" %s %lld", name, time->tv_sec * 1000000000LL + time->tv_nsec);
}

static int print(const char *path)
{
	struct statx st;

	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW,
		    STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &st) < 0)
		return 1;
	printf("%s mask %x mode %o nlink %u uid %u gid %u ino %llu size %llu blocks %llu "
	       "blksize %u attributes %llx of %llx rdev %u:%u dev %u:%u",
	       path, st.stx_mask, st.stx_mode, st.stx_nlink, st.stx_uid, st.stx_gid, st.stx_ino,
	       st.stx_size, st.stx_blocks, st.stx_blksize, st.stx_attributes,
	       st.stx_attributes_mask, st.stx_rdev_major, st.stx_rdev_minor, st.stx_dev_major,
	       st.stx_dev_minor);
	print_time("atime", &st.stx_atime, (st.stx_mask & STATX_ATIME) != 0);
	print_time("btime", &st.stx_btime, (st.stx_mask & STATX_BTIME) != 0);
	print_time("ctime", &st.stx_ctime, (st.stx_mask & STATX_CTIME) != 0);
	print_time("mtime", &st.stx_mtime, (st.stx_mask & STATX_MTIME) != 0);
	if (st.stx_mask & STATX_MNT_ID)
		printf(" mount %llu", st.stx_mnt_id);
	putchar('\n');
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && strcmp(argv[1], "-a") == 0)
		return make_append_only(argv[2]);
	for (int i = 1; i < argc; i++)
		failed |= print(argv[i]);
	return failed;
}
