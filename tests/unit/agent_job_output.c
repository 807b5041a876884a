/* What is kept of a job's output: the file in memory, alone. */
#include "agent/job_output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

#define PAGE ((size_t)4096)

static struct job_output output;
static uint64_t total;
static uint64_t written;

static void begin(uint64_t keep, uint64_t limit)
{
	/* Of others. */
	total = 1000;
	written = 0;
	job_output_init(&output, keep, limit, &total);
}

static void end(void)
{
	job_output_finish(&output);
	ck_assert_uint_eq(total, 1000);
}

/* Every byte of a stream tells its place. */
static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset % 251 ^ offset / 65536);
}

static void add(size_t size)
{
	static uint8_t data[MIB(1)];

	ck_assert_uint_le(size, sizeof(data));
	for (size_t i = 0; i < size; i++)
		data[i] = byte_at(written + i);
	job_output_add(&output, data, size);
	written += size;
}

/* Kept are the bytes from start to end. */
static void expect_kept(uint64_t start, uint64_t stop)
{
	static uint8_t data[MIB(1)];
	uint64_t at = 0;
	size_t size;

	ck_assert_uint_eq(output.bytes, written);
	ck_assert_uint_eq(output.end - output.start, stop - start);
	ck_assert_uint_eq(total, 1000 + stop - start);
	ck_assert_uint_eq(job_output_dropped(&output), written - (stop - start));
	while ((size = job_output_read(&output, &at, UINT64_MAX, data, sizeof(data))) > 0) {
		ck_assert_uint_ge(at, start);
		for (size_t i = 0; i < size; i++)
			if (data[i] != byte_at(at + i))
				ck_abort_msg("the byte at %llu is another",
					     (unsigned long long)(at + i));
		at += size;
	}
	if (stop > start)
		ck_assert_uint_eq(at, stop);
	ck_assert(!job_output_has(&output, stop, UINT64_MAX));
	ck_assert_int_eq(job_output_has(&output, 0, UINT64_MAX), stop > start);
}

