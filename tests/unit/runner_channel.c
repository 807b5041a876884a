/* Messages: each kind there and back, and what is none. */
#include "host/runner/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "host/runner/child.h"
#include "unit.h"

static int ends[2];

static void set_up(void)
{
	struct provium_error error;

	ck_assert_int_eq(channel_make(ends, &error), 0);
}

static void tear_down(void)
{
	close(ends[0]);
	close(ends[1]);
}

static enum channel_outcome receive(struct message *message, struct provium_error *error)
{
	return channel_receive(ends[0], MSG_DONTWAIT, true, message, error);
}

static void send_well(const struct message *message)
{
	struct provium_error error;

	if (channel_send(ends[1], message, MSG_DONTWAIT, &error) < 0)
		ck_abort_msg("%s", error.message);
}

START_TEST(there_and_back)
{
	struct message sent = {
		.kind = MESSAGE_SUBTEST_ENDED,
		.number = HARNESS_TODO,
		.texts = { (char *)"name", (char *)"" },
	};
	struct provium_error error;
	struct message got;

	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_int_eq(got.kind, MESSAGE_SUBTEST_ENDED);
	ck_assert_uint_eq(got.number, HARNESS_TODO);
	ck_assert_str_eq(got.texts[0], "name");
	ck_assert_str_eq(got.texts[1], "");
	message_finish(&got);

	sent.texts[1] = NULL;
	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_ptr_null(got.texts[1]);
	message_finish(&got);

	sent = (struct message){ .kind = MESSAGE_ACQUIRE, .memory = 1ull << 40, .cpus = 7 };
	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_uint_eq(got.memory, 1ull << 40);
	ck_assert_uint_eq(got.cpus, 7);
	message_finish(&got);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_EMPTY);
	shutdown(ends[1], SHUT_RDWR);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_ENDED);
}
END_TEST

/* What it has sent is read though it has not read all that it was sent. */
START_TEST(last_words)
{
	const struct message granted = { .kind = MESSAGE_GRANTED };
	const struct message done = { .kind = MESSAGE_DONE, .number = 3 };
	struct provium_error error;
	struct message got;

	ck_assert_int_eq(channel_send(ends[0], &granted, MSG_DONTWAIT, &error), 0);
	send_well(&done);
	close(ends[1]);
	ends[1] = -1;
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_uint_eq(got.number, 3);
	message_finish(&got);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_ENDED);
	ck_assert_int_eq(channel_send(ends[0], &granted, MSG_DONTWAIT, &error), -1);
	ck_assert_int_eq(error.os_errno, EPIPE);
}
END_TEST

START_TEST(cuts)
{
	struct message sent = { .kind = MESSAGE_SUBTEST_ENDED };
	struct provium_error error;
	struct message got;
	char *text = malloc(200001);

	memset(text, 'x', 200000);
	text[200000] = '\0';
	sent.texts[0] = text;
	sent.texts[1] = text;
	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_uint_eq(strlen(got.texts[0]), CHANNEL_MAX_NAME);
	ck_assert_uint_eq(strlen(got.texts[1]), CHANNEL_MAX_MESSAGE);
	message_finish(&got);

	/* These are refused instead. */
	sent.kind = MESSAGE_FIXTURE;
	ck_assert_int_eq(channel_send(ends[1], &sent, 0, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_LIMIT);
	sent.kind = MESSAGE_FIXTURE_BUILT;
	sent.texts[0] = (char *)"f";
	ck_assert_int_eq(channel_send(ends[1], &sent, 0, &error), -1);
	text[HARNESS_MAX_TEXT] = '\0';
	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_uint_eq(strlen(got.texts[1]), HARNESS_MAX_TEXT);
	message_finish(&got);
	free(text);
}
END_TEST

START_TEST(descriptors)
{
	struct message sent = {
		.kind = MESSAGE_FIXTURE_BUILT,
		.texts = { (char *)"f", (char *)"text" },
		.n_fds = HARNESS_MAX_FDS,
	};
	struct provium_error error;
	struct message got;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < HARNESS_MAX_FDS; i++)
		sent.fds[i] = fd;
	send_well(&sent);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_RECEIVED);
	ck_assert_uint_eq(got.n_fds, HARNESS_MAX_FDS);
	for (size_t i = 0; i < HARNESS_MAX_FDS; i++)
		ck_assert_int_eq(fcntl(got.fds[i], F_GETFD), FD_CLOEXEC);
	message_finish(&got);
	close(fd);
}
END_TEST

/* The runner does not wait for who does not read. */
START_TEST(does_not_block)
{
	const struct message granted = { .kind = MESSAGE_GRANTED };
	struct provium_error error = { 0 };
	unsigned int sent = 0;

	while (sent < 1000000 && channel_send(ends[0], &granted, MSG_DONTWAIT, &error) == 0)
		sent++;
	ck_assert_uint_lt(sent, 1000000);
	ck_assert_int_eq(error.code, PROVIUM_BUSY);
}
END_TEST

