/*
 * Every state of one connection of provium-vsock that its two ends can bring about (vsock_world.h).
 *
 * Starting from nothing all steps are tried in every state that was not seen before, breadth first,
 * until there are no new states; so what is found is found by the shortest way to it, which is
 * printed. A state is not kept but walked to again: what is kept of it is where it was first
 * reached from, and by which step.
 *
 * In each state the rules hold that world_check() has (credit, order of the bytes, nothing after
 * the end); and from each the world comes to rest: when both ends let go, everything that was sent
 * arrives, unless an end was torn, and nothing is left of the connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "unit.h"
#include "vsock_world.h"

/* More than there are; a sign that the world does not close. */
#define MAX_STATES 4000000u
#define MAX_DEPTH  200u

/* The way to the state that is being looked at. */
static uint8_t path[MAX_DEPTH];
static size_t path_length;

void world_failed(const char *condition)
{
	for (size_t i = 0; i < path_length; i++)
		printf("# %s\n", world_step_names[path[i]]);
	fflush(stdout);
	ck_abort_msg("%s", condition);
	abort();
}

struct node {
	/* The state that it was first reached from, and by which step. */
	uint32_t from;
	uint8_t step;
	uint64_t hash;
};

static struct node *nodes;
static size_t n_nodes;
/* Indices of nodes by hash, open addressing; 0: free. */
static uint32_t *table;
#define TABLE_SIZE (1u << 23)

static uint64_t hash_key(const struct world_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash ? hash : 1;
}

/* True: it is new. Two states of one hash of 64 bits are taken for one: once in a million runs. */
static bool remember(uint32_t from, enum step step)
{
	struct world_key key;
	uint64_t hash;
	size_t slot;

	world_key(&key);
	hash = hash_key(&key);
	for (slot = hash % TABLE_SIZE; table[slot]; slot = (slot + 1) % TABLE_SIZE) {
		if (nodes[table[slot] - 1].hash == hash)
			return false;
	}
	ck_assert_uint_lt(n_nodes, MAX_STATES);
	nodes[n_nodes] = (struct node){ .from = from, .step = (uint8_t)step, .hash = hash };
	table[slot] = (uint32_t)++n_nodes;
	return true;
}

/* Walks the shortest way to a state. */
static void go_to(uint32_t node)
{
	size_t length = 0;

	for (uint32_t at = node; at != 0; at = nodes[at].from)
		length++;
	ck_assert_uint_lt(length, MAX_DEPTH);
	path_length = length;
	for (uint32_t at = node; at != 0; at = nodes[at].from)
		path[--length] = nodes[at].step;
	world_start();
	for (size_t i = 0; i < path_length; i++)
		world_do((enum step)path[i]);
}

/* ------------------------------------------------------------------------------------------- */
/* Coming to rest */

static bool do_if(enum step step)
{
	if (!world_possible(step))
		return false;
	must(path_length < MAX_DEPTH);
	path[path_length++] = (uint8_t)step;
	world_do(step);
	world_check();
	return true;
}

/*
 * Everything that is under way arrives, and nobody begins anything new. A guest that has read tells
 * of it at the latest when the other side may have no credit left, as Linux does.
 */
static void settle(void)
{
	static const enum step steps[] = { DEVICE_SENDS,       GUEST_TAKES,    GUEST_READS,
					   GUEST_TELLS_CREDIT, LISTENER_OPENS, READABLE,
					   WRITABLE,           HOST_TAKES };
	bool moved;

	do {
		moved = false;
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			/* These two make no progress by themselves. */
			if (steps[i] == HOST_TAKES && !model.host.watch_write)
				continue;
			if (steps[i] == GUEST_TELLS_CREDIT &&
			    (model.released ||
			     (uint8_t)connection.guest_forwarded == model.guest.read))
				continue;
			moved |= do_if(steps[i]);
		}
	} while (moved);
}

/* Both ends let go. */
static void let_go(void)
{
	bool torn_before = model.torn;

	settle();
	if (!torn_before) {
		must(model.guest.state != GUEST_OPEN || model.guest.arrived == model.host.sent ||
		     model.guest.read == model.host.sent);
		must(!model.host.used || model.host.written == model.guest.sent);
		/* And more could be sent. */
		must(model.guest.state != GUEST_OPEN || (model.guest.peer_shut & RCV) ||
		     model.guest.sent - model.guest.peer_forwarded < model.guest.peer_alloc);
	}
	do_if(HOST_ENDS);
	settle();
	do_if(GUEST_SHUTS_SEND);
	settle();
	/* Each has said that it sends no more; a guest that still receives closes. */
	if (!model.finished)
		do_if(GUEST_SHUTS_RCV);
	settle();
	/* Nobody needs a time limit who speaks with one that keeps to the rules. */
	must(model.finished || torn_before || !model.host.used);
	if (!model.finished)
		do_if(EXPIRES);
	settle();
	if (!model.finished && model.host.used)
		do_if(HOST_HANGS_UP);
	settle();
	must(!model.host.used || model.finished);
	must(model.guest.state != GUEST_OPEN && model.guest.state != GUEST_ASKED);
	must(mux.refusals_count == 0 && mux.window_total == 0);
}

START_TEST(every_state)
{
	size_t steps = 0;
	size_t deepest = 0;

	nodes = calloc(MAX_STATES, sizeof(*nodes));
	table = calloc(TABLE_SIZE, sizeof(*table));
	ck_assert_ptr_nonnull(nodes);
	ck_assert_ptr_nonnull(table);
	world_init();
	remember(0, STEPS);
	for (uint32_t node = 0; node < n_nodes; node++) {
		bool can[STEPS];

		go_to(node);
		deepest = MAX(deepest, path_length);
		for (int step = 0; step < STEPS; step++)
			can[step] = world_possible((enum step)step);
		world_finish();
		for (int step = 0; step < STEPS; step++) {
			if (!can[step])
				continue;
			go_to(node);
			path[path_length++] = (uint8_t)step;
			world_do((enum step)step);
			world_check();
			steps++;
			if (remember(node, (enum step)step))
				let_go();
			world_finish();
		}
	}
	/* It is known to have many; that few are found would be a fault of this file. */
	ck_assert_uint_gt(n_nodes, 10000);
	printf("# %zu states, %zu steps, at most %zu steps deep\n", n_nodes, steps, deepest);
	free(nodes);
	free(table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-states");
	TCase *tcase = tcase_create("states");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, every_state);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
