#include "guest_calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

long made(long result)
{
	return result == -1 ? -errno : result;
}

void tell(const char *label, long result)
{
	printf("%s %ld\n", label, result);
}

void tell_success(const char *label, long result)
{
	if (result < 0)
		tell(label, result);
	else
		printf("%s fine\n", label);
}

void tell_bytes(const char *label, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	printf("%s ", label);
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

static int run(const struct guest_case *cases, const char *name)
{
	for (; cases->name; cases++) {
		if (strcmp(cases->name, name) != 0)
			continue;
		cases->run();
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	return run(guest_file_cases, argv[1]) || run(guest_socket_cases, argv[1]) ||
			       run(guest_wait_cases, argv[1]) || run(guest_kernel_cases, argv[1])
		       ? 0
		       : 2;
}