/* As in channel.c: on purpose once more, for what comes from a process that has gone mad. */
struct raw {
	uint32_t kind;
	uint32_t number;
	uint32_t cpus;
	uint32_t sizes[2];
	uint32_t reserved;
	uint64_t memory;
	char texts[100000];
};

static void is_broken(const void *bytes, size_t size, int fd)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct msghdr envelope = { .msg_iov = &part, .msg_iovlen = 1 };
	struct provium_error error;
	struct message got;

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		envelope.msg_control = &control;
		envelope.msg_controllen = sizeof(control);
	}
	ck_assert_int_eq(sendmsg(ends[1], &envelope, MSG_DONTWAIT), (ssize_t)size);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_BROKEN);
	ck_assert_int_eq(error.code, PROVIUM_PROTOCOL);
}

START_TEST(hostile)
{
	static struct raw raw;
	const size_t header = offsetof(struct raw, texts);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	is_broken("x", 1, -1);
	is_broken(&raw, header - 1, -1);
	/* A text is missing. */
	is_broken(&raw, header, -1);
	raw.sizes[0] = 5;
	is_broken(&raw, header, -1);
	is_broken(&raw, header + 3, -1);
	is_broken(&raw, header + 5, -1);
	/* A NUL in it. */
	is_broken(&raw, header + 4, -1);
	memcpy(raw.texts, "abcd", 4);
	is_broken(&raw, header + 4, fd);
	raw.sizes[1] = 1;
	is_broken(&raw, header + 4, -1);
	raw.sizes[1] = UINT32_MAX;
	is_broken(&raw, header + 3, -1);
	raw.sizes[1] = 0;
	raw.memory = 1;
	is_broken(&raw, header + 4, -1);
	raw.memory = 0;
	raw.cpus = 1;
	is_broken(&raw, header + 4, -1);
	raw.cpus = 0;
	raw.number = 1;
	is_broken(&raw, header + 4, -1);
	raw.number = 0;
	raw.sizes[0] = CHANNEL_MAX_NAME + 2;
	is_broken(&raw, header + CHANNEL_MAX_NAME + 1, -1);
	raw.sizes[0] = 5;
	for (uint32_t kind = MESSAGE_GRANTED; kind < MESSAGE_KINDS + 5; kind++) {
		raw.kind = kind;
		is_broken(&raw, header + 4, -1);
	}
	raw.kind = UINT32_MAX;
	is_broken(&raw, header + 4, -1);
	raw.kind = MESSAGE_SUBTEST_ENDED;
	raw.number = HARNESS_TODO + 1;
	is_broken(&raw, header + 4, -1);
	/* More than there can be. */
	is_broken(&raw, sizeof(raw), fd);
	close(fd);
}
END_TEST

/* None of them stays open: the case counts. */
START_TEST(too_many_descriptors)
{
	static struct raw raw = {
		.kind = MESSAGE_FIXTURE_BUILT,
		.sizes = { 2, 2 },
		.texts = "fx",
	};
	enum {
		COUNT = HARNESS_MAX_FDS + 1
	};
	struct iovec part = { .iov_base = &raw, .iov_len = offsetof(struct raw, texts) + 2 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * COUNT)];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int) * COUNT) } };
	struct msghdr envelope = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct provium_error error;
	struct message got;

	for (size_t i = 0; i < COUNT; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof(fd), &fd, sizeof(fd));
	ck_assert_int_gt(sendmsg(ends[1], &envelope, MSG_DONTWAIT), 0);
	ck_assert_int_eq(receive(&got, &error), CHANNEL_BROKEN);
	ck_assert_ptr_nonnull(strstr(error.message, "its descriptors are too many"));
	close(fd);
}
END_TEST

