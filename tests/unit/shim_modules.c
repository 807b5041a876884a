/* Which modules are loaded, in which order. */
#include "shim/modules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "unit.h"

static const char dep[] =
	"kernel/net/vsock.ko:\n"
	"kernel/net/vsock-common.ko.xz: kernel/net/vsock.ko\n"
	"kernel/net/vsock_virtio.ko.zst: kernel/virtio/ring.ko kernel/net/vsock-common.ko.xz "
	"kernel/net/vsock.ko\n"
	"kernel/virtio/ring.ko.gz:\n"
	"kernel/far.ko: kernel/missing.ko\n"
	"kernel/cycle_a.ko: kernel/cycle_b.ko\n"
	"kernel/cycle_b.ko: kernel/cycle_a.ko\n"
	"kernel/self.ko: kernel/self.ko\n"
	"/elsewhere/extra.ko: kernel/net/vsock.ko\n"
	"kernel/both.ko:\n"
	"no colon\n";
static const char builtin[] = "kernel/drivers/virtio_pci.ko\nkernel/both.ko\n\n";

static char *dep_text;
static char *builtin_text;
static struct modules *modules;

static void set_up(void)
{
	dep_text = strdup(dep);
	builtin_text = strdup(builtin);
	modules = modules_parse(dep_text, builtin_text);
	ck_assert_ptr_nonnull(modules);
}

static void tear_down(void)
{
	modules_free(modules);
	free(dep_text);
	free(builtin_text);
}

static enum modules_status add(const char *name)
{
	const char *culprit;

	return modules_add(modules, name, &culprit);
}

static void assert_order(size_t count, const char *const *paths)
{
	ck_assert_uint_eq(modules_count(modules), count);
	for (size_t i = 0; i < count; i++)
		ck_assert_str_eq(modules_path(modules, i), paths[i]);
}

START_TEST(order)
{
	static const char *const expected[] = {
		"kernel/virtio/ring.ko.gz",
		"kernel/net/vsock.ko",
		"kernel/net/vsock-common.ko.xz",
		"kernel/net/vsock_virtio.ko.zst",
	};

	ck_assert_int_eq(add("vsock_virtio"), MODULES_OK);
	/* Each once. */
	ck_assert_int_eq(add("vsock"), MODULES_OK);
	ck_assert_int_eq(add("vsock-virtio"), MODULES_OK);
	assert_order(ARRAY_SIZE(expected), expected);
}
END_TEST

START_TEST(names)
{
	static const char *const expected[] = { "kernel/net/vsock.ko",
						"kernel/net/vsock-common.ko.xz",
						"/elsewhere/extra.ko", "kernel/both.ko" };

	ck_assert_int_eq(add("vsock_common"), MODULES_OK);
	ck_assert_int_eq(add("vsock-common.ko"), MODULES_OK);
	ck_assert_int_eq(add("extra"), MODULES_OK);
	/* A module that is listed as built in as well has a file: it is loaded. */
	ck_assert_int_eq(add("both"), MODULES_OK);
	assert_order(ARRAY_SIZE(expected), expected);
}
END_TEST

START_TEST(nothing_to_load)
{
	static const char *const unknown[] = { "",    "vsoc", "vsockx", "no colon",
					       ".ko", "/",    "kernel" };

	ck_assert_int_eq(add("virtio_pci"), MODULES_BUILTIN);
	ck_assert_int_eq(add("virtio-pci"), MODULES_BUILTIN);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		ck_assert_msg(add(unknown[i]) == MODULES_UNKNOWN, "'%s'", unknown[i]);
	assert_order(0, NULL);
}
END_TEST

START_TEST(damaged)
{
	static const struct {
		const char *name;
		const char *culprit;
	} cases[] = {
		{ "far", "kernel/far.ko" },
		{ "cycle_a", "kernel/cycle_a.ko" },
		{ "cycle_b", "kernel/cycle_b.ko" },
		{ "self", "kernel/self.ko" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *culprit = NULL;

		ck_assert_int_eq(modules_add(modules, cases[i].name, &culprit), MODULES_DAMAGED);
		ck_assert_str_eq(culprit, cases[i].culprit);
	}
}
END_TEST

/* A chain that no kernel has is refused, not followed until the stack ends. */
START_TEST(deep)
{
	enum {
		LENGTH = 100000
	};
	char *text = malloc((size_t)LENGTH * 32), *end = text;
	struct modules *chain;
	const char *culprit;

	for (int i = 0; i < LENGTH; i++)
		end += sprintf(end, "m%d.ko: m%d.ko\n", i, i + 1);
	sprintf(end, "m%d.ko:\n", LENGTH);
	chain = modules_parse(text, NULL);
	ck_assert_int_eq(modules_add(chain, "m0", &culprit), MODULES_DAMAGED);
	ck_assert_int_eq(modules_add(chain, "m99990", &culprit), MODULES_OK);
	ck_assert_uint_eq(modules_count(chain), 11);
	modules_free(chain);
	free(text);
}
END_TEST

START_TEST(empty)
{
	char none[] = "";
	struct modules *nothing = modules_parse(none, NULL);
	const char *culprit;

	ck_assert_int_eq(modules_add(nothing, "vsock", &culprit), MODULES_UNKNOWN);
	ck_assert_uint_eq(modules_count(nothing), 0);
	modules_free(nothing);
	modules_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shim-modules");
	TCase *tests = tcase_create("modules");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, order);
	tcase_add_test(tests, names);
	tcase_add_test(tests, nothing_to_load);
	tcase_add_test(tests, damaged);
	tcase_add_test(tests, deep);
	tcase_add_test(tests, empty);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
