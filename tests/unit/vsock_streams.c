/*
 * Streams through the real provium-vsock: data in bulk, many at once, half closed, with a reader
 * that is slow, with an end that vanishes.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"
#include "vsock_machine.h"

#define BULK MIB(16)

#define RCV  VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND

static struct machine machine;

static void start(void)
{
	machine_start(&machine, NULL);
	machine_connect(&machine);
	machine_plug(&machine);
}

static void finish(void)
{
	machine_finish(&machine);
}

static struct client open_client(uint32_t port)
{
	struct client client;

	ck_assert(client_open(&client, &machine, port));
	return client;
}

static bool all_ended(struct machine *unused, void *context)
{
	(void)unused;
	return machine.guest.ended == *(unsigned int *)context;
}

/* Waits until the guest knows that so many streams have ended. */
static void await_ends(unsigned int count)
{
	machine_run(&machine, all_ended, &count);
}

/* A client that sends and reads up to an offset. */
struct transfer {
	struct client client;
	uint64_t send;
	uint64_t receive;
	bool until_end; /* and then the end of file */
};

static bool transfer_done(struct machine *unused, void *context)
{
	struct transfer *transfer = context;

	(void)unused;
	client_send(&transfer->client, transfer->send);
	client_receive(&transfer->client, transfer->receive + transfer->until_end);
	return (transfer->client.sent == transfer->send &&
		transfer->client.received == transfer->receive &&
		(!transfer->until_end || transfer->client.ended)) ||
	       transfer->client.failed;
}

START_TEST(echo)
{
	struct transfer transfer = { .client = open_client(GUEST_ECHO),
				     .send = BULK,
				     .receive = BULK };

	machine_run(&machine, transfer_done, &transfer);
	ck_assert(!transfer.client.failed);
	client_close(&transfer.client);
	await_ends(1);
}
END_TEST

START_TEST(from_the_guest)
{
	struct transfer transfer = { .receive = BULK, .until_end = true };

	machine.guest.source_length = BULK;
	machine.guest.source_shutdown = RCV | SEND;
	transfer.client = open_client(GUEST_SOURCE);
	machine_run(&machine, transfer_done, &transfer);
	ck_assert(!transfer.client.failed);
	ck_assert_uint_eq(transfer.client.received, BULK);
	/* The guest hears of it when all is delivered, though the client has not closed. */
	await_ends(1);
	client_close(&transfer.client);
}
END_TEST

static bool sink_has(struct machine *unused, void *context)
{
	struct transfer *transfer = context;

	(void)unused;
	client_send(&transfer->client, transfer->send);
	return machine.guest.peers[0].received == transfer->send;
}

START_TEST(to_the_guest)
{
	struct transfer transfer = { .client = open_client(GUEST_SINK), .send = BULK + 1 };

	machine_run(&machine, sink_has, &transfer);
	client_close(&transfer.client);
	await_ends(1);
}
END_TEST

START_TEST(closing_after_writing_loses_nothing)
{
	struct transfer transfer = { .client = open_client(GUEST_STALL), .send = KIB(256) };

	machine.guest.resumed = true;
	while (transfer.client.sent < transfer.send) {
		client_send(&transfer.client, transfer.send);
		machine_idle(&machine, 1);
	}
	client_close(&transfer.client);
	await_ends(1);
	ck_assert_uint_eq(machine.guest.peers[0].received, KIB(256));
}
END_TEST

/* --- many --- */

#define MANY 200u

struct many {
	struct transfer transfers[MANY];
};

static bool many_done(struct machine *unused, void *context)
{
	struct many *many = context;
	bool done = true;

	for (unsigned int i = 0; i < MANY; i++)
		done &= transfer_done(unused, &many->transfers[i]);
	return done;
}

START_TEST(many_at_once)
{
	struct many *many = calloc(1, sizeof(*many));

	for (unsigned int i = 0; i < MANY; i++)
		many->transfers[i] = (struct transfer){ .client = open_client(GUEST_ECHO),
							.send = 20000 + i,
							.receive = 20000 + i };
	machine_run(&machine, many_done, many);
	for (unsigned int i = 0; i < MANY; i++) {
		ck_assert(!many->transfers[i].client.failed);
		client_close(&many->transfers[i].client);
	}
	await_ends(MANY);
	free(many);
}
END_TEST

