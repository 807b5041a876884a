#include "host/runner/pool.h"

#include <stddef.h>

void pool_init(struct pool *pool, uint64_t memory, uint64_t cpus)
{
	*pool = (struct pool){ .memory = memory, .cpus = cpus };
	list_init(&pool->waiting);
}

void pool_client_init(struct pool_client *client)
{
	*client = (struct pool_client){ 0 };
	list_init(&client->link);
}

/* No sum that could overflow: used is at most what there is. */
static bool fits(const struct pool *pool, const struct pool_client *client)
{
	return client->wanted_memory <= pool->memory - pool->used_memory &&
	       client->wanted_cpus <= pool->cpus - pool->used_cpus;
}

static struct pool_client *grant(struct pool *pool, struct pool_client *client)
{
	list_remove(&client->link);
	client->held_memory += client->wanted_memory;
	client->held_cpus += client->wanted_cpus;
	pool->used_memory += client->wanted_memory;
	pool->used_cpus += client->wanted_cpus;
	return client;
}

enum pool_answer pool_request(struct pool *pool, struct pool_client *client, uint64_t memory,
			      uint64_t cpus)
{
	if (memory > pool->memory - client->held_memory || cpus > pool->cpus - client->held_cpus)
		return POOL_NEVER;
	client->wanted_memory = memory;
	client->wanted_cpus = cpus;
	list_append(&pool->waiting, &client->link);
	return pool->waiting.next == &client->link && pool_grant(pool) ? POOL_GRANTED : POOL_WAITS;
}

bool pool_release(struct pool *pool, struct pool_client *client, uint64_t memory, uint64_t cpus)
{
	if (memory > client->held_memory || cpus > client->held_cpus)
		return false;
	client->held_memory -= memory;
	client->held_cpus -= cpus;
	pool->used_memory -= memory;
	pool->used_cpus -= cpus;
	return true;
}

void pool_leave(struct pool *pool, struct pool_client *client)
{
	list_remove(&client->link);
	pool_release(pool, client, client->held_memory, client->held_cpus);
}

struct pool_client *pool_grant(struct pool *pool)
{
	struct pool_client *first;

	if (list_empty(&pool->waiting))
		return NULL;
	first = container_of(pool->waiting.next, struct pool_client, link);
	return fits(pool, first) ? grant(pool, first) : NULL;
}

struct pool_client *pool_grant_any(struct pool *pool)
{
	struct pool_client *client;

	list_for_each(client, &pool->waiting, link) {
		if (fits(pool, client))
			return grant(pool, client);
	}
	return NULL;
}
