/* What a partition is called, by its disk's table. */
#include "wrapper/partuuid.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

static int disk;

static void start(void)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(disk, 1 << 20), 0);
}

static void finish(void)
{
	close(disk);
}

static void put(const void *data, size_t size, off_t offset)
{
	ck_assert_int_eq(pwrite(disk, data, size, offset), (ssize_t)size);
}

/* A protective MBR, a header in the second sector, entries where it says. */
static void put_gpt(off_t sector, uint64_t lba, uint32_t count, uint32_t size)
{
	static const uint8_t mbr[512] = { [440] = 1, 2, 3, 4, [510] = 0x55, 0xaa };
	uint8_t header[92] = "EFI PART";

	memcpy(header + 72, &lba, sizeof(lba));
	memcpy(header + 80, &count, sizeof(count));
	memcpy(header + 84, &size, sizeof(size));
	put(mbr, sizeof(mbr), 0);
	put(header, sizeof(header), sector);
}

static const uint8_t uuid[16] = { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
				  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
#define UUID "00112233-4455-6677-8899-aabbccddeeff"

START_TEST(gpt)
{
	put_gpt(512, 2, 128, 128);
	put(uuid, sizeof(uuid), 2 * 512 + 2 * 128 + 16);
	ck_assert(partuuid_is(disk, 3, 512, UUID));
	ck_assert(partuuid_is(disk, 3, 512, "00112233-4455-6677-8899-AABBCCDDEEFF"));
	ck_assert(!partuuid_is(disk, 2, 512, UUID));
	ck_assert(!partuuid_is(disk, 3, 512, "00112233-4455-6677-8899-aabbccddeefe"));
	ck_assert(!partuuid_is(disk, 3, 512, ""));
	/* What stands in its MBR is no name of its partitions. */
	ck_assert(!partuuid_is(disk, 3, 512, "04030201-03"));
}
END_TEST

/* The table's own numbers are not the usual ones. */
START_TEST(gpt_of_another_form)
{
	put_gpt(4096, 5, 4, 256);
	put(uuid, sizeof(uuid), 5 * 4096 + 3 * 256 + 16);
	ck_assert(partuuid_is(disk, 4, 4096, UUID));
	ck_assert(!partuuid_is(disk, 4, 512, UUID));
	put(uuid, sizeof(uuid), 5 * 4096 + 4 * 256 + 16);
	ck_assert(!partuuid_is(disk, 5, 4096, UUID));
	ck_assert(!partuuid_is(disk, 0, 4096, UUID));
}
END_TEST

/* Numbers that lead nowhere. */
START_TEST(gpt_of_nonsense)
{
	static const uint64_t places[] = { UINT64_MAX, INT64_MAX, INT64_MAX / 512, 1 << 30 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		put_gpt(512, places[i], UINT32_MAX, UINT32_MAX);
		ck_assert(!partuuid_is(disk, 1, 512, UUID));
		ck_assert(!partuuid_is(disk, 9999, 512, UUID));
	}
}
END_TEST

START_TEST(mbr)
{
	static const uint8_t sector[512] = { [440] = 0x0d, 0xf0, 0xad, 0x0b, [510] = 0x55, 0xaa };

	ck_assert(!partuuid_is(disk, 1, 512, "00000000-01"));
	put(sector, sizeof(sector), 0);
	ck_assert(partuuid_is(disk, 1, 512, "0badf00d-01"));
	ck_assert(partuuid_is(disk, 17, 512, "0BADF00D-11"));
	ck_assert(!partuuid_is(disk, 2, 512, "0badf00d-01"));
	ck_assert(!partuuid_is(disk, 257, 512, "0badf00d-01"));
	ck_assert_int_eq(ftruncate(disk, 100), 0);
	ck_assert(!partuuid_is(disk, 1, 512, "0badf00d-01"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wrapper-partuuid");
	TCase *tcase = unit_counted_case("tables");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, gpt);
	tcase_add_test(tcase, gpt_of_another_form);
	tcase_add_test(tcase, gpt_of_nonsense);
	tcase_add_test(tcase, mbr);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
