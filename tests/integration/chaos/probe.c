#include "tests/integration/chaos/probe.h"

#include <unistd.h>

#include "tests/integration/chaos/look.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define PAUSE_US 20000

static void *run(void *argument)
{
	struct probe *probe = argument;
	struct provium_connection *connection = NULL;
	uint64_t start, took;

	for (; !probe->stopped; usleep(PAUSE_US)) {
		start = machine_now_ms();
		if (!connection &&
		    provium_connect(probe->address, SOON, &connection, &probe->error) < 0) {
			probe->failed = true;
			break;
		}
		if (provium_ping(connection, SOON, &probe->error) < 0) {
			if (probe->error.code != PROVIUM_DISCONNECTED) {
				probe->failed = true;
				break;
			}
			provium_connection_free(connection);
			connection = NULL;
			probe->losses++;
		} else {
			probe->pings++;
		}
		took = machine_now_ms() - start;
		if (took > probe->slowest_ms)
			probe->slowest_ms = took;
	}
	provium_connection_free(connection);
	return NULL;
}

void probe_start(struct probe *probe, const char *address)
{
	probe->address = address;
	probe->stopped = false;
	ck_assert_int_eq(pthread_create(&probe->thread, NULL, run, probe), 0);
}

void probe_stop(struct probe *probe)
{
	probe->stopped = true;
	pthread_join(probe->thread, NULL);
}
