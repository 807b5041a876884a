/*
 * Asks /dev/provium-test for what its arguments say, as a command in the guest:
 *
 *     guest-test splat KIND [LATER_MS] | sleep MS | wake
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kmod/provium_test.h"

int main(int argc, char **argv)
{
	int fd = open("/dev/provium-test", O_RDWR | O_CLOEXEC);
	unsigned int number = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;
	struct provium_test_splat splat = {
		.kind = number,
		.later_ms = argc > 3 ? (unsigned int)atoi(argv[3]) : 0,
	};

	if (fd < 0 || argc < 2)
		return 2;
	if (strcmp(argv[1], "splat") == 0)
		return ioctl(fd, PROVIUM_TEST_SPLAT, &splat) != 0;
	if (strcmp(argv[1], "sleep") == 0)
		return ioctl(fd, PROVIUM_TEST_SLEEP, &number) != 0;
	if (strcmp(argv[1], "wake") == 0)
		return ioctl(fd, PROVIUM_TEST_WAKE) != 0;
	return 2;
}
