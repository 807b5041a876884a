/*
 * pack AGENT PACKED: packs the agent for the shim (common/boot.h). A program of the build.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4hc.h>

#include "common/boot.h"

static int fail(const char *path)
{
	fprintf(stderr, "pack: %s: %s\n", path, strerror(errno));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static uint8_t unpacked[BOOT_AGENT_MAX];
	static uint8_t packed[BOOT_PACKED_HEADER + LZ4_COMPRESSBOUND(BOOT_AGENT_MAX)];
	FILE *from, *to;
	size_t size;
	int count;

	if (argc != 3) {
		fputs("usage: pack AGENT PACKED\n", stderr);
		return EXIT_FAILURE;
	}
	from = fopen(argv[1], "rbe");
	if (!from)
		return fail(argv[1]);
	size = fread(unpacked, 1, sizeof(unpacked), from);
	if (ferror(from))
		return fail(argv[1]);
	errno = EFBIG;
	if (fgetc(from) != EOF)
		return fail(argv[1]);
	fclose(from);

	for (unsigned int i = 0; i < BOOT_PACKED_HEADER; i++)
		packed[i] = (uint8_t)(size >> 8 * i);
	count = LZ4_compress_HC((const char *)unpacked, (char *)packed + BOOT_PACKED_HEADER,
				(int)size, (int)sizeof(packed) - BOOT_PACKED_HEADER,
				LZ4HC_CLEVEL_MAX);
	to = fopen(argv[2], "wbe");
	if (!to || count <= 0 ||
	    fwrite(packed, 1, BOOT_PACKED_HEADER + (size_t)count, to) !=
		    BOOT_PACKED_HEADER + (size_t)count ||
	    fclose(to) != 0)
		return fail(argv[2]);
	return EXIT_SUCCESS;
}
