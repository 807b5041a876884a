/* The pool, and that it keeps its promises whatever the files do. */
#include "host/runner/pool.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/util.h"
#include "unit.h"

START_TEST(grants)
{
	struct pool_client a, b, c;
	struct pool pool;

	pool_init(&pool, 100, 4);
	pool_client_init(&a);
	pool_client_init(&b);
	pool_client_init(&c);
	ck_assert_int_eq(pool_request(&pool, &a, 101, 1), POOL_NEVER);
	ck_assert_int_eq(pool_request(&pool, &a, 1, 5), POOL_NEVER);
	ck_assert_int_eq(pool_request(&pool, &a, UINT64_MAX, 1), POOL_NEVER);
	ck_assert_int_eq(pool_request(&pool, &a, 60, 1), POOL_GRANTED);
	ck_assert_int_eq(pool_request(&pool, &a, 41, 1), POOL_NEVER);
	ck_assert_int_eq(pool_request(&pool, &b, 60, 1), POOL_WAITS);
	ck_assert(pool_waits(&b) && !pool_waits(&a));
	/* It would fit, and does not go first. */
	ck_assert_int_eq(pool_request(&pool, &c, 10, 1), POOL_WAITS);
	ck_assert_ptr_null(pool_grant(&pool));
	ck_assert_ptr_eq(pool_grant_any(&pool), &c);
	ck_assert_ptr_null(pool_grant_any(&pool));
	ck_assert(!pool_release(&pool, &a, 61, 1));
	ck_assert(!pool_release(&pool, &a, 60, 2));
	ck_assert(pool_release(&pool, &a, 60, 1));
	ck_assert(!pool_release(&pool, &a, 1, 0));
	ck_assert_ptr_eq(pool_grant(&pool), &b);
	ck_assert_uint_eq(pool.used_memory, 70);
	pool_leave(&pool, &b);
	pool_leave(&pool, &c);
	ck_assert_uint_eq(pool.used_memory, 0);
	ck_assert_uint_eq(pool.used_cpus, 0);
}
END_TEST

START_TEST(leaves_while_waiting)
{
	struct pool_client a, b, c;
	struct pool pool;

	pool_init(&pool, 100, 4);
	pool_client_init(&a);
	pool_client_init(&b);
	pool_client_init(&c);
	ck_assert_int_eq(pool_request(&pool, &a, 60, 1), POOL_GRANTED);
	ck_assert_int_eq(pool_request(&pool, &b, 60, 1), POOL_WAITS);
	ck_assert_int_eq(pool_request(&pool, &c, 40, 1), POOL_WAITS);
	pool_leave(&pool, &b);
	ck_assert_ptr_eq(pool_grant(&pool), &c);
	ck_assert_ptr_null(pool_grant(&pool));
	pool_leave(&pool, &a);
	pool_leave(&pool, &c);
}
END_TEST

/*
 * A file of the model: it asks for guests one after the other, gives some back early, and ends. The
 * model does what the runner does where all wait.
 */
struct file {
	struct pool_client client;
	unsigned int steps;
	bool running;
	bool waits_to_start;
	/* When it was started, and how often it was put back, and after how many had ended. */
	unsigned int age;
	unsigned int put_back;
	unsigned int put_back_ended;
};

#define FILES 12

struct model {
	struct pool pool;
	struct file files[FILES];
	unsigned int age;
	unsigned int ended;
	unsigned int n_running;
};

static void within_budget(const struct model *model)
{
	uint64_t memory = 0, cpus = 0;

	for (size_t i = 0; i < FILES; i++) {
		memory += model->files[i].client.held_memory;
		cpus += model->files[i].client.held_cpus;
	}
	ck_assert_uint_eq(memory, model->pool.used_memory);
	ck_assert_uint_eq(cpus, model->pool.used_cpus);
	ck_assert_uint_le(memory, model->pool.memory);
	ck_assert_uint_le(cpus, model->pool.cpus);
}

static unsigned int below(unsigned int number)
{
	return (unsigned int)random() % number;
}

static void start(struct model *model, struct file *file)
{
	file->running = true;
	file->waits_to_start = false;
	model->n_running++;
	file->steps = 1 + below(6);
	file->age = model->age++;
}

static void step(struct model *model, struct file *file)
{
	struct pool_client *client = &file->client;

	if (file->steps-- == 0) {
		pool_leave(&model->pool, client);
		file->running = false;
		model->n_running--;
		model->ended++;
		return;
	}
	if (below(3) == 0 && client->held_memory > 0)
		ck_assert(pool_release(&model->pool, client, client->held_memory / 2,
				       client->held_cpus / 2));
	else
		pool_request(&model->pool, client, below(60), below(3));
}

/* NULL: somebody does not wait. */
static struct file *youngest_if_all_wait(struct model *model)
{
	struct file *youngest = NULL;

	for (size_t i = 0; i < FILES; i++) {
		struct file *file = &model->files[i];

		if (!file->running)
			continue;
		if (!pool_waits(&file->client))
			return NULL;
		if (!youngest || file->age > youngest->age)
			youngest = file;
	}
	return youngest;
}

static void start_again(struct model *model, bool nobody_runs)
{
	for (size_t i = 0; i < FILES; i++) {
		struct file *file = &model->files[i];

		if (file->waits_to_start && (nobody_runs || file->put_back_ended < model->ended)) {
			start(model, file);
			return;
		}
	}
}

static void round_of(struct model *model)
{
	struct file *file = &model->files[below(FILES)];

	if (file->running && !pool_waits(&file->client))
		step(model, file);
	within_budget(model);
	while (pool_grant(&model->pool))
		within_budget(model);
	start_again(model, model->n_running == 0);
	file = youngest_if_all_wait(model);
	if (!file || pool_grant_any(&model->pool))
		return;
	pool_leave(&model->pool, &file->client);
	file->running = false;
	file->waits_to_start = true;
	file->put_back_ended = model->ended;
	file->put_back++;
	model->n_running--;
}

/* Whatever they ask for, no more than there is is given, and every file comes to its end. */
START_TEST(never_over_and_never_stuck)
{
	unsigned int put_back = 0;

	srandom((unsigned int)_i + 1);
	for (unsigned int run = 0; run < 200; run++) {
		struct model model = { 0 };
		unsigned int rounds = 0;

		pool_init(&model.pool, 60 + below(200), 2 + below(6));
		for (size_t i = 0; i < FILES; i++) {
			pool_client_init(&model.files[i].client);
			start(&model, &model.files[i]);
		}
		while (model.ended < FILES) {
			round_of(&model);
			within_budget(&model);
			ck_assert_uint_lt(rounds++, 100000);
		}
		ck_assert_uint_eq(model.pool.used_memory, 0);
		for (size_t i = 0; i < FILES; i++)
			put_back += model.files[i].put_back;
	}
	/* The model does come to where somebody has to give way. */
	ck_assert_uint_gt(put_back, 0);
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-pool");
	TCase *tcase = unit_counted_case("pool");

	tcase_add_test(tcase, grants);
	tcase_add_test(tcase, leaves_while_waiting);
	tcase_add_loop_test(tcase, never_over_and_never_stuck, 0, 10);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
