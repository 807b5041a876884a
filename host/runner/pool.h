/*
 * What the guests of all test files may take together: memory and processors. Pure: who waits, and
 * who is woken, is the caller's business.
 *
 * Requests are granted in the order in which they came. One that does not fit holds those behind it
 * back, lest a stream of small ones keep a large one waiting for ever; only where all files wait
 * does the first that fits go before others (pool_grant_any).
 */
#ifndef RUNNER_POOL_H
#define RUNNER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

struct pool {
	uint64_t memory;
	uint64_t cpus;
	uint64_t used_memory;
	uint64_t used_cpus;
	/* struct pool_client.link: those that wait, in the order in which they came. */
	struct list waiting;
};

/* A test file that runs. */
struct pool_client {
	uint64_t held_memory;
	uint64_t held_cpus;
	uint64_t wanted_memory;
	uint64_t wanted_cpus;
	struct list link;
};

enum pool_answer {
	POOL_GRANTED,
	/* Until pool_grant or pool_grant_any returns the client. */
	POOL_WAITS,
	/* With what the client holds already it is more than there is at all. */
	POOL_NEVER,
};

void pool_init(struct pool *pool, uint64_t memory, uint64_t cpus);
void pool_client_init(struct pool_client *client);

/* The client must not wait already. */
enum pool_answer pool_request(struct pool *pool, struct pool_client *client, uint64_t memory,
			      uint64_t cpus);

static inline bool pool_waits(const struct pool_client *client)
{
	return !list_empty(&client->link);
}

/* False, and nothing is done: it holds less than that. */
bool pool_release(struct pool *pool, struct pool_client *client, uint64_t memory, uint64_t cpus);

/* It waits no more, and holds nothing. */
void pool_leave(struct pool *pool, struct pool_client *client);

/* Grants the first request, where that fits now. NULL: none was granted. */
struct pool_client *pool_grant(struct pool *pool);

/* Grants the first request that fits now. */
struct pool_client *pool_grant_any(struct pool *pool);

#endif
