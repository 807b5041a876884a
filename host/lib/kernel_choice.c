#include "host/lib/kernel_choice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

#define NAME_A_KERNEL "name one (--kernel FILE, kernel= in provium.toml) or set PROVIUM_KERNEL"

__attribute__((format(printf, 1, 2))) static char *format(const char *format_text, ...)
{
	va_list args;
	char *text;

	va_start(args, format_text);
	if (vasprintf(&text, format_text, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

static const char *present(const char *value)
{
	return value && *value ? value : NULL;
}

static bool has_modules_dep(const char *directory)
{
	cleanup_free char *path = format("%s/modules.dep", directory);

	return path && access(path, R_OK) == 0;
}

/* directory if it has a modules.dep; otherwise it is released. */
static char *if_modules(char *directory)
{
	if (directory && has_modules_dep(directory))
		return directory;
	free(directory);
	return NULL;
}

static int fail_host_kernel(const char *path, struct provium_error *error)
{
	if (errno == EACCES)
		return error_set(
			error, PROVIUM_HOST, 0,
			"this machine's kernel, %s, is not readable for you (some distributions "
			"keep it to root)\n"
			"Copy it as root, or " NAME_A_KERNEL ".",
			path);
	return error_set(error, PROVIUM_HOST, 0,
			 "there is no kernel: this machine's own would be %s\n"
			 "Please " NAME_A_KERNEL ".",
			 path);
}

/* Here, since nobody else knows where the name came from and so what to do about it. */
static int check_kernel(const char *path, bool host_kernel, struct provium_error *error)
{
	struct stat status;

	if (stat(path, &status) < 0 || access(path, R_OK) < 0)
		return host_kernel ? fail_host_kernel(path, error)
				   : error_set(error, PROVIUM_HOST, errno, "kernel %s", path);
	if (!S_ISREG(status.st_mode))
		return error_set(error, PROVIUM_INVALID, 0, "kernel %s: not a regular file", path);
	return 0;
}

static char *guess_modules(const struct kernel_request *request, const char *kernel)
{
	static const char prefix[] = "vmlinuz-";
	const char *slash = strrchr(kernel, '/');
	cleanup_free char *real = NULL;
	const char *name;
	char *modules;

	modules = if_modules(slash ? format("%.*s/modules", (int)(slash - kernel), kernel)
				   : format("modules"));
	if (modules)
		return modules;
	real = realpath(kernel, NULL);
	if (!real)
		return NULL;
	name = strrchr(real, '/') + 1;
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return NULL;
	return if_modules(format("%s/lib/modules/%s", request->root, name + strlen(prefix)));
}

int kernel_choose(const struct kernel_request *request, struct kernel_choice *choice,
		  struct provium_error *error)
{
	const char *from_environment =
		request->kernel ? NULL : present(request->environment_kernel);
	const char *named = request->kernel ? request->kernel : from_environment;
	const char *modules = request->modules;
	cleanup_free char *kernel = NULL;

	*choice = (struct kernel_choice){ 0 };
	kernel = named ? strdup(named)
		       : format("%s/boot/vmlinuz-%s", request->root, request->release);
	if (!kernel)
		return error_set(error, PROVIUM_HOST, errno, "kernel");
	if (check_kernel(kernel, !named, error) < 0)
		return -1;

	if (!modules && from_environment)
		modules = present(request->environment_modules);
	if (modules && !has_modules_dep(modules))
		return error_set(
			error, PROVIUM_HOST, errno,
			"modules: %s/modules.dep (the directory is what /lib/modules/VERSION "
			"is; depmod makes the file)",
			modules);
	choice->modules = modules ? strdup(modules) : guess_modules(request, kernel);
	if (modules && !choice->modules)
		return error_set(error, PROVIUM_HOST, errno, "modules");
	choice->kernel = steal_ptr(&kernel);
	return 0;
}

int kernel_choose_here(const char *kernel, const char *modules, struct kernel_choice *choice,
		       struct provium_error *error)
{
	struct utsname host;
	struct kernel_request request = {
		.kernel = kernel,
		.modules = modules,
		.environment_kernel = getenv("PROVIUM_KERNEL"),
		.environment_modules = getenv("PROVIUM_MODULES"),
		.release = host.release,
		.root = "",
	};

	uname(&host);
	return kernel_choose(&request, choice, error);
}

void kernel_choice_finish(struct kernel_choice *choice)
{
	free(choice->kernel);
	free(choice->modules);
	*choice = (struct kernel_choice){ 0 };
}
