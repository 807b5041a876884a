/* A thread with a connection of its own that has the agent answer PING all the while. */
#ifndef TESTS_CHAOS_PROBE_H
#define TESTS_CHAOS_PROBE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "host/include/provium.h"

struct probe {
	const char *address;
	pthread_t thread;
	_Atomic bool stopped;
	_Atomic unsigned int pings;
	/* Connections that ended under it; it has made others. */
	_Atomic unsigned int losses;
	/* Since it was last asked. */
	_Atomic uint64_t slowest_ms;
	/* Once true, error says what is wrong, and the thread has ended. */
	_Atomic bool failed;
	struct provium_error error;
};

void probe_start(struct probe *probe, const char *address);
void probe_stop(struct probe *probe);

#endif
