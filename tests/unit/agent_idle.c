/* Requests that wait: nothing looks for what they wait for, it wakes them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_files.h"
#include "agent_jobs.h"
#include "common/util.h"
#include "unit.h"

/* Milliseconds without anything to do, and what may happen in them. */
#define IDLE_MS      2500
#define IDLE_ALLOWED 1

/* The server's thread: the one that is not the test's. */
static pid_t server_thread(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t found = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid != 0 && tid != getpid()) {
			ck_assert_int_eq(found, 0);
			found = tid;
		}
	}
	closedir(dir);
	ck_assert_int_ne(found, 0);
	return found;
}

/* How often the thread has gone to sleep. */
static unsigned long count_sleeps(pid_t tid)
{
	static const char field[] = "voluntary_ctxt_switches:";
	char path[64], line[256];
	unsigned long count = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof(line), file)) {
		found = strncmp(line, field, strlen(field)) == 0;
		if (found)
			count = strtoul(line + strlen(field), NULL, 10);
	}
	fclose(file);
	ck_assert(found);
	return count;
}

/* FILE_DATA of a TAIL with this text; then it is ended. */
static void expect_tail(struct client *from, uint32_t id, uint64_t offset, const char *text)
{
	expect_text(from, id, offset, text);
	client_cancel(from, id);
	client_expect_ok(from, id);
	client_expect(from, BODY(OK));
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(woken)
{
	char file[256], fifo[256], gate[256], command[600];
	struct client waiters[2], tails[2];
	uint32_t wait_ids[2], tail_ids[2], output, exec;
	pid_t server = server_thread();
	struct outcome ended;
	unsigned long sleeps;
	int held;
	uint64_t job;

	snprintf(file, sizeof(file), "%s", test_path("file"));
	snprintf(fifo, sizeof(fifo), "%s", test_path("fifo"));
	snprintf(gate, sizeof(gate), "%s", test_path("gate"));
	make_file(file, 10, 0600);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(mkfifo(gate, 0600), 0);
	held = open(fifo, O_RDWR | O_CLOEXEC);
	snprintf(command, sizeof(command), "echo begin; read -r line <%s; echo end; exit 5", gate);
	job = start_job(&client, command);
	eventually(job_entry(&client, job).stdout_bytes == 6);

	for (size_t i = 0; i < 2; i++) {
		client_connect(&waiters[i]);
		client_connect(&tails[i]);
		/* With a limit, which is far away, and without. */
		wait_ids[i] = wait_job(&waiters[i], job_number(job), i ? ABSENT : 60000, false);
		tail_ids[i] = tail_from_end(&tails[i], i ? fifo : file);
		client_ping(&waiters[i]);
		client_ping(&tails[i]);
	}
	output = read_job(&other, job_number(job), 0, 6, true);
	client_ping(&other);
	snprintf(command, sizeof(command), "read -r line <%s; exit 6", gate);
	exec = client_shell(&client, command);
	client_ping(&client);

	/* What they have caused is over. */
	usleep(500000);
	sleeps = count_sleeps(server);
	usleep(IDLE_MS * 1000);
	ck_assert_uint_le(count_sleeps(server), sleeps + IDLE_ALLOWED);

	put(gate, "go\ngo\n");
	job_collect(&other, output, &outcome);
	ck_assert_uint_eq(outcome.bytes, 4);
	ck_assert_str_eq((const char *)outcome.outcome.output[0], "end\n");
	put(file, "more");
	put(fifo, "data");
	for (size_t i = 0; i < 2; i++) {
		job_expect_exit(&waiters[i], wait_ids[i], job, 5);
		expect_tail(&tails[i], tail_ids[i], i ? 0 : 10, i ? "data" : "more");
		client_close(&waiters[i]);
		client_close(&tails[i]);
	}
	client_collect(&client, exec, &ended);
	outcome_expect_exit(&ended, 6);
	outcome_free(&ended);
	close(held);
}
END_TEST

static Suite *idle_suite(void)
{
	Suite *suite = suite_create("agent: idle");
	TCase *tcase = unit_counted_case("two clients");

	tcase_add_checked_fixture(tcase, jobs_start, jobs_stop);
	tcase_add_test(tcase, woken);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(idle_suite());
}
