/* Which kernel and modules are taken, with files in a temporary directory. */
#include "host/lib/kernel_choice.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define RELEASE "6.99-host"

static char top[PATH_MAX / 2];
static struct kernel_request request;
static struct kernel_choice choice;
static struct provium_error error;

/* TOP/path; good until the eighth call after it. */
static char *in_top(const char *path)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *full = paths[next++ % 8];

	snprintf(full, PATH_MAX, "%s/%s", top, path);
	return full;
}

/* Makes an empty file, and the directories on the way. */
static const char *make(const char *path)
{
	char *full = in_top(path);
	FILE *file;

	for (char *slash = full + strlen(top) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		ck_assert(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	return full;
}

static void start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(top, sizeof(top), "%s/provium-choice-XXXXXX", base && *base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(top));
	request = (struct kernel_request){ .release = RELEASE, .root = top };
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static void finish(void)
{
	kernel_choice_finish(&choice);
	nftw(top, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void chosen(const char *kernel, const char *modules)
{
	kernel_choice_finish(&choice);
	if (kernel_choose(&request, &choice, &error) < 0)
		ck_abort_msg("%s", error.message);
	ck_assert_str_eq(choice.kernel, kernel);
	if (modules)
		ck_assert_str_eq(choice.modules, modules);
	else
		ck_assert_ptr_null(choice.modules);
}

static void refused(const char *told)
{
	kernel_choice_finish(&choice);
	ck_assert_int_eq(kernel_choose(&request, &choice, &error), -1);
	if (!strstr(error.message, told))
		ck_abort_msg("'%s' is not in: %s", told, error.message);
}

START_TEST(order_of_kernels)
{
	const char *host = make("boot/vmlinuz-" RELEASE);
	const char *environment = make("environment/bzImage");
	const char *option = make("option/bzImage");

	chosen(host, NULL);
	request.environment_kernel = "";
	chosen(host, NULL);
	request.environment_kernel = environment;
	chosen(environment, NULL);
	request.kernel = option;
	chosen(option, NULL);
}
END_TEST

START_TEST(order_of_modules)
{
	const char *kernel = make("boot/vmlinuz-" RELEASE);

	make("lib/modules/" RELEASE "/modules.dep");
	chosen(kernel, in_top("lib/modules/" RELEASE));
	make("boot/modules/modules.dep");
	chosen(kernel, in_top("boot/modules"));
	make("named/modules.dep");
	request.modules = in_top("named");
	chosen(kernel, request.modules);
}
END_TEST

/* $PROVIUM_MODULES belongs to $PROVIUM_KERNEL. */
START_TEST(modules_of_the_environment)
{
	const char *option = make("option/bzImage");

	make("set/modules.dep");
	request.environment_kernel = make("environment/bzImage");
	request.environment_modules = "";
	chosen(request.environment_kernel, NULL);
	request.environment_modules = in_top("set");
	chosen(request.environment_kernel, in_top("set"));
	request.kernel = option;
	chosen(option, NULL);
}
END_TEST

START_TEST(modules_need_a_modules_dep)
{
	const char *kernel = make("boot/vmlinuz-" RELEASE);

	make("boot/modules/other");
	make("lib/modules/" RELEASE "/other");
	chosen(kernel, NULL);
	request.modules = in_top("boot/modules");
	refused("modules.dep");
	request.modules = in_top("absent");
	refused("absent/modules.dep");
}
END_TEST

/* A link is followed to the name that says the version, as /vmlinuz of Debian's. */
START_TEST(symbolic_link)
{
	make("boot/vmlinuz-6.98");
	make("lib/modules/6.98/modules.dep");
	ck_assert_int_eq(symlink("boot/vmlinuz-6.98", in_top("vmlinuz")), 0);
	request.kernel = in_top("vmlinuz");
	chosen(request.kernel, in_top("lib/modules/6.98"));
}
END_TEST

START_TEST(relative_path)
{
	make("modules/modules.dep");
	make("bzImage");
	ck_assert_int_eq(chdir(top), 0);
	request.kernel = "bzImage";
	chosen("bzImage", "modules");
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(no_kernel)
{
	refused("name one (--kernel FILE, kernel= in provium.toml) or set PROVIUM_KERNEL");
	ck_assert_ptr_nonnull(strstr(error.message, "/boot/vmlinuz-" RELEASE));
	request.environment_kernel = in_top("absent");
	refused("absent: No such file or directory");
	request.kernel = top;
	refused("not a regular file");
	request.kernel = "";
	refused("No such file or directory");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli kernel");
	TCase *tcase = tcase_create("kernel");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, order_of_kernels);
	tcase_add_test(tcase, order_of_modules);
	tcase_add_test(tcase, modules_of_the_environment);
	tcase_add_test(tcase, modules_need_a_modules_dep);
	tcase_add_test(tcase, symbolic_link);
	tcase_add_test(tcase, relative_path);
	tcase_add_test(tcase, no_kernel);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
