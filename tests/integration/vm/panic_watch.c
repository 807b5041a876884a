#include "tests/integration/vm/panic_watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static void *read_console(void *argument)
{
	struct panic_watch *watch = argument;
	char text[1 << 17];
	size_t size = 0;
	ssize_t count;

	while (size < sizeof(text) - 1 &&
	       (count = read(watch->fd, text + size, sizeof(text) - 1 - size)) > 0) {
		size += (size_t)count;
		text[size] = '\0';
		if (!watch->panicked && strstr(text, "Kernel panic - not syncing"))
			watch->panicked = machine_now_ms();
		if (!watch->over && strstr(text, "---[ end Kernel panic"))
			watch->over = machine_now_ms();
	}
	return NULL;
}

void panic_watch_open(struct panic_watch *watch, struct provium_vm_options *options)
{
	*watch = (struct panic_watch){ 0 };
	snprintf(watch->path, sizeof(watch->path), "%s/console", machine_directory);
	ck_assert_int_eq(mkfifo(watch->path, 0600), 0);
	watch->fd = open(watch->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(watch->fd, 0);
	options->console = watch->path;
}

void panic_watch_start(struct panic_watch *watch)
{
	/* Its writer is there now: reading waits for it from here on. */
	ck_assert_int_eq(fcntl(watch->fd, F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&watch->thread, NULL, read_console, watch), 0);
}

void panic_watch_finish(struct panic_watch *watch)
{
	pthread_join(watch->thread, NULL);
	ck_assert_uint_gt(watch->panicked, 0);
	close(watch->fd);
	unlink(watch->path);
}
