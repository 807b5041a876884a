#include "host/runner/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

/* What is sent, in front of the texts, which have no NUL. */
struct header {
	uint32_t kind;
	uint32_t number;
	uint32_t cpus;
	/* One more than the length; 0: absent. */
	uint32_t sizes[CHANNEL_TEXTS];
	uint32_t reserved;
	uint64_t memory;
};

/* The longest message, which fits into the socket's buffer (socket(7), wmem_default: 212992). */
#define MAX_SIZE  (sizeof(struct header) + CHANNEL_MAX_NAME + HARNESS_MAX_TEXT)

#define NAME      CHANNEL_MAX_NAME
#define MESSAGE   CHANNEL_MAX_MESSAGE
#define NO_NUMBER 0

/* What a message of each kind may carry. */
static const struct rule {
	bool to_runner;
	/* The largest number. */
	uint32_t number;
	/* Memory and processors. */
	bool amounts;
	bool fds;
	/* The longest text; 0: none. */
	size_t texts[CHANNEL_TEXTS];
	/* The text must be there. */
	bool required[CHANNEL_TEXTS];
	/* No text is cut: part of it is of no use. */
	bool whole;
} rules[] = {
	[MESSAGE_SUBTEST_STARTED] = { .to_runner = true, .texts = { NAME }, .required = { true } },
	[MESSAGE_SUBTEST_ENDED] = { .to_runner = true,
				    .number = HARNESS_TODO,
				    .texts = { NAME, MESSAGE },
				    .required = { true } },
	[MESSAGE_FILE_ENDED] = { .to_runner = true,
				 .number = HARNESS_TODO,
				 .texts = { 0, MESSAGE } },
	[MESSAGE_ACQUIRE] = { .to_runner = true, .amounts = true },
	[MESSAGE_RELEASE] = { .to_runner = true, .amounts = true },
	[MESSAGE_GUEST_STARTED] = { .to_runner = true,
				    .number = UINT32_MAX,
				    .texts = { NAME, MESSAGE },
				    .required = { true } },
	[MESSAGE_GUEST_ENDED] = { .to_runner = true, .number = UINT32_MAX },
	[MESSAGE_SPLAT] = { .to_runner = true,
			    .number = UINT32_MAX,
			    .texts = { NAME, MESSAGE },
			    .required = { true } },
	[MESSAGE_FIXTURE] = { .to_runner = true,
			      .texts = { NAME },
			      .required = { true },
			      .whole = true },
	[MESSAGE_FIXTURE_BUILT] = { .to_runner = true,
				    .number = 1,
				    .fds = true,
				    .texts = { NAME, HARNESS_MAX_TEXT },
				    .required = { true, true },
				    .whole = true },
	[MESSAGE_DONE] = { .to_runner = true, .number = 255 },
	[MESSAGE_GRANTED] = { .number = NO_NUMBER },
	[MESSAGE_REFUSED] = { .number = PROVIUM_SPLAT,
			      .texts = { 0, MESSAGE },
			      .required = { false, true } },
	[MESSAGE_FIXTURE_BUILD] = { .number = NO_NUMBER },
	[MESSAGE_FIXTURE_HERE] = { .fds = true,
				   .texts = { 0, HARNESS_MAX_TEXT },
				   .required = { false, true },
				   .whole = true },
};

_Static_assert(ARRAY_SIZE(rules) == MESSAGE_KINDS, "a rule for each kind");

int channel_make(int fds[2], struct provium_error *error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(error, PROVIUM_HOST, errno, "socket of a test");
	return 0;
}

/* Space for the descriptors, aligned as cmsg(3) wants it. */
union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int) * HARNESS_MAX_FDS)];
};

static void put_fds(struct msghdr *envelope, union control *control, const struct message *message)
{
	size_t size = sizeof(int) * message->n_fds;

	if (message->n_fds == 0)
		return;
	memset(control, 0, sizeof(*control));
	control->head.cmsg_level = SOL_SOCKET;
	control->head.cmsg_type = SCM_RIGHTS;
	control->head.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control->head), message->fds, size);
	envelope->msg_control = control;
	envelope->msg_controllen = CMSG_SPACE(size);
}

int channel_send(int fd, const struct message *message, int flags, struct provium_error *error)
{
	struct header header = {
		.kind = message->kind,
		.number = message->number,
		.cpus = message->cpus,
		.memory = message->memory,
	};
	struct iovec parts[1 + CHANNEL_TEXTS] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
	};
	struct msghdr envelope = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	const struct rule *rule = &rules[message->kind];
	union control control;

	for (size_t i = 0; i < CHANNEL_TEXTS; i++) {
		size_t length;

		if (!message->texts[i])
			continue;
		length = strnlen(message->texts[i], rule->texts[i]);
		if (rule->whole && message->texts[i][length])
			return error_set(error, PROVIUM_LIMIT, 0,
					 "'%.40s...' is longer than %zu bytes", message->texts[i],
					 rule->texts[i]);
		header.sizes[i] = (uint32_t)length + 1;
		parts[1 + i].iov_base = message->texts[i];
		parts[1 + i].iov_len = length;
	}
	put_fds(&envelope, &control, message);
	while (sendmsg(fd, &envelope, flags | MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN)
			return error_set(error, PROVIUM_BUSY, 0,
					 "the test does not read what it asked for");
		if (errno != EINTR)
			return error_set(error, PROVIUM_HOST, errno, "send");
	}
	return 0;
}

