#include "wrapper/partuuid.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/util.h"

/* The specification of UEFI, 5.3: offsets in the header, and in an entry. */
#define GPT_SIGNATURE   "EFI PART"
#define GPT_ENTRIES_LBA 72
#define GPT_COUNT       80
#define GPT_ENTRY_SIZE  84
#define GPT_HEADER_SIZE 92
#define GPT_UUID        16

#define MBR_SIZE        512
#define MBR_DISK        440
#define MBR_END         510

static uint64_t little_endian(const uint8_t *bytes, unsigned int count)
{
	uint64_t value = 0;

	while (count-- > 0)
		value = value << 8 | bytes[count];
	return value;
}

static char *put_hex(char *at, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*at++ = digits[byte >> 4];
	*at++ = digits[byte & 15];
	return at;
}

/* The first three groups are numbers, which stand with their lowest byte first. */
static bool is_uuid(const uint8_t bytes[16], const char *uuid)
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	char text[37];
	char *at = text;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at = put_hex(at, bytes[order[i]]);
	}
	*at = '\0';
	return strcasecmp(text, uuid) == 0;
}

static bool is_signature(const uint8_t *disk, unsigned int number, const char *uuid)
{
	char text[12];
	char *at = text;

	for (int i = 3; i >= 0; i--)
		at = put_hex(at, disk[i]);
	*at++ = '-';
	at = put_hex(at, (uint8_t)number);
	*at = '\0';
	return strcasecmp(text, uuid) == 0;
}

static bool read_at(int disk, void *data, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX && pread(disk, data, size, (off_t)offset) == (ssize_t)size;
}

bool partuuid_is(int disk, unsigned int number, unsigned int sector, const char *uuid)
{
	uint8_t header[GPT_HEADER_SIZE], entry[16], mbr[MBR_SIZE];
	uint64_t size, lba;

	if (read_at(disk, header, sizeof(header), sector) &&
	    memcmp(header, GPT_SIGNATURE, strlen(GPT_SIGNATURE)) == 0) {
		lba = little_endian(header + GPT_ENTRIES_LBA, 8);
		size = little_endian(header + GPT_ENTRY_SIZE, 4);
		return number >= 1 && number <= little_endian(header + GPT_COUNT, 4) &&
		       lba <= INT64_MAX / sector &&
		       read_at(disk, entry, sizeof(entry),
			       lba * sector + (number - 1) * size + GPT_UUID) &&
		       is_uuid(entry, uuid);
	}
	return number <= UINT8_MAX && read_at(disk, mbr, sizeof(mbr), 0) && mbr[MBR_END] == 0x55 &&
	       mbr[MBR_END + 1] == 0xaa && is_signature(mbr + MBR_DISK, number, uuid);
}
