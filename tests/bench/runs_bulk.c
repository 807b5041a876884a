#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "common/util.h"
#include "tests/bench/runs.h"

static int sink(void *user, const void *data, size_t size)
{
	(void)user;
	(void)data;
	(void)size;
	return 0;
}

/* Zeros. */
static ptrdiff_t source(void *user, void *data, size_t size)
{
	uint64_t *left = user;
	size_t count = (size_t)MIN(*left, (uint64_t)size);

	memset(data, 0, count);
	*left -= count;
	return (ptrdiff_t)count;
}

static void check_bytes(const char *what, uint64_t bytes)
{
	if (bytes != bulk_bytes)
		die("%s: %" PRIu64 " bytes", what, bytes);
}

void run_write(void)
{
	struct provium_error error;
	uint64_t left = bulk_bytes, bytes;

	check(provium_write_file(guest.connection, FLOOR_FILE, NULL, source, &left, RUN_TIMEOUT_MS,
				 &bytes, &error),
	      &error);
	check_bytes(FLOOR_FILE, bytes);
}

void run_raw_write(void)
{
	guest_exchange(&guest, FLOOR_WRITE, bulk_bytes);
}

void run_read(void)
{
	struct provium_error error;
	uint64_t bytes;

	check(provium_read_file(guest.connection, FLOOR_FILE, NULL, sink, NULL, RUN_TIMEOUT_MS,
				&bytes, &error),
	      &error);
	check_bytes(FLOOR_FILE, bytes);
}

void run_raw_read(void)
{
	guest_exchange(&guest, FLOOR_READ, bulk_bytes);
}

static void count(void *user, enum provium_stream stream, const void *data, size_t size)
{
	uint64_t *bytes = user;

	(void)stream;
	(void)data;
	*bytes += size;
}

void run_output(void)
{
	uint64_t received = 0;
	char bytes[24];
	const char *const argv[] = { GUEST_FLOOR, bytes, NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.on_output = count,
		.user = &received,
	};
	struct provium_exec_result result;
	struct provium_exec *command;
	struct provium_error error;

	snprintf(bytes, sizeof(bytes), "%" PRIu64, bulk_bytes);
	check(provium_exec_start(guest.connection, &options, &command, &error), &error);
	check(provium_exec_wait(command, RUN_TIMEOUT_MS, &result, &error), &error);
	provium_exec_free(command);
	check_bytes("output", received);
}

void run_raw_output(void)
{
	guest_exchange(&guest, FLOOR_OUTPUT, bulk_bytes);
}

void run_stream_out(void)
{
	guest_exchange(&guest, FLOOR_SINK, bulk_bytes);
}

void run_stream_in(void)
{
	guest_exchange(&guest, FLOOR_SOURCE, bulk_bytes);
}

void run_loopback(void)
{
	guest_exchange(&guest, FLOOR_LOOPBACK, bulk_bytes);
}