/* Bytes by chance: nothing is taken that breaks a rule, and nothing is left open. */
START_TEST(random_bytes)
{
	static struct raw raw;
	unsigned int received = 0;

	srandom(7);
	for (unsigned int i = 0; i < 20000; i++) {
		struct provium_error error;
		struct message got;
		size_t size = offsetof(struct raw, texts) + (size_t)random() % 40;

		raw.kind = (uint32_t)random() % (MESSAGE_KINDS + 1);
		raw.number = (uint32_t)random() % 4;
		raw.cpus = random() % 4 ? 0 : 1;
		raw.memory = random() % 4 ? 0 : 1;
		raw.sizes[0] = (uint32_t)random() % 20;
		raw.sizes[1] = (uint32_t)random() % 20;
		if (random() % 2)
			size = offsetof(struct raw, texts) + (raw.sizes[0] ? raw.sizes[0] - 1 : 0) +
			       (raw.sizes[1] ? raw.sizes[1] - 1 : 0);
		memset(raw.texts, 'x', 64);
		ck_assert_int_eq(send(ends[1], &raw, size, MSG_DONTWAIT), (ssize_t)size);
		if (receive(&got, &error) != CHANNEL_RECEIVED)
			continue;
		received++;
		ck_assert_uint_lt(got.kind, MESSAGE_GRANTED);
		for (size_t j = 0; j < CHANNEL_TEXTS; j++)
			ck_assert(!got.texts[j] || strlen(got.texts[j]) < 20);
		message_finish(&got);
	}
	ck_assert_uint_gt(received, 100);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* The harness on the other end */

static int tell_all(const char *path, const struct harness *harness)
{
	struct provium_error error;
	int fds[HARNESS_MAX_FDS];
	size_t n_fds;
	char *text;
	bool build;

	ck_assert_str_eq(path, "path");
	ck_assert_str_eq(harness->log_directory, "logs");
	ck_assert_int_eq(harness->accel, PROVIUM_ACCEL_KVM);
	if (harness->acquire(harness->user, 5, 6, &error) != 0)
		return 1;
	if (harness->acquire(harness->user, 5, 6, &error) != -1 || error.code != PROVIUM_LIMIT ||
	    strcmp(error.message, "why not") != 0)
		return 2;
	if (harness->fixture(harness->user, "f", &build, &text, fds, &n_fds, &error) != 0 ||
	    !build || text)
		return 3;
	if (harness->fixture(harness->user, "f", &build, &text, fds, &n_fds, &error) != 0 ||
	    build || strcmp(text, "snapshot") != 0 || n_fds != 1)
		return 4;
	/* It fails, and they are told. */
	harness->fixture_built(harness->user, "f", NULL, NULL, 0, NULL);
	harness->fixture_built(harness->user, "f", "text", fds, HARNESS_MAX_FDS + 1, NULL);
	fds[0] = -1;
	harness->fixture_built(harness->user, "f", "text", fds, 1, NULL);
	return 42;
}

static void expect(enum message_kind kind, struct message *message)
{
	struct provium_error error;

	if (channel_receive(ends[0], 0, true, message, &error) != CHANNEL_RECEIVED)
		ck_abort_msg("no message of kind %d", kind);
	ck_assert_int_eq(message->kind, kind);
}

START_TEST(harness)
{
	const struct child_options options = {
		.path = "path",
		.log_directory = "logs",
		.accel = PROVIUM_ACCEL_KVM,
		.run = tell_all,
		.channel = ends[1],
	};
	struct message answer = { .kind = MESSAGE_GRANTED };
	struct provium_error error;
	struct message got;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		child_run(&options);
	expect(MESSAGE_ACQUIRE, &got);
	ck_assert_uint_eq(got.memory, 5);
	ck_assert_uint_eq(got.cpus, 6);
	message_finish(&got);
	ck_assert_int_eq(channel_send(ends[0], &answer, 0, &error), 0);
	expect(MESSAGE_ACQUIRE, &got);
	message_finish(&got);
	answer = (struct message){ .kind = MESSAGE_REFUSED,
				   .number = PROVIUM_LIMIT,
				   .texts = { NULL, (char *)"why not" } };
	ck_assert_int_eq(channel_send(ends[0], &answer, 0, &error), 0);
	expect(MESSAGE_FIXTURE, &got);
	ck_assert_str_eq(got.texts[0], "f");
	message_finish(&got);
	answer = (struct message){ .kind = MESSAGE_FIXTURE_BUILD };
	ck_assert_int_eq(channel_send(ends[0], &answer, 0, &error), 0);
	expect(MESSAGE_FIXTURE, &got);
	message_finish(&got);
	answer = (struct message){ .kind = MESSAGE_FIXTURE_HERE,
				   .texts = { NULL, (char *)"snapshot" },
				   .fds = { ends[0] },
				   .n_fds = 1 };
	ck_assert_int_eq(channel_send(ends[0], &answer, 0, &error), 0);
	for (unsigned int i = 0; i < 3; i++) {
		expect(MESSAGE_FIXTURE_BUILT, &got);
		ck_assert_uint_eq(got.number, 1);
		ck_assert_uint_eq(got.n_fds, 0);
		ck_assert_ptr_nonnull(got.texts[1]);
		message_finish(&got);
	}
	expect(MESSAGE_DONE, &got);
	ck_assert_uint_eq(got.number, 42);
	message_finish(&got);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 42);
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-channel");
	TCase *tcase = unit_counted_case("channel");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, there_and_back);
	tcase_add_test(tcase, last_words);
	tcase_add_test(tcase, cuts);
	tcase_add_test(tcase, descriptors);
	tcase_add_test(tcase, does_not_block);
	tcase_add_test(tcase, hostile);
	tcase_add_test(tcase, too_many_descriptors);
	tcase_add_test(tcase, random_bytes);
	tcase_add_test(tcase, harness);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
