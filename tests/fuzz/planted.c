/*
 * For test_campaign.py: faults that any fuzzer finds at once. PLANTED says which there are: each of
 * its characters makes the inputs that begin with it crash, each in a place of its own.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((noinline)) static void first_fault(void)
{
	abort();
}

__attribute__((noinline)) static void second_fault(void)
{
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *planted = getenv("PLANTED");

	const char *found;

	if (!planted || size == 0 || data[0] == 0)
		return 0;
	found = strchr(planted, data[0]);
	if (found == planted)
		first_fault();
	if (found)
		second_fault();
	return 0;
}