START_TEST(one_after_the_other)
{
	for (unsigned int i = 0; i < 300; i++) {
		struct transfer transfer = { .client = open_client(GUEST_ECHO),
					     .send = 10,
					     .receive = 10 };

		machine_run(&machine, transfer_done, &transfer);
		client_close(&transfer.client);
	}
	await_ends(300);
}
END_TEST

/* --- halves --- */

START_TEST(host_half_closes)
{
	struct transfer transfer = { .client = open_client(GUEST_ECHO), .send = BULK / 4 };

	machine_run(&machine, transfer_done, &transfer);
	ck_assert_int_eq(shutdown(transfer.client.fd, SHUT_WR), 0);
	/* The rest comes after it, and then the guest's own end. */
	transfer.receive = BULK / 4;
	transfer.until_end = true;
	machine_run(&machine, transfer_done, &transfer);
	ck_assert(!transfer.client.failed);
	ck_assert_uint_eq(transfer.client.received, BULK / 4);
	await_ends(1);
	client_close(&transfer.client);
}
END_TEST

START_TEST(guest_half_closes)
{
	struct transfer transfer = { .receive = 100000, .until_end = true };

	machine.guest.source_length = 100000;
	machine.guest.source_shutdown = SEND;
	transfer.client = open_client(GUEST_SOURCE);
	machine_run(&machine, transfer_done, &transfer);
	ck_assert_uint_eq(transfer.client.received, 100000);
	ck_assert_uint_eq(machine.guest.ended, 0);

	transfer.send = BULK / 4;
	machine_run(&machine, sink_has, &transfer);
	client_close(&transfer.client);
	await_ends(1);
}
END_TEST

START_TEST(end_of_file_although_data_were_not_taken)
{
	struct transfer transfer = { .receive = 100000, .until_end = true };

	machine.guest.source_length = 100000;
	machine.guest.source_shutdown = RCV | SEND;
	transfer.client = open_client(GUEST_SOURCE);
	client_send(&transfer.client, MIB(1));
	transfer.send = transfer.client.sent;
	machine_run(&machine, transfer_done, &transfer);
	ck_assert(!transfer.client.failed);
	ck_assert_uint_eq(transfer.client.received, 100000);
	await_ends(1);
	client_close(&transfer.client);
}
END_TEST

static bool client_deaf(struct machine *unused, void *context)
{
	struct client *client = context;

	(void)unused;
	client_send(client, UINT64_MAX);
	return client->failed;
}

START_TEST(guest_ends_its_receiving)
{
	struct client client = open_client(GUEST_SINK);

	guest_send(&machine.guest, &machine.guest.peers[0], VIRTIO_VSOCK_OP_SHUTDOWN, RCV);
	machine_run(&machine, client_deaf, &client);
	client_close(&client);
	await_ends(1);
}
END_TEST

static bool client_writable(struct machine *unused, void *context)
{
	const struct client *client = context;
	struct pollfd poller = { .fd = client->fd, .events = POLLOUT };

	(void)unused;
	return poll(&poller, 1, 0) > 0 && poller.revents & POLLOUT;
}

START_TEST(waiting_writer_learns_that_the_guest_ends_its_receiving)
{
	/* Whoever waits in poll(2) with its socket full writes only when it is told that it can. */
	struct client client = open_client(GUEST_STALL);

	client_send(&client, UINT64_MAX);
	machine_idle(&machine, 50);
	client_send(&client, UINT64_MAX);
	ck_assert(!client_writable(&machine, &client));
	guest_send(&machine.guest, &machine.guest.peers[0], VIRTIO_VSOCK_OP_SHUTDOWN, RCV);
	machine_run(&machine, client_writable, &client);
	ck_assert(client_deaf(&machine, &client));
	client_close(&client);
	await_ends(1);
}
END_TEST

START_TEST(host_hangs_up_after_half_closing)
{
	/* Nothing is read or written any more, and yet the guest has to hear of it. */
	struct client client = open_client(GUEST_SINK);

	ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
	machine_idle(&machine, 50);
	ck_assert_uint_eq(machine.guest.peers[0].shutdown_received, SEND);
	client_close(&client);
	await_ends(1);
}
END_TEST

/* --- slow readers --- */

