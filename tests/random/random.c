#include "tests/random/random.h"

#include <string.h>

#include "common/util.h"

#define CALLS_MOST   24
/* One of so many programs ends with something that its process does not survive as it was. */
#define ENDS_EACH    300
#define BUFFERS_MOST 160

/* Numbers of the agent's fds begin with the first (agent/fds.h), those of tests end there. */
#define OWN_FDS      500u
#define OWN_FDS_END  1100u

/* SplitMix64. */
uint64_t random_next(struct state *state)
{
	uint64_t value = state->random += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint32_t random_below(struct state *state, uint32_t count)
{
	return count > 0 ? (uint32_t)(random_next(state) % count) : 0;
}

bool random_one_in(struct state *state, uint32_t count)
{
	return random_below(state, count) == 0;
}

uint64_t random_number(struct state *state)
{
	uint64_t number;

	switch (random_below(state, 8)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - random_below(state, 4);
	case 2:
		number = UINT64_C(1) << random_below(state, 64);
		break;
	case 3:
		number = (UINT64_C(1) << random_below(state, 64)) - 1;
		break;
	case 4:
		number = random_next(state);
		break;
	default:
		number = random_below(state, 64);
	}
	/* As an int, too. */
	if ((uint32_t)number >= OWN_FDS && (uint32_t)number < OWN_FDS_END)
		number = 3;
	return number;
}

/* Looked up once for an architecture: there are millions of calls to make. -1: it has none. */
static int number_of(const struct state *state, const struct call *call)
{
	static char arch[32];
	static int numbers[2][RANDOM_CALLS_MOST];
	bool is_end = call >= random_ends && call < random_ends + random_n_ends;

	if (strcmp(arch, state->arch) != 0) {
		snprintf(arch, sizeof(arch), "%s", state->arch);
		for (size_t i = 0; i < random_n_calls; i++)
			numbers[0][i] = provium_syscall_number(arch, random_calls[i].name);
		for (size_t i = 0; i < random_n_ends; i++)
			numbers[1][i] = provium_syscall_number(arch, random_ends[i].name);
	}
	return is_end ? numbers[1][call - random_ends] : numbers[0][call - random_calls];
}

/* ------------------------------------------------------------------------------------------- */
/* Resources */

static void hold_as(struct state *state, enum resource resource, struct held held)
{
	unsigned int *count = &state->n_held[resource];

	if (*count < HELD_MAX)
		state->held[resource][(*count)++] = held;
	else
		state->held[resource][random_below(state, HELD_MAX)] = held;
}

void random_hold(struct state *state, enum resource resource, struct held held)
{
	hold_as(state, resource, held);
	if (resource < RES_FD && resource != RES_WATCH)
		hold_as(state, RES_FD, held);
}

static struct provium_arg use(const struct held *held)
{
	if (held->width)
		return provium_load(held->index, held->offset, held->width);
	return provium_result_of(held->index);
}

/* One of the calls that return it. */
static const struct call *maker_of(struct state *state, enum resource resource)
{
	const struct call *found = NULL;
	unsigned int count = 0;

	for (size_t i = 0; i < random_n_calls; i++) {
		const struct call *call = &random_calls[i];
		bool makes = resource == RES_FD ? call->returns > RES_NONE && call->returns < RES_FD
						: call->returns == resource;

		if (makes && number_of(state, call) >= 0 && random_below(state, ++count) == 0)
			found = call;
	}
	return found;
}

/* Either adds what the other needs, to a depth of 3. */
// NOLINTBEGIN(misc-no-recursion)
struct provium_arg random_resource(struct state *state, enum resource resource, unsigned int depth)
{
	const struct call *maker;

	if ((state->n_held[resource] == 0 || random_one_in(state, 8)) && depth < 3 &&
	    state->n_calls < CALLS_MOST) {
		maker = maker_of(state, resource);
		if (maker)
			random_add_call(state, maker, depth + 1);
	}
	if (state->n_held[resource] == 0)
		return provium_value(UINT64_MAX);
	return use(&state->held[resource][random_below(state, state->n_held[resource])]);
}

/* ------------------------------------------------------------------------------------------- */
/* Calls */

static struct provium_arg wrong(struct state *state)
{
	if (random_one_in(state, 3) && state->n_buffers < BUFFERS_MOST)
		return provium_address(shape_output(state, 1 + random_below(state, 256)));
	return provium_value(random_number(state));
}

int random_add_call(struct state *state, const struct call *call, unsigned int depth)
{
	struct provium_arg args[6];
	size_t count = 0;
	int made, number = number_of(state, call);

	if (number < 0)
		return -1;
	for (; count < ARRAY_SIZE(args) && call->args[count].make; count++) {
		struct spec spec = call->args[count];

		state->alone = call->after != NULL;
		if (spec.make == make_resource) {
			args[count] = random_resource(state, (enum resource)spec.value, depth);
			continue;
		}
		args[count] = spec.make(state, &spec);
		if (!call->strict && random_one_in(state, 40))
			args[count] = wrong(state);
	}
	made = provium_program_call(state->program, (uint32_t)number, args, count);
	state->alone = false;
	state->n_calls++;
	if (call->returns != RES_NONE && !call->after)
		random_hold(state, call->returns, (struct held){ .index = made });
	if (call->after)
		call->after(state);
	return made;
}

// NOLINTEND(misc-no-recursion)

static bool is_strict(const char *name)
{
	for (size_t i = 0; i < random_n_calls; i++)
		if (random_calls[i].strict && strcmp(random_calls[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < random_n_ends; i++)
		if (strcmp(random_ends[i].name, name) == 0)
			return true;
	return false;
}

/* Any call of any arguments, unless it must not be. */
static void add_wild_call(struct state *state)
{
	struct provium_arg args[6];
	uint32_t number = random_below(state, 480), count = random_below(state, 7);
	const char *name = provium_syscall_name(state->arch, number);

	if (name && (random_exclusion(name) || is_strict(name)))
		return;
	for (uint32_t i = 0; i < count; i++)
		args[i] = random_one_in(state, 4) && state->n_held[RES_FD] > 0
				  ? random_resource(state, RES_FD, 3)
				  : wrong(state);
	provium_program_call(state->program, number, args, count);
	state->n_calls++;
}

/* Whether what it takes first is there. */
static bool is_ready(const struct state *state, const struct call *call)
{
	return call->args[0].make == make_resource && state->n_held[call->args[0].value] > 0;
}

static const struct call *pick_of(struct state *state, const struct call *calls, size_t count)
{
	unsigned int total = 0, at;
	size_t i = 0;

	for (size_t j = 0; j < count; j++)
		total += calls[j].weight;
	at = random_below(state, total);
	while (at >= calls[i].weight)
		at -= calls[i++].weight;
	return &calls[i];
}

static const struct call *pick(struct state *state)
{
	return pick_of(state, random_calls, random_n_calls);
}

/* Of two or three the one that goes on with what there is. */
static const struct call *pick_fitting(struct state *state)
{
	const struct call *call = pick(state);

	for (int tries = 0; tries < 2 && !is_ready(state, call); tries++) {
		const struct call *other = pick(state);

		if (is_ready(state, other))
			call = other;
	}
	return call;
}

/* What the process keeps of a program would be in the next one's way. */
static void clean_up(struct state *state)
{
	int number = provium_syscall_number(state->arch, "munmap");

	for (unsigned int i = 0; i < state->n_held[RES_MAP]; i++) {
		const struct provium_arg args[] = { use(&state->held[RES_MAP][i]),
						    provium_value(state->map_size) };

		provium_program_call(state->program, (uint32_t)number, args, ARRAY_SIZE(args));
	}
	number = provium_syscall_number(state->arch, "close_range");
	provium_program_call(state->program, (uint32_t)number,
			     (const struct provium_arg[]){ provium_value(3),
							   provium_value(OWN_FDS - 1),
							   provium_value(0) },
			     3);
}

struct provium_program *random_program(const char *arch, uint64_t seed, uint64_t number)
{
	struct state state = { .random = seed, .arch = arch, .buffer = -1 };
	unsigned int wanted;

	/* Neighbours shall have nothing in common. */
	state.random = random_next(&state) ^ number * UINT64_C(0xd1342543de82ef95);
	state.program = provium_program_new();
	if (!state.program)
		return NULL;
	provium_program_deadline(state.program, RANDOM_DEADLINE_MS);
	wanted = 2 + random_below(&state, 12);
	while (state.n_calls < wanted && state.n_buffers < BUFFERS_MOST) {
		if (random_one_in(&state, 25))
			add_wild_call(&state);
		else
			random_add_call(&state, pick_fitting(&state), 0);
	}
	if (random_one_in(&state, ENDS_EACH))
		random_add_call(&state, pick_of(&state, random_ends, random_n_ends), 0);
	clean_up(&state);
	return state.program;
}
