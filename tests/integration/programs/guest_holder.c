/*
 * Holds a lock for others to wait for, until it is killed: a futex with priority inheritance
 * (futex(2), FUTEX_LOCK_PI) in the first bytes of a file.
 *
 *     holder FILE
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	void *word;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return 1;
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (word == MAP_FAILED || syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, NULL, NULL, 0) < 0)
		return 1;
	if (write(STDOUT_FILENO, "held\n", 5) != 5)
		return 1;
	for (;;)
		pause();
}
