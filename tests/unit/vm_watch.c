/* The thread that takes what guest and programs print. */
#include "host/lib/vm_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

static struct vm_watch watch;
/* What the sources write to. */
static int writers[VM_SOURCES];
static char directory[64];
static char path[96];

static void start_with(int file_fd)
{
	int readers[VM_SOURCES];
	struct provium_error error;

	for (int i = 0; i < VM_SOURCES; i++) {
		int fds[2];

		ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
		readers[i] = fds[0];
		writers[i] = fds[1];
	}
	ck_assert_int_eq(vm_watch_start(&watch, readers, file_fd, &error), 0);
}

static void start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/vm-watch-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/console", directory);
	for (int i = 0; i < VM_SOURCES; i++)
		writers[i] = -1;
}

static void start_with_file(void)
{
	start_with(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void finish(void)
{
	vm_watch_stop(&watch);
	for (int i = 0; i < VM_SOURCES; i++)
		writers[i] = close_fd(writers[i]);
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void say(enum vm_source source, const char *text)
{
	ck_assert_int_eq(write(writers[source], text, strlen(text)), (ssize_t)strlen(text));
}

static void end(enum vm_source source)
{
	writers[source] = close_fd(writers[source]);
	vm_watch_drain(&watch, source, 10000);
}

static void check_tail(enum vm_source source, const char *wanted)
{
	char *tail = vm_watch_tail(&watch, source, 30, 4096);

	ck_assert_str_eq(tail, wanted);
	free(tail);
}

static bool news_within(int timeout_ms)
{
	struct pollfd event = { .fd = watch.event_fd, .events = POLLIN };

	return poll(&event, 1, timeout_ms) == 1;
}

START_TEST(test_sources)
{
	start_with_file();
	say(VM_SOURCE_CONSOLE, "from the guest\n");
	say(VM_SOURCE_QEMU, "from QEMU\n");
	say(VM_SOURCE_VSOCK, "from provium-vsock");
	for (int i = 0; i < VM_SOURCES; i++)
		end(i);
	check_tail(VM_SOURCE_CONSOLE, "  from the guest");
	check_tail(VM_SOURCE_QEMU, "  from QEMU");
	check_tail(VM_SOURCE_VSOCK, "  from provium-vsock");
	ck_assert(!news_within(0));
}
END_TEST

/* What is printed is taken though nobody asks, and every byte is in the file. */
START_TEST(test_file)
{
	static char text[1 << 20];
	static char found[(1 << 20) + 1];
	size_t size = 0;
	ssize_t n;
	int fd;

	start_with_file();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + (i * 7919 + i / 256) % 26);
	ck_assert_int_eq(write(writers[VM_SOURCE_CONSOLE], text, sizeof(text)),
			 (ssize_t)sizeof(text));
	end(VM_SOURCE_CONSOLE);
	vm_watch_stop(&watch);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while ((n = read(fd, found + size, sizeof(found) - size)) > 0)
		size += (size_t)n;
	close(fd);
	ck_assert_uint_eq(size, sizeof(text));
	ck_assert(memcmp(text, found, sizeof(text)) == 0);
}
END_TEST

START_TEST(test_fatal)
{
	struct vm_findings findings;

	start_with_file();
	say(VM_SOURCE_CONSOLE, "provium-agent: fatal: no vsock\n");
	ck_assert(news_within(10000));
	vm_watch_findings(&watch, &findings);
	ck_assert_str_eq(findings.fatal, "no vsock");
	/* Told once; what follows is no news. */
	say(VM_SOURCE_CONSOLE, "provium-agent: fatal: again\n");
	end(VM_SOURCE_CONSOLE);
	ck_assert(!news_within(0));
}
END_TEST

/* The last line may lack its end. */
START_TEST(test_unfinished)
{
	struct vm_findings findings;

	start_with_file();
	say(VM_SOURCE_CONSOLE, "provium-agent: fatal: cut");
	end(VM_SOURCE_CONSOLE);
	vm_watch_findings(&watch, &findings);
	ck_assert_str_eq(findings.fatal, "cut");
}
END_TEST

START_TEST(test_panic)
{
	struct vm_findings findings;
	uint64_t panicked, start = monotonic_ns();

	start_with_file();
	say(VM_SOURCE_CONSOLE, "[    1.0] Kernel panic - not syncing: w\n");
	say(VM_SOURCE_CONSOLE, "[    1.0] Kernel panic - not syncing: x\n");
	ck_assert(!news_within(100));
	vm_watch_findings(&watch, &findings);
	panicked = findings.panicked_ns;
	ck_assert(start <= panicked && panicked <= monotonic_ns());
	say(VM_SOURCE_CONSOLE, "[    1.0] ---[ end Kernel panic - not syncing: x ]---\n");
	ck_assert(news_within(10000));
	vm_watch_findings(&watch, &findings);
	ck_assert_str_eq(findings.panic, "w");
	ck_assert(findings.panic_over);
	ck_assert_uint_eq(findings.panicked_ns, panicked);
}
END_TEST

/* What QEMU says is never the guest's. */
START_TEST(test_other_sources)
{
	struct vm_findings findings;

	start_with_file();
	say(VM_SOURCE_QEMU, "provium-agent: fatal: x\nKernel panic - not syncing: x\n");
	end(VM_SOURCE_QEMU);
	ck_assert(!news_within(0));
	vm_watch_findings(&watch, &findings);
	ck_assert_str_eq(findings.fatal, "");
	ck_assert_str_eq(findings.panic, "");
}
END_TEST

/* A disk that is full: told once, and the guest goes on. /dev/full is one. */
START_TEST(test_full_disk)
{
	struct vm_findings findings;

	start_with(open("/dev/full", O_WRONLY | O_CLOEXEC));
	say(VM_SOURCE_CONSOLE, "one\n");
	ck_assert(news_within(10000));
	vm_watch_findings(&watch, &findings);
	ck_assert_int_eq(findings.file_errno, ENOSPC);
	for (int i = 0; i < 20000; i++)
		say(VM_SOURCE_CONSOLE, "two\n");
	end(VM_SOURCE_CONSOLE);
	ck_assert(!news_within(0));
}
END_TEST

/* A terminal or FIFO that nobody reads holds the guest up, and nothing is lost when it is read. */
START_TEST(test_blocked_file)
{
	static char chunk[65536];
	size_t total = 0;
	size_t got = 0;
	ssize_t n;
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(reader, 0);
	start_with(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	fcntl(writers[VM_SOURCE_CONSOLE], F_SETFL, O_NONBLOCK);
	memset(chunk, 'x', sizeof(chunk));
	for (int idle = 0; idle < 20;) {
		n = write(writers[VM_SOURCE_CONSOLE], chunk, sizeof(chunk));
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(5000);
	}
	/* Bounded: the pipe, the FIFO and the thread's buffer. */
	ck_assert_uint_lt(total, 400000);
	writers[VM_SOURCE_CONSOLE] = close_fd(writers[VM_SOURCE_CONSOLE]);
	for (int idle = 0; idle < 200 && got < total;) {
		n = read(reader, chunk, sizeof(chunk));
		got += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(n > 0 ? 0 : 5000);
	}
	ck_assert_uint_eq(got, total);
	close(reader);
}
END_TEST

/* It can be stopped while its file blocks. */
START_TEST(test_stop_blocked)
{
	static char chunk[65536];
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	start_with(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	for (int i = 0; i < 2; i++)
		ck_assert_int_gt(write(writers[VM_SOURCE_CONSOLE], chunk, sizeof(chunk)), 0);
	vm_watch_stop(&watch);
	close(reader);
}
END_TEST

/* The reader of a FIFO goes away: no SIGPIPE, and it is told. */
START_TEST(test_reader_gone)
{
	struct vm_findings findings;
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	start_with(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	close(reader);
	say(VM_SOURCE_CONSOLE, "x\n");
	ck_assert(news_within(10000));
	vm_watch_findings(&watch, &findings);
	ck_assert_int_eq(findings.file_errno, EPIPE);
}
END_TEST

/* A guest that prints without end: the file has a limit, and says so at its end. */
START_TEST(test_limit)
{
	static char chunk[1 << 20];
	struct vm_findings findings;
	struct stat st;
	char last[80] = "";
	int fd;

	start_with_file();
	memset(chunk, 'x', sizeof(chunk));
	/* Sparse: what was "written" before costs nothing. */
	pthread_mutex_lock(&watch.lock);
	watch.file_size = VM_CONSOLE_FILE_LIMIT - sizeof(chunk) / 2;
	pthread_mutex_unlock(&watch.lock);
	ck_assert_int_eq(write(writers[VM_SOURCE_CONSOLE], chunk, sizeof(chunk)),
			 (ssize_t)sizeof(chunk));
	ck_assert(news_within(10000));
	vm_watch_findings(&watch, &findings);
	ck_assert_int_eq(findings.file_errno, EFBIG);
	say(VM_SOURCE_CONSOLE, "\nthe last line\n");
	end(VM_SOURCE_CONSOLE);
	vm_watch_stop(&watch);

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_ge(st.st_size, sizeof(chunk) / 2);
	ck_assert_int_lt(st.st_size, sizeof(chunk) / 2 + 20000);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, last, sizeof(last) - 1, st.st_size - (off_t)sizeof(last) + 1),
			 sizeof(last) - 1);
	close(fd);
	ck_assert_msg(strstr(last, "is full"), "%s", last);
}
END_TEST

/* The end of the console is known though its file has ended. */
START_TEST(test_tail_behind_limit)
{
	start_with(open("/dev/full", O_WRONLY | O_CLOEXEC));
	say(VM_SOURCE_CONSOLE, "one\n");
	say(VM_SOURCE_CONSOLE, "two\n");
	end(VM_SOURCE_CONSOLE);
	check_tail(VM_SOURCE_CONSOLE, "  one\n  two");
}
END_TEST

START_TEST(test_no_thread)
{
	const int fds[VM_SOURCES] = { -1, -1, -1 };
	struct provium_error error;
	struct rlimit before;
	struct rlimit none;

	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	ck_assert_int_eq(vm_watch_start(&watch, fds, -1, &error), -1);
	ck_assert_int_eq(error.os_errno, EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	/* Nothing is there to stop. */
	vm_watch_stop(&watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-watch");
	TCase *tcase = unit_counted_case("watch");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_sources);
	tcase_add_test(tcase, test_file);
	tcase_add_test(tcase, test_fatal);
	tcase_add_test(tcase, test_unfinished);
	tcase_add_test(tcase, test_panic);
	tcase_add_test(tcase, test_other_sources);
	tcase_add_test(tcase, test_full_disk);
	tcase_add_test(tcase, test_blocked_file);
	tcase_add_test(tcase, test_stop_blocked);
	tcase_add_test(tcase, test_reader_gone);
	tcase_add_test(tcase, test_limit);
	tcase_add_test(tcase, test_tail_behind_limit);
	tcase_add_test(tcase, test_no_thread);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
