/* A message arrives whole, however standard error takes it. */
#include "host/cli/report.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

/* Many times what the pipe holds. */
#define MESSAGE_SIZE KIB(100)

static char message[MESSAGE_SIZE + 1];
static char received[2 * MESSAGE_SIZE];
static size_t received_size;

static void setup(void)
{
	for (size_t i = 0; i < MESSAGE_SIZE; i++)
		message[i] = (char)('a' + i % 23);
	received_size = 0;
}

/* Slowly, so that the pipe is full again and again. */
static void *read_all(void *fd)
{
	ssize_t count;

	do {
		usleep(300);
		count = read(*(int *)fd, received + received_size,
			     MIN(sizeof(received) - received_size, (size_t)1000));
		if (count > 0)
			received_size += (size_t)count;
	} while (count > 0);
	return NULL;
}

static void ignore(int number)
{
	(void)number;
}

static void send_through_pipe(int flags)
{
	int ends[2], saved = dup(STDERR_FILENO);
	pthread_t reader;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, flags), 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &ends[0]), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	report(message);
	dup2(saved, STDERR_FILENO);
	close(saved);
	pthread_join(reader, NULL);
	close(ends[0]);

	ck_assert_uint_eq(received_size, strlen("provium: ") + MESSAGE_SIZE + 1);
	ck_assert_mem_eq(received, "provium: ", 9);
	ck_assert_mem_eq(received + 9, message, MESSAGE_SIZE);
	ck_assert_int_eq(received[received_size - 1], '\n');
}

START_TEST(test_non_blocking)
{
	send_through_pipe(O_NONBLOCK);
}
END_TEST

START_TEST(test_interrupted)
{
	const struct sigaction action = { .sa_handler = ignore };
	const struct itimerval often = { { 0, 200 }, { 0, 200 } };
	const struct itimerval never = { 0 };

	sigaction(SIGALRM, &action, NULL);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	send_through_pipe(0);
	setitimer(ITIMER_REAL, &never, NULL);
}
END_TEST

START_TEST(test_nobody_reads)
{
	int ends[2], saved = dup(STDERR_FILENO);

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	report("nobody");
	close(STDERR_FILENO);
	report("closed");
	dup2(saved, STDERR_FILENO);
	close(saved);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_report");
	TCase *tcase = tcase_create("report");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, test_non_blocking);
	tcase_add_test(tcase, test_interrupted);
	tcase_add_test(tcase, test_nobody_reads);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
