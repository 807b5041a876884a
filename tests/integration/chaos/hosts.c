/* Hosts that are slow, stuck, or too many. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/chaos/chaos.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

/* Bytes that the slow host reads, and microseconds between them. */
#define SLOW_BYTES 300
#define SLOW_US    10000
#define STUCK_MS   3000
/* Bytes of the agent's memory while its output is not taken: a queue has 1 MiB. */
#define STUCK_MOST MIB(8)
/* Hosts that leave at once. */
#define LEAVING    8
/* Connections in a second, in all, and open at a time. */
#define RATE       1000
#define CONNECTS   UINT64_C(5000)
#define OPEN       64

static struct provium_error error;
static const struct provium_exec_options endless = { .shell = "yes" };

/* A connection with a command on it that writes without end, and that nobody has read from. */
static struct provium_connection *connect_endless(struct chaos *chaos, struct provium_exec **exec)
{
	struct provium_connection *connection;

	check_ok(provium_vm_connect(chaos->vm, 0, SOON, &connection, &error));
	check_ok(provium_exec_start(connection, &endless, exec, &error));
	return connection;
}

void chaos_slow_host(struct chaos *chaos)
{
	struct provium_exec *exec;
	struct provium_connection *slow = connect_endless(chaos, &exec);
	struct pollfd pollfd = { .fd = provium_connection_fd(slow), .events = POLLIN };
	unsigned int served = 0;
	char byte;

	for (int i = 0; i < SLOW_BYTES; i++) {
		ck_assert_int_eq(poll(&pollfd, 1, SOON), 1);
		ck_assert_int_eq(read(pollfd.fd, &byte, 1), 1);
		usleep(SLOW_US);
		if (i % 10 == 0) {
			chaos_served(chaos);
			served++;
		}
	}
	provium_exec_free(exec);
	provium_connection_free(slow);
	snprintf(chaos->note, sizeof(chaos->note), "others served %u times meanwhile", served);
}

void chaos_stuck_host(struct chaos *chaos)
{
	struct provium_exec *exec;
	struct provium_connection *stuck = connect_endless(chaos, &exec);
	uint64_t start = machine_now_ms();
	uint64_t queued = 0, resident = 0;
	unsigned int served = 0;
	struct provium_info info;

	while (machine_now_ms() - start < STUCK_MS || queued == 0) {
		ck_assert_uint_lt(machine_now_ms() - start, SOON);
		chaos_served(chaos);
		served++;
		check_ok(provium_info(chaos->connection, SOON, &info, &error));
		ck_assert_uint_le(info.resident_bytes, STUCK_MOST);
		queued = MAX(queued, info.queued_bytes);
		resident = MAX(resident, info.resident_bytes);
	}
	provium_exec_free(exec);
	provium_connection_free(stuck);
	snprintf(chaos->note, sizeof(chaos->note),
		 "others served %u times meanwhile, %llu KiB queued, server %llu KiB", served,
		 (unsigned long long)queued >> 10, (unsigned long long)resident >> 10);
}

static void read_some(struct provium_connection *connection, size_t size)
{
	struct pollfd pollfd = { .fd = provium_connection_fd(connection), .events = POLLIN };
	static char ignored[KIB(16)];

	while (size > 0) {
		ssize_t count;

		ck_assert_int_eq(poll(&pollfd, 1, SOON), 1);
		count = read(pollfd.fd, ignored, MIN(size, sizeof(ignored)));
		ck_assert_int_gt(count, 0);
		size -= (size_t)count;
	}
}

/*
 * They read for a while, say that they want no more, and go at once, while the agent has more to
 * send than it can.
 */
void chaos_leaving_hosts(struct chaos *chaos)
{
	struct provium_connection *leaving[LEAVING];
	struct provium_exec *execs[LEAVING];
	uint64_t start = machine_now_ms();
	struct provium_info info;

	for (size_t i = 0; i < LEAVING; i++)
		leaving[i] = connect_endless(chaos, &execs[i]);
	do {
		ck_assert_uint_lt(machine_now_ms() - start, SOON);
		chaos_served(chaos);
		check_ok(provium_info(chaos->connection, SOON, &info, &error));
	} while (info.queued_bytes < LEAVING * MIB(1));
	for (size_t i = 0; i < LEAVING; i++) {
		read_some(leaving[i], i * KIB(64));
		provium_exec_free(execs[i]);
		provium_connection_free(leaving[i]);
	}
	snprintf(chaos->note, sizeof(chaos->note), "%llu KiB queued for %d",
		 (unsigned long long)info.queued_bytes >> 10, LEAVING);
}

/* As provium-vsock(1) has it; the answer comes later. */
static int dial(const struct chaos *chaos)
{
	static const char request[] = "CONNECT 5123\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", chaos->socket);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	return fd;
}

/* Whether the agent has accepted it by now. */
static bool hang_up(int fd)
{
	char answer[3] = "";
	bool accepted = recv(fd, answer, 2, MSG_DONTWAIT) == 2 && strcmp(answer, "OK") == 0;

	close(fd);
	return accepted;
}

void chaos_connects(struct chaos *chaos)
{
	uint64_t start = monotonic_ns();
	unsigned int accepted = 0;
	double took;
	int fds[OPEN];

	for (uint64_t i = 0; i < CONNECTS; i++) {
		uint64_t due = start + i * (UINT64_C(1000000000) / RATE);
		uint64_t now = monotonic_ns();

		if (now < due)
			usleep((useconds_t)((due - now) / 1000));
		if (i >= OPEN)
			accepted += hang_up(fds[i % OPEN]);
		fds[i % OPEN] = dial(chaos);
	}
	took = (double)(monotonic_ns() - start) / 1e9;
	for (size_t i = 0; i < OPEN; i++)
		accepted += hang_up(fds[i]);
	ck_assert_uint_gt(accepted, 0);
	snprintf(chaos->note, sizeof(chaos->note), "%u in %.1f s, %u accepted within %d others",
		 (unsigned int)CONNECTS, took, accepted, OPEN);
}
