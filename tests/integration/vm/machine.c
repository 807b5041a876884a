#include "tests/integration/vm/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/unit/unit.h"

char machine_directory[64];
char machine_path[128];
char machine_notices[4096];
const char *machine_kernels;

static char kernel[4096];
static char modules[4096];
static char place[64];

void machine_start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(machine_directory, sizeof(machine_directory), "%s/vm-test-XXXXXX",
		 base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(machine_directory));
	snprintf(place, sizeof(place), "%s", base ? base : "");
	setenv("TMPDIR", machine_directory, 1);
	machine_notices[0] = '\0';
}

/* Nothing is left: rmdir(2) takes no directory that is not empty. */
void machine_finish(void)
{
	ck_assert_int_eq(machine_children("qemu-system-x86", NULL), 0);
	ck_assert_int_eq(machine_children("provium-vsock", NULL), 0);
	ck_assert_msg(rmdir(machine_directory) == 0, "something is left in %s", machine_directory);
	if (place[0])
		setenv("TMPDIR", place, 1);
	else
		unsetenv("TMPDIR");
}

static void take_notice(void *user, const char *text)
{
	size_t used = strlen(machine_notices);

	(void)user;
	snprintf(machine_notices + used, sizeof(machine_notices) - used, "%s\n", text);
}

struct provium_vm_options machine_options(void)
{
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", machine_kernels);
	snprintf(modules, sizeof(modules), "%s/modules", machine_kernels);
	return (struct provium_vm_options){
		.kernel = kernel,
		.modules_dir = modules,
		.memory = 256 << 20,
		.on_notice = take_notice,
		.on_phase = take_notice,
	};
}

struct provium_vm *machine_boot(const struct provium_vm_options *options)
{
	struct provium_error error;
	struct provium_vm *vm;

	ck_assert_msg(provium_vm_boot(options, &vm, &error) == 0, "%s", error.message);
	return vm;
}

void machine_refuse(const struct provium_vm_options *options, enum provium_code code,
		    const char *text)
{
	struct provium_error error;
	struct provium_vm *vm;

	ck_assert_int_eq(provium_vm_boot(options, &vm, &error), -1);
	ck_assert_ptr_null(vm);
	ck_assert_msg(strstr(error.message, text), "%s", error.message);
	ck_assert_msg(error.code == code, "%d: %s", error.code, error.message);
}

void machine_expect(struct provium_connection *connection, const char *shell, const char *wanted)
{
	const struct provium_exec_options options = { .shell = shell };
	struct provium_exec_result result;
	struct provium_buffer output;
	struct provium_error error;

	ck_assert_msg(provium_exec_run(connection, &options, 0, 60000, &result, &output, NULL,
				       &error) == 0,
		      "%s", error.message);
	ck_assert_str_eq(output.data, wanted);
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 0);
	free(output.data);
}

/* proc_pid_stat(5): pid, (comm), state, ppid. */
static bool is_child(const char *number, const char *name)
{
	char path[300];
	char comm[64] = "";
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/stat", number);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%63[^)]) %*c %d", comm, &parent) != 2)
		parent = 0;
	fclose(file);
	return parent == getpid() && strcmp(comm, name) == 0;
}

int machine_children(const char *name, int *pid)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int count = 0;

	ck_assert_ptr_nonnull(proc);
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    !is_child(entry->d_name, name))
			continue;
		count++;
		if (pid)
			*pid = atoi(entry->d_name);
	}
	closedir(proc);
	return count;
}

static int remove_below(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level > 0 ? remove(path) : 0;
}

void machine_clear(void)
{
	ck_assert_int_eq(nftw(machine_directory, remove_below, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void machine_put(const char *name, const char *text, unsigned int mode)
{
	int fd;

	snprintf(machine_path, sizeof(machine_path), "%s/%s", machine_directory, name);
	fd = open(machine_path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

void machine_on_host(const char *command)
{
	char text[2048];

	snprintf(text, sizeof(text), "cd %s && PATH=$PATH:/sbin:/usr/sbin && %s", machine_directory,
		 command);
	// NOLINTNEXTLINE(cert-env33-c): the directory's name is the test's own
	ck_assert_int_eq(system(text), 0);
}

uint64_t machine_now_ms(void)
{
	return monotonic_ns() / 1000000u;
}