/* Takes the descriptors over, whatever else is wrong. */
static void take_fds(struct msghdr *envelope, struct message *message)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(envelope); item;
	     item = CMSG_NXTHDR(envelope, item)) {
		size_t count;

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		count = MIN(count, (size_t)HARNESS_MAX_FDS - message->n_fds);
		memcpy(message->fds + message->n_fds, CMSG_DATA(item), count * sizeof(int));
		message->n_fds += count;
	}
}

static int broken(struct provium_error *error, const char *what, const struct header *header)
{
	return error_set(error, PROVIUM_PROTOCOL, 0, "a message of kind %u: %s", header->kind,
			 what);
}

static int check(const struct header *header, size_t size, bool to_runner,
		 const struct message *message, struct provium_error *error)
{
	uint64_t wanted = sizeof(*header);
	const struct rule *rule;

	if (header->kind >= MESSAGE_KINDS || rules[header->kind].to_runner != to_runner)
		return broken(error, "there is none", header);
	rule = &rules[header->kind];
	if (header->number > rule->number)
		return broken(error, "its number is too large", header);
	if (!rule->amounts && (header->memory || header->cpus))
		return broken(error, "it has an amount", header);
	if (!rule->fds && message->n_fds)
		return broken(error, "it has descriptors", header);
	for (size_t i = 0; i < CHANNEL_TEXTS; i++) {
		if (rule->required[i] && header->sizes[i] == 0)
			return broken(error, "a text is missing", header);
		/* 0 + 1: an empty one is a text, too, but only where one may be. */
		if (header->sizes[i] > (rule->texts[i] ? rule->texts[i] + 1 : 0))
			return broken(error, "a text is too long", header);
		wanted += header->sizes[i] ? header->sizes[i] - 1 : 0;
	}
	if (wanted != size)
		return broken(error, "its size is wrong", header);
	return 0;
}

static int take_texts(const struct header *header, const char *bytes, struct message *message,
		      struct provium_error *error)
{
	for (size_t i = 0; i < CHANNEL_TEXTS; i++) {
		size_t length;

		if (header->sizes[i] == 0)
			continue;
		length = header->sizes[i] - 1;
		if (memchr(bytes, '\0', length))
			return broken(error, "a text holds a NUL", header);
		message->texts[i] = strndup(bytes, length);
		if (!message->texts[i])
			return error_set(error, PROVIUM_HOST, ENOMEM, "a message of a test");
		bytes += length;
	}
	return 0;
}

enum channel_outcome channel_receive(int fd, int flags, bool to_runner, struct message *message,
				     struct provium_error *error)
{
	cleanup_free char *bytes = malloc(MAX_SIZE);
	struct iovec part = { .iov_base = bytes, .iov_len = MAX_SIZE };
	union control control;
	struct msghdr envelope = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct header header;
	ssize_t size;

	memset(message, 0, sizeof(*message));
	if (!bytes) {
		error_set(error, PROVIUM_HOST, ENOMEM, "a message of a test");
		return CHANNEL_BROKEN;
	}
	do {
		size = recvmsg(fd, &envelope, flags | MSG_CMSG_CLOEXEC);
		/* ECONNRESET: it has not read all; it is told once, before what it has sent. */
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size < 0 && errno == EAGAIN)
		return CHANNEL_EMPTY;
	/* No message is empty. */
	if (size == 0)
		return CHANNEL_ENDED;
	if (size < 0) {
		error_set(error, PROVIUM_HOST, errno, "receive");
		return CHANNEL_BROKEN;
	}

	take_fds(&envelope, message);
	memset(&header, 0, sizeof(header));
	memcpy(&header, bytes, MIN((size_t)size, sizeof(header)));
	if ((size_t)size < sizeof(header) || envelope.msg_flags & MSG_TRUNC)
		broken(error, "its size is wrong", &header);
	/* More than there may be, or than this process can have open (RLIMIT_NOFILE). */
	else if (envelope.msg_flags & MSG_CTRUNC)
		broken(error, "its descriptors are too many", &header);
	else if (check(&header, (size_t)size, to_runner, message, error) == 0 &&
		 take_texts(&header, bytes + sizeof(header), message, error) == 0) {
		message->kind = (enum message_kind)header.kind;
		message->number = header.number;
		message->cpus = header.cpus;
		message->memory = header.memory;
		return CHANNEL_RECEIVED;
	}
	message_finish(message);
	return CHANNEL_BROKEN;
}

void message_finish(struct message *message)
{
	for (size_t i = 0; i < message->n_fds; i++)
		close_fd(message->fds[i]);
	message->n_fds = 0;
	for (size_t i = 0; i < CHANNEL_TEXTS; i++) {
		free(message->texts[i]);
		message->texts[i] = NULL;
	}
}
