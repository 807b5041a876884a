/*
 * System calls that tests must be able to make fail, or fuzzers to keep from the machine: link
 * another os.c to replace them. As in their man pages, but that EINTR is retried.
 */
#ifndef AGENT_OS_H
#define AGENT_OS_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

struct statx;

int os_accept(int fd, struct sockaddr *address, socklen_t *length, int flags);
int os_open(const char *path, int flags, mode_t mode);
ssize_t os_read(int fd, void *data, size_t size);
ssize_t os_write(int fd, const void *data, size_t size);
ssize_t os_pread(int fd, void *data, size_t size, off_t offset);
ssize_t os_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t os_receive(int fd, void *data, size_t size);
ssize_t os_send(int fd, const struct msghdr *message);
int os_fsync(int fd);

/* openat(2), not to create. */
int os_openat(int dir, const char *name, int flags);

/* detached_mount() of common/detached.h. */
int os_detached(const char *fstype);

/*
 * clone(2) of a child that runs function, which must not return, on the stack that ends at
 * stack_end; with a cgroup that is not -1 clone3(2), into that group.
 */
int os_clone(int (*function)(void *), void *stack_end, int flags, void *argument, int *pidfd,
	     int cgroup);

/*
 * syscall(2) for what works on names, so that a single function stands before all of it: -1 and
 * errno. Those below are made of it; some of them musl lacks.
 */
long os_call(long number, long a, long b, long c, long d, long e);

static inline int os_rename(const char *from, const char *to, unsigned int flags)
{
	return (int)os_call(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, flags);
}

static inline int os_unlinkat(int dir, const char *name, int flags)
{
	return (int)os_call(SYS_unlinkat, dir, (long)name, flags, 0, 0);
}

static inline int os_statx(int dir, const char *name, int flags, unsigned int mask,
			   struct statx *status)
{
	return (int)os_call(SYS_statx, dir, (long)name, flags, mask, (long)status);
}

/* openat2(2): how is a struct open_how. */
static inline int os_openat2(int dir, const char *name, const void *how, size_t size)
{
	return (int)os_call(SYS_openat2, dir, (long)name, (long)how, (long)size, 0);
}

/* getdents64(2). */
static inline ssize_t os_list(int fd, void *entries, size_t size)
{
	return os_call(SYS_getdents64, fd, (long)entries, (long)size, 0, 0);
}

static inline int os_mkdir(const char *path, mode_t mode)
{
	return (int)os_call(SYS_mkdirat, AT_FDCWD, (long)path, mode, 0, 0);
}

static inline int os_symlink(const char *target, const char *path)
{
	return (int)os_call(SYS_symlinkat, (long)target, AT_FDCWD, (long)path, 0, 0);
}

static inline ssize_t os_readlink(int dir, const char *path, void *target, size_t size)
{
	return os_call(SYS_readlinkat, dir, (long)path, (long)target, (long)size, 0);
}

static inline int os_chmod(const char *path, mode_t mode)
{
	return (int)os_call(SYS_fchmodat, AT_FDCWD, (long)path, mode, 0, 0);
}

static inline int os_chown(const char *path, uid_t uid, gid_t gid, int flags)
{
	return (int)os_call(SYS_fchownat, AT_FDCWD, (long)path, uid, gid, flags);
}

static inline int os_fchmod(int fd, mode_t mode)
{
	return (int)os_call(SYS_fchmod, fd, mode, 0, 0, 0);
}

static inline int os_fchown(int fd, uid_t uid, gid_t gid)
{
	return (int)os_call(SYS_fchown, fd, uid, gid, 0, 0);
}

static inline int os_fchdir(int fd)
{
	return (int)os_call(SYS_fchdir, fd, 0, 0, 0, 0);
}

static inline int os_mount(const char *source, const char *target, const char *fstype,
			   unsigned long flags, const void *data)
{
	return (int)os_call(SYS_mount, (long)source, (long)target, (long)fstype, (long)flags,
			    (long)data);
}

static inline int os_umount(const char *target, unsigned int flags)
{
	return (int)os_call(SYS_umount2, (long)target, flags, 0, 0, 0);
}

static inline int os_inotify(int flags)
{
	return (int)os_call(SYS_inotify_init1, flags, 0, 0, 0, 0);
}

static inline int os_inotify_watch(int inotify, const char *path, unsigned int mask)
{
	return (int)os_call(SYS_inotify_add_watch, inotify, (long)path, mask, 0, 0);
}

#endif
