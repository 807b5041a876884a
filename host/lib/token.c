#include "host/lib/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

int token_make(uint8_t token[PROVIUM_TOKEN_SIZE], struct provium_error *error)
{
	/* So few bytes come as a whole or not at all (getrandom(2)). */
	if (getrandom(token, PROVIUM_TOKEN_SIZE, 0) != PROVIUM_TOKEN_SIZE)
		return error_set(error, PROVIUM_HOST, errno, "a random token");
	return 0;
}

int token_write(const char *path, const uint8_t token[PROVIUM_TOKEN_SIZE],
		struct provium_error *error)
{
	cleanup_close int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(error, errno == EEXIST ? PROVIUM_INVALID : PROVIUM_HOST, errno,
				 "token '%s'", path);
	if (write(fd, token, PROVIUM_TOKEN_SIZE) != PROVIUM_TOKEN_SIZE) {
		error_set(error, PROVIUM_HOST, errno, "write token '%s'", path);
		unlink(path);
		return -1;
	}
	return 0;
}

/* What is read is sent to a guest: no link leads to another file, and nobody else knows it. */
static int check(int fd, const char *path, struct provium_error *error)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "token '%s'", path);
	if (!S_ISREG(status.st_mode))
		return error_set(error, PROVIUM_INVALID, 0, "token '%s' is not a regular file",
				 path);
	if (status.st_uid != geteuid())
		return error_set(error, PROVIUM_INVALID, 0,
				 "token '%s' belongs to another user: take a copy of your own",
				 path);
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(error, PROVIUM_INVALID, 0,
				 "token '%s' may be used by others: chmod 600, or make a new one",
				 path);
	if (status.st_size != PROVIUM_TOKEN_SIZE)
		return error_set(error, PROVIUM_INVALID, 0,
				 "token '%s' has %lld bytes, a token has %d (head -c %d "
				 "/dev/urandom)",
				 path, (long long)status.st_size, PROVIUM_TOKEN_SIZE,
				 PROVIUM_TOKEN_SIZE);
	return 0;
}

int provium_token_read(const char *path, unsigned char token[PROVIUM_TOKEN_SIZE],
		       struct provium_error *error)
{
	/* A FIFO would make open() wait. */
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ELOOP)
		return error_set(error, PROVIUM_INVALID, 0, "token '%s' is a symbolic link", path);
	if (fd < 0)
		return error_set(error, errno == ENOENT ? PROVIUM_NOT_FOUND : PROVIUM_HOST, errno,
				 "token '%s'", path);
	if (check(fd, path, error) < 0)
		return -1;
	if (read(fd, token, PROVIUM_TOKEN_SIZE) != PROVIUM_TOKEN_SIZE)
		return error_set(error, PROVIUM_HOST, errno, "read token '%s'", path);
	return 0;
}

int token_find(const struct address *address, uint8_t token[PROVIUM_TOKEN_SIZE],
	       struct provium_error *error)
{
	char path[TOKEN_PATH_SIZE];
	struct provium_error failure;

	if (address->kind != ADDRESS_HYBRID)
		return 0;
	snprintf(path, sizeof(path), "%s" TOKEN_SUFFIX, address->path);
	if (provium_token_read(path, token, &failure) == 0)
		return 1;
	return failure.code == PROVIUM_NOT_FOUND ? 0 : error_copy(error, &failure);
}