/* Bytes of memory that the file takes. */
static uint64_t memory(void)
{
	struct stat status;

	ck_assert_int_eq(fstat(output.fd, &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

START_TEST(nothing)
{
	begin(KIB(64), UINT64_MAX);
	expect_kept(0, 0);
	job_output_drop(&output, 10);
	expect_kept(0, 0);
	ck_assert_int_eq(output.fd, -1);
	add(0);
	ck_assert_int_eq(output.fd, -1);
	end();
}
END_TEST

START_TEST(all)
{
	begin(KIB(64), UINT64_MAX);
	add(1);
	expect_kept(0, 1);
	add(KIB(64) - 2);
	add(1);
	expect_kept(0, KIB(64));
	/* And one more. */
	add(1);
	expect_kept(1, KIB(64) + 1);
	end();
}
END_TEST

/* Pieces of all sizes through a window of all sizes: the last bytes are there, and no others. */
START_TEST(last_bytes)
{
	static const size_t keeps[] = { 1, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, KIB(100) };
	uint64_t keep = keeps[_i];

	begin(keep, UINT64_MAX);
	for (size_t i = 0; i < 400; i++) {
		/* Without a pattern that a page could have. */
		add(i * 7919 % (i % 10 == 0 ? 70001 : 3001));
		expect_kept(written > keep ? written - keep : 0, written);
		/* Whole pages: one more at each end. */
		ck_assert(output.fd < 0 || memory() <= keep + 2 * PAGE);
	}
	end();
}
END_TEST

START_TEST(larger_than_what_is_kept)
{
	begin(KIB(10), UINT64_MAX);
	add(5);
	add(MIB(1));
	expect_kept(5 + MIB(1) - KIB(10), 5 + MIB(1));
	add(KIB(10));
	expect_kept(5 + MIB(1), 5 + MIB(1) + KIB(10));
	end();
}
END_TEST

START_TEST(keep_none)
{
	begin(0, UINT64_MAX);
	add(100);
	add(KIB(300));
	expect_kept(0, 0);
	ck_assert_int_eq(output.fd, -1);
	end();
}
END_TEST

/* Beyond the limit nothing is kept, and what was kept before stays. */
START_TEST(limited)
{
	begin(1000, 5000);
	add(4500);
	add(700);
	expect_kept(4000, 5000);
	add(100);
	expect_kept(4000, 5000);
	end();
	begin(1000, 0);
	add(100);
	expect_kept(0, 0);
	end();
}
END_TEST

START_TEST(dropped)
{
	begin(MIB(1), UINT64_MAX);
	add(KIB(100));
	job_output_drop(&output, 1);
	expect_kept(1, KIB(100));
	job_output_drop(&output, 50000);
	expect_kept(50001, KIB(100));
	ck_assert_uint_le(memory(), KIB(100) - 50001 + 2 * PAGE);
	job_output_drop(&output, UINT64_MAX);
	expect_kept(KIB(100), KIB(100));
	ck_assert_uint_eq(memory(), 0);
	/* It goes on where the stream is. */
	add(10);
	expect_kept(KIB(100), KIB(100) + 10);
	end();
}
END_TEST

START_TEST(read_in_parts)
{
	uint8_t data[100];
	uint64_t at = 0;

	begin(50, UINT64_MAX);
	add(80);
	ck_assert_uint_eq(job_output_read(&output, &at, 20, data, sizeof(data)), 0);
	ck_assert_uint_eq(at, 0);
	ck_assert_uint_eq(job_output_read(&output, &at, 40, data, sizeof(data)), 10);
	ck_assert_uint_eq(at, 30);
	ck_assert_uint_eq(data[0], byte_at(30));
	at = 60;
	ck_assert_uint_eq(job_output_read(&output, &at, UINT64_MAX, data, 7), 7);
	ck_assert_uint_eq(at, 60);
	ck_assert_uint_eq(data[6], byte_at(66));
	at = 80;
	ck_assert_uint_eq(job_output_read(&output, &at, UINT64_MAX, data, sizeof(data)), 0);
	at = 1000;
	ck_assert_uint_eq(job_output_read(&output, &at, UINT64_MAX, data, sizeof(data)), 0);
	ck_assert_uint_eq(at, 1000);
	end();
}
END_TEST

/* Far into a stream a file has only what is kept. */
START_TEST(far_offsets)
{
	begin(KIB(64), UINT64_MAX);
	output.bytes = output.start = output.end = written = (uint64_t)1 << 40;
	add(KIB(100));
	expect_kept(written - KIB(64), written);
	ck_assert_uint_le(memory(), KIB(64) + 2 * PAGE);
	end();
}
END_TEST

/* Without a file, and where it takes no more, bytes are dropped and counted. */
START_TEST(failures)
{
	const uint8_t more[1000] = { 0 };
	struct rlimit files, none;
	bool was_set;

	signal(SIGXFSZ, SIG_IGN);
	begin(KIB(64), UINT64_MAX);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	add(10);
	expect_kept(10, 10);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	add(1000);
	expect_kept(10, 1010);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &files), 0);
	none = files;
	none.rlim_cur = 1500;
	/* The limit is Check's, too, which writes to a file with each assertion. */
	was_set = setrlimit(RLIMIT_FSIZE, &none) == 0;
	job_output_add(&output, more, sizeof(more));
	written += sizeof(more);
	was_set &= setrlimit(RLIMIT_FSIZE, &files) == 0;
	ck_assert(was_set);
	expect_kept(2010, 2010);
	add(1000);
	expect_kept(2010, 3010);
	end();
}
END_TEST

/* A file that somebody has cut: its readers get to the end. */
START_TEST(cut_off)
{
	uint8_t data[100];
	uint64_t at = 0;

	begin(KIB(64), UINT64_MAX);
	add(50);
	ck_assert_int_eq(ftruncate(output.fd, 0), 0);
	ck_assert_uint_eq(job_output_read(&output, &at, UINT64_MAX, data, sizeof(data)), 0);
	ck_assert_uint_eq(at, 50);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: output of jobs");
	TCase *tcase = unit_counted_case("kept");

	tcase_add_test(tcase, nothing);
	tcase_add_test(tcase, all);
	tcase_add_loop_test(tcase, last_bytes, 0, 7);
	tcase_add_test(tcase, larger_than_what_is_kept);
	tcase_add_test(tcase, keep_none);
	tcase_add_test(tcase, limited);
	tcase_add_test(tcase, dropped);
	tcase_add_test(tcase, read_in_parts);
	tcase_add_test(tcase, far_offsets);
	tcase_add_test(tcase, failures);
	tcase_add_test(tcase, cut_off);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
