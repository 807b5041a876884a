#include "tests/integration/boot/guest.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static struct provium_error error;

void guest_put(struct provium_connection *connection, const char *path, const char *text)
{
	const struct provium_write_options options = { .mode = 0755 };

	ck_assert_msg(provium_write_file_memory(connection, path, &options, text, strlen(text),
						GUEST_MS, &error) == 0,
		      "%s", error.message);
}

bool guest_holds(struct provium_connection *connection, const char *path, const char *text)
{
	struct provium_buffer buffer;
	bool same;

	if (provium_read_file_memory(connection, path, 65536, GUEST_MS, &buffer, &error) < 0) {
		ck_assert_msg(error.code == PROVIUM_GUEST, "%d: %s", error.code, error.message);
		return false;
	}
	same = buffer.size == strlen(text) && memcmp(buffer.data, text, buffer.size) == 0;
	free(buffer.data);
	return same;
}

void guest_await(struct provium_connection *connection, const char *path, const char *text)
{
	uint64_t end = machine_now_ms() + GUEST_MS;

	while (!guest_holds(connection, path, text)) {
		ck_assert_msg(machine_now_ms() < end, "%s does not become \"%s\"", path, text);
		poll(NULL, 0, 20);
	}
}
