/*
 * Disturbances of a guest, one after the other, while its agent is to serve.
 *
 * A disturbance itself wants what must be so while it lasts and of what it does. chaos.c wants what
 * must be so after each: that the agent answers, runs commands and has files right; that its server
 * was started again just as often as it was killed; that the kernel has reported no fault; and that
 * descriptors, processes and memory are as they were. All the while another connection gets its
 * PING answered.
 */
#ifndef TESTS_CHAOS_CHAOS_H
#define TESTS_CHAOS_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "tests/integration/chaos/look.h"
#include "tests/integration/chaos/probe.h"

struct chaos {
	struct provium_vm *vm;
	/* To the main agent; not the VM's own, which cannot be made again. */
	struct provium_connection *connection;
	/* Whether the VM's own is there still. */
	bool own;
	char socket[96];
	char address[112];
	unsigned int cpus;
	struct probe probe;
	/* At the beginning. */
	struct look base;
	/* How often the server was killed since the boot. */
	unsigned int kills;
	/* The last event of the kernel's that the connection knew of. */
	uint64_t event;
	/* What the disturbance has seen, in a few words. */
	char note[256];
};

/* Wants a ping answered, a command's output and a file's content right. */
void chaos_served(struct chaos *chaos);

/* A connection to the agent after the one before has ended. */
void chaos_reconnect(struct chaos *chaos);

void chaos_memory(struct chaos *chaos);
void chaos_forks(struct chaos *chaos);
void chaos_fds(struct chaos *chaos);
void chaos_disk(struct chaos *chaos);

void chaos_clock(struct chaos *chaos);
void chaos_hogs(struct chaos *chaos);
void chaos_qemu(struct chaos *chaos);
void chaos_snapshot(struct chaos *chaos);

void chaos_server(struct chaos *chaos);
void chaos_supervisor(struct chaos *chaos);
void chaos_workers(struct chaos *chaos);

void chaos_slow_host(struct chaos *chaos);
void chaos_stuck_host(struct chaos *chaos);
void chaos_leaving_hosts(struct chaos *chaos);
void chaos_connects(struct chaos *chaos);

#endif
