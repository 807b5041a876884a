/*
 * Writes so many bytes to standard output and, at the same time, as many to standard error: 64-bit
 * little-endian numbers that count up from 0, so that what is lost, doubled or out of order shows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_numbers(int fd, uint64_t bytes)
{
	static uint64_t block[8192];

	for (uint64_t next = 0; next < bytes / sizeof(uint64_t);) {
		size_t done = 0;

		for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++)
			block[i] = next++;
		while (done < sizeof(block)) {
			ssize_t count = write(fd, (char *)block + done, sizeof(block) - done);

			if (count <= 0)
				return 1;
			done += (size_t)count;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		return write_numbers(STDERR_FILENO, bytes);
	if (write_numbers(STDOUT_FILENO, bytes) != 0 || waitpid(child, &status, 0) != child)
		return 1;
	return status != 0;
}
