/* Clean-up attributes: what a scope owns is released when the scope is left, on every path. */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes fd unless it is negative; errno survives. Always returns -1, to be assigned back. */
static inline int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_free_ptr(void *ptr)
{
	free(*(void **)ptr);
}

static inline void cleanup_close_fd(int *fd)
{
	*fd = close_fd(*fd);
}

/* errno survives. */
static inline void cleanup_close_dir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

#define cleanup_free  __attribute__((__cleanup__(cleanup_free_ptr)))
#define cleanup_close __attribute__((__cleanup__(cleanup_close_fd)))
#define cleanup_dir   __attribute__((__cleanup__(cleanup_close_dir)))
#define cleanup(func) __attribute__((__cleanup__(func)))

/* Moves the ownership of an fd out of a variable that cleanup_close guards. */
static inline int steal_fd(int *fd)
{
	int moved = *fd;

	*fd = -1;
	return moved;
}

/* Moves the ownership of a pointer out of a variable that cleanup_free guards. */
#define steal_ptr(ptr)                              \
	({                                          \
		__typeof__(*(ptr)) moved_ = *(ptr); \
		*(ptr) = NULL;                      \
		moved_;                             \
	})

#endif
