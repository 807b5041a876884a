/*
 * An initramfs of any content is judged without harm; one that is accepted begins as one does, and
 * one that is refused is refused with a reason.
 */
#include "shim/initrd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static struct provium_error error;
	struct names names = { 0 };
	int result;

	if (fd < 0)
		fd = memfd_create("initrd", MFD_CLOEXEC);
	require(ftruncate(fd, 0) == 0);
	require(pwrite(fd, data, size, 0) == (ssize_t)size);
	error = (struct provium_error){ 0 };
	result = initrd_check(fd, "image", size, NULL, &error);
	require(result == 0 || result == -1);
	if (result < 0)
		require(error.code == PROVIUM_INVALID && strstr(error.message, "image"));
	else
		require(size >= 4 && error.code == PROVIUM_OK);

	/* All of it: whoever accepts this accepts the beginning. */
	if (initrd_check(fd, "image", size, &names, &error) == 0)
		require(result == 0);
	names_finish(&names);
	return 0;
}