START_TEST(guest_that_does_not_read)
{
	struct transfer stalled = { .client = open_client(GUEST_STALL), .send = MIB(4) };
	struct transfer other = { .client = open_client(GUEST_ECHO),
				  .send = MIB(4),
				  .receive = MIB(4) };
	uint64_t stuck;

	client_send(&stalled.client, stalled.send);
	machine_idle(&machine, 50);
	client_send(&stalled.client, stalled.send);
	stuck = stalled.client.sent;
	ck_assert_uint_lt(stuck, stalled.send);
	machine_run(&machine, transfer_done, &other);

	machine.guest.resumed = true;
	machine_run(&machine, sink_has, &stalled);
	client_close(&stalled.client);
	client_close(&other.client);
	await_ends(2);
}
END_TEST

static bool out_of_credit(struct machine *unused, void *context)
{
	const struct guest_peer *peer = context;

	(void)unused;
	return (uint32_t)peer->sent - peer->host_taken == peer->host_buffer;
}

/* Waits until the guest cannot send because the client does not read. */
static void await_no_credit(struct guest_peer *peer)
{
	uint64_t sent;

	do {
		sent = peer->sent;
		machine_idle(&machine, 20);
		machine_run(&machine, out_of_credit, peer);
	} while (peer->sent != sent);
}

START_TEST(host_that_does_not_read)
{
	struct transfer stalled = { .receive = MIB(4), .until_end = true };
	struct transfer other = { .client = open_client(GUEST_ECHO),
				  .send = MIB(4),
				  .receive = MIB(4) };

	machine.guest.source_length = MIB(4);
	machine.guest.source_shutdown = RCV | SEND;
	stalled.client = open_client(GUEST_SOURCE);
	await_no_credit(&machine.guest.peers[1]);
	machine_run(&machine, transfer_done, &other);

	machine_run(&machine, transfer_done, &stalled);
	ck_assert_uint_eq(stalled.client.received, MIB(4));
	client_close(&stalled.client);
	client_close(&other.client);
	await_ends(2);
}
END_TEST

/* --- ends that vanish --- */

START_TEST(host_vanishes)
{
	struct client client;

	machine.guest.source_length = UINT32_MAX;
	client = open_client(GUEST_SOURCE);
	machine_idle(&machine, 20);
	client_close(&client);
	await_ends(1);
	ck_assert(machine.guest.peers[0].shutdown_received & RCV);
}
END_TEST

START_TEST(guest_side_vanishes)
{
	struct transfer transfer = { .receive = 1000, .until_end = true };

	machine.guest.source_length = 1000;
	transfer.client = open_client(GUEST_SOURCE);
	machine_idle(&machine, 20);
	guest_send(&machine.guest, &machine.guest.peers[0], VIRTIO_VSOCK_OP_RST, 0);
	machine_run(&machine, transfer_done, &transfer);
	ck_assert_uint_eq(transfer.client.received, 1000);
	client_close(&transfer.client);
}
END_TEST

START_TEST(writer_learns_that_the_guest_is_gone)
{
	/* With data for the host still buffered, because it only writes. */
	struct client client;

	machine.guest.source_length = UINT32_MAX;
	client = open_client(GUEST_SOURCE);
	await_no_credit(&machine.guest.peers[0]);
	guest_send(&machine.guest, &machine.guest.peers[0], VIRTIO_VSOCK_OP_RST, 0);
	machine_run(&machine, client_deaf, &client);
	client_close(&client);
}
END_TEST

START_TEST(what_is_held_is_delivered)
{
	struct transfer transfer = { .until_end = true };

	machine.guest.source_length = UINT32_MAX;
	transfer.client = open_client(GUEST_SOURCE);
	await_no_credit(&machine.guest.peers[0]);
	/* What QEMU had of the guest when it ended. */
	transfer.receive = machine.guest.peers[0].sent;
	ck_assert_uint_gt(transfer.receive, KIB(256));
	machine_disconnect(&machine);
	machine_run(&machine, transfer_done, &transfer);
	ck_assert(!transfer.client.failed);
	ck_assert_uint_eq(transfer.client.received, transfer.receive);
	client_close(&transfer.client);
	ck_assert_int_eq(machine_wait(&machine), 0);
}
END_TEST

