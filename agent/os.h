/*
 * System calls that tests must be able to make fail, or fuzzers to keep from the machine: link
 * another os.c to replace them. As in their man pages, but that EINTR is retried.
 */
#ifndef AGENT_OS_H
#define AGENT_OS_H

#include <sys/socket.h>
#include <sys/types.h>

int os_accept(int fd, struct sockaddr *address, socklen_t *length, int flags);
int os_open(const char *path, int flags, mode_t mode);
ssize_t os_read(int fd, void *data, size_t size);
ssize_t os_write(int fd, const void *data, size_t size);
ssize_t os_receive(int fd, void *data, size_t size);
ssize_t os_send(int fd, const struct msghdr *message);
int os_fsync(int fd);
int os_rename(const char *from, const char *to, unsigned int flags);
int os_unlink(const char *path);

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

#endif
