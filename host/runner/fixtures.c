#include "host/runner/fixtures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

#define MAX_FIXTURES 256

void fixtures_init(struct fixtures *fixtures)
{
	*fixtures = (struct fixtures){ 0 };
	list_init(&fixtures->list);
}

void fixture_client_init(struct fixture_client *client)
{
	*client = (struct fixture_client){ 0 };
	list_init(&client->link);
}

static struct fixture *find(struct fixtures *fixtures, const char *path)
{
	struct fixture *fixture;

	list_for_each(fixture, &fixtures->list, link) {
		if (strcmp(fixture->path, path) == 0)
			return fixture;
	}
	return NULL;
}

static struct fixture *add(struct fixtures *fixtures, const char *path, struct provium_error *error)
{
	struct fixture *fixture;

	if (fixtures->count == MAX_FIXTURES) {
		error_set(error, PROVIUM_LIMIT, 0, "there are more than %d fixtures", MAX_FIXTURES);
		return NULL;
	}
	fixture = calloc(1, sizeof(*fixture));
	if (fixture)
		fixture->path = strdup(path);
	if (!fixture || !fixture->path) {
		free(fixture);
		error_set(error, PROVIUM_HOST, ENOMEM, "fixture");
		return NULL;
	}
	list_init(&fixture->waiting);
	list_append(&fixtures->list, &fixture->link);
	fixtures->count++;
	return fixture;
}

static void begin(struct fixtures *fixtures, struct fixture *fixture, struct fixture_client *client)
{
	fixture->state = FIXTURE_BUILDING;
	fixture->builder = client;
	fixture->sequence = fixtures->sequence++;
}

/* What the same client began to build next; NULL: that one was the last. */
static const struct fixture *next_of_builder(const struct fixtures *fixtures,
					     const struct fixture *fixture)
{
	const struct fixture *next = NULL;
	const struct fixture *other;

	list_for_each(other, &fixtures->list, link) {
		if (other->state == FIXTURE_BUILDING && other->builder == fixture->builder &&
		    other->sequence > fixture->sequence &&
		    (!next || other->sequence < next->sequence))
			next = other;
	}
	return next;
}

/* The fixture, and what its builder builds for it: that waits with it. */
static void add_names(const struct fixtures *fixtures, const struct fixture *fixture, char *names,
		      size_t size)
{
	for (; fixture; fixture = next_of_builder(fixtures, fixture)) {
		size_t used = strlen(names);

		snprintf(names + used, size - used, "%s needs ", fixture->path);
	}
}

/*
 * Whether a fixture waits, by way of those who build, for the client itself. Each builder waits for
 * one fixture at most, and no cycle was let in before this one, so the chain ends.
 */
static bool in_cycle(const struct fixtures *fixtures, const struct fixture *fixture,
		     const struct fixture_client *client, struct provium_error *error)
{
	const struct fixture *next = fixture;
	char names[1024] = "";

	while (next && next->state == FIXTURE_BUILDING) {
		add_names(fixtures, next, names, sizeof(names));
		if (next->builder == client) {
			error_set(error, PROVIUM_INVALID, 0, "fixtures need each other: %s%s",
				  names, fixture->path);
			return true;
		}
		next = next->builder->waits_for;
	}
	return false;
}

enum fixture_answer fixtures_ask(struct fixtures *fixtures, struct fixture_client *client,
				 const char *path, struct fixture **fixture,
				 struct provium_error *error)
{
	struct fixture *found = find(fixtures, path);

	if (!found) {
		found = add(fixtures, path, error);
		if (!found)
			return FIXTURE_ASK_FAILED;
		found->state = FIXTURE_ABANDONED;
	}
	*fixture = found;
	switch (found->state) {
	case FIXTURE_ABANDONED:
		begin(fixtures, found, client);
		return FIXTURE_ASK_BUILD;
	case FIXTURE_READY:
		return FIXTURE_ASK_HERE;
	case FIXTURE_FAILED:
		error_set(error, PROVIUM_INVALID, 0, "%s", found->text);
		return FIXTURE_ASK_FAILED;
	case FIXTURE_BUILDING:
		break;
	}
	if (in_cycle(fixtures, found, client, error))
		return FIXTURE_ASK_FAILED;
	client->waits_for = found;
	list_append(&found->waiting, &client->link);
	return FIXTURE_ASK_WAIT;
}

struct fixture *fixtures_built(struct fixtures *fixtures, struct fixture_client *client,
			       const char *path, char *text, const int *fds, size_t n_fds,
			       bool failed)
{
	struct fixture *fixture = find(fixtures, path);

	if (!fixture || fixture->state != FIXTURE_BUILDING || fixture->builder != client)
		return NULL;
	fixture->state = failed ? FIXTURE_FAILED : FIXTURE_READY;
	fixture->builder = NULL;
	fixture->text = text;
	for (; fixture->n_fds < n_fds; fixture->n_fds++)
		fixture->fds[fixture->n_fds] = fds[fixture->n_fds];
	return fixture;
}

struct fixture_client *fixture_next(struct fixture *fixture)
{
	struct fixture_client *client;

	if (list_empty(&fixture->waiting))
		return NULL;
	client = container_of(fixture->waiting.next, struct fixture_client, link);
	list_remove(&client->link);
	client->waits_for = NULL;
	if (fixture->state == FIXTURE_ABANDONED) {
		fixture->state = FIXTURE_BUILDING;
		fixture->builder = client;
	}
	return client;
}

struct fixture *fixtures_leave(struct fixtures *fixtures, struct fixture_client *client)
{
	struct fixture *fixture;

	list_remove(&client->link);
	client->waits_for = NULL;
	list_for_each(fixture, &fixtures->list, link) {
		if (fixture->state == FIXTURE_BUILDING && fixture->builder == client) {
			fixture->state = FIXTURE_ABANDONED;
			fixture->builder = NULL;
			fixture->sequence = fixtures->sequence++;
			return fixture;
		}
	}
	return NULL;
}

void fixtures_finish(struct fixtures *fixtures)
{
	struct fixture *fixture;
	struct fixture *next;

	list_for_each_safe(fixture, next, &fixtures->list, link) {
		for (size_t i = 0; i < fixture->n_fds; i++)
			close_fd(fixture->fds[i]);
		list_remove(&fixture->link);
		free(fixture->path);
		free(fixture->text);
		free(fixture);
	}
}