START_TEST(the_last_packets_count)
{
	/* Sent, and the front end is gone before the device can have looked. */
	struct transfer transfer = { .client = open_client(GUEST_ECHO), .until_end = true };
	struct guest_peer *peer = &machine.guest.peers[0];

	peer->to_send = transfer.receive = 100000;
	guest_turn(&machine.guest);
	machine_disconnect(&machine);
	machine_run(&machine, transfer_done, &transfer);
	ck_assert_uint_eq(transfer.client.received, 100000);
	client_close(&transfer.client);
	ck_assert_int_eq(machine_wait(&machine), 0);
}
END_TEST

/* --- from the guest to servers on the host --- */

static int listen_at(uint32_t port, int backlog, char *path, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(path, size, "%s_%u", machine.uds_path, port);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static bool peer_answered(struct machine *unused, void *context)
{
	const struct guest_peer *peer = context;

	(void)unused;
	return peer->established || peer->reset_received;
}

static bool accept_client(struct machine *unused, void *context)
{
	int *fds = context;

	(void)unused;
	fds[1] = accept4(fds[0], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fds[1] >= 0;
}

START_TEST(guest_connects)
{
	char path[100];
	int fds[2] = { listen_at(80, 10, path, sizeof(path)) };
	struct guest_peer *peer = guest_connect(&machine.guest, 80);
	struct transfer transfer = { .send = MIB(1), .receive = MIB(1) };

	machine_run(&machine, accept_client, fds);
	transfer.client.fd = fds[1];
	machine_run(&machine, peer_answered, peer);
	ck_assert(peer->established);
	peer->to_send = MIB(1);
	machine_run(&machine, transfer_done, &transfer);
	client_close(&transfer.client);
	await_ends(1);
	close(fds[0]);
	unlink(path);
}
END_TEST

START_TEST(guest_finds_nobody)
{
	struct guest_peer *peer = guest_connect(&machine.guest, 81);

	machine_run(&machine, peer_answered, peer);
	ck_assert(peer->reset_received);
}
END_TEST

START_TEST(server_is_busy)
{
	/* More than its queue holds: those that do not fit wait a little. */
	char path[100];
	int fds[2] = { listen_at(82, 1, path, sizeof(path)) };
	struct guest_peer *peers[10];
	int accepted[10];

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		peers[i] = guest_connect(&machine.guest, 82);
	machine_idle(&machine, 50);
	ck_assert(!peers[9]->established && !peers[9]->reset_received);
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		machine_run(&machine, accept_client, fds);
		accepted[i] = fds[1];
	}
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		machine_run(&machine, peer_answered, peers[i]);
		ck_assert(peers[i]->established);
		close(accepted[i]);
	}
	await_ends(10);

	/* And not for ever. */
	for (size_t i = 0; i < 4; i++)
		peers[i] = guest_connect(&machine.guest, 82);
	for (size_t i = 0; i < 4; i++)
		machine_run(&machine, peer_answered, peers[i]);
	ck_assert(peers[3]->reset_received);
	close(fds[0]);
	unlink(path);
	await_ends(14);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vsock-streams");
	TCase *tcase = unit_counted_case("streams");

	if (!machine_set_program(argc, argv))
		return EXIT_FAILURE;
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, echo);
	tcase_add_test(tcase, from_the_guest);
	tcase_add_test(tcase, to_the_guest);
	tcase_add_test(tcase, closing_after_writing_loses_nothing);
	tcase_add_test(tcase, many_at_once);
	tcase_add_test(tcase, one_after_the_other);
	tcase_add_test(tcase, host_half_closes);
	tcase_add_test(tcase, guest_half_closes);
	tcase_add_test(tcase, end_of_file_although_data_were_not_taken);
	tcase_add_test(tcase, guest_ends_its_receiving);
	tcase_add_test(tcase, waiting_writer_learns_that_the_guest_ends_its_receiving);
	tcase_add_test(tcase, host_hangs_up_after_half_closing);
	tcase_add_test(tcase, guest_that_does_not_read);
	tcase_add_test(tcase, host_that_does_not_read);
	tcase_add_test(tcase, host_vanishes);
	tcase_add_test(tcase, guest_side_vanishes);
	tcase_add_test(tcase, writer_learns_that_the_guest_is_gone);
	tcase_add_test(tcase, what_is_held_is_delivered);
	tcase_add_test(tcase, the_last_packets_count);
	tcase_add_test(tcase, guest_connects);
	tcase_add_test(tcase, guest_finds_nobody);
	tcase_add_test(tcase, server_is_busy);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
