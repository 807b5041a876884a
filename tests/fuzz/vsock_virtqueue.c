/*
 * A guest that does as it likes with its memory while the device works on its rings, and hosts that
 * come, send, read and go at any time. Every access of the device must stay inside the guest's
 * memory, and no connection may hold more than its window.
 *
 * Input: the rings' size, then commands with their arguments, as they are named below.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "host/vsock/device.h"
#include "host/vsock/iov.h"
#include "host/vsock/log.h"
#include "host/vsock/mux.h"

#define REGION  ((size_t)8192)
#define REGIONS 2u
#define RING    ((size_t)1024) /* each part of a ring has so much */
#define CID     3u
#define ENDS    8u

enum command {
	COMMAND_WRITE, /* offset (16 bits), length, bytes: into the guest's memory */
	COMMAND_OFFER, /* ring, count: moves the available index */
	COMMAND_PROCESS,
	COMMAND_CONNECT, /* port */
	COMMAND_INPUT,   /* end, 64 bytes each: the host's end has something to read */
	COMMAND_EOF,     /* end */
	COMMAND_ROOM,    /* end, 64 bytes each: and takes so much */
	COMMAND_HANGUP,  /* end */
	COMMAND_EXPIRE,  /* end */
	COMMAND_RESTART, /* ring: stops it, starts it */
	COMMAND_MEMORY,  /* maps the memory anew */
	COMMAND_GIVE_BACK,
	COMMANDS,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nobody reads it, and writing it costs more than the device. */
void log_write(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

struct input {
	const uint8_t *data;
	size_t size;
};

struct end {
	struct connection connection;
	bool used;
	bool in_mux; /* and not yet released */
	size_t input;
	bool input_end;
	size_t room;
};

static struct end ends[ENDS];
static struct mux mux;
static struct device device;
static int memory_fd = -1;
static uint8_t *guest; /* the same memory, as the guest sees it */
static uint32_t ring_size;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t next_byte(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static struct end *end_of(struct connection *connection)
{
	return container_of(connection, struct end, connection);
}

/* The oracle: what the device hands on lies in the guest's memory. */
static void require_guest_memory(const struct iovec *iov, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *start = iov[i].iov_base;
		bool inside = false;

		for (unsigned int j = 0; j < device.memory.count; j++) {
			const struct memory_region *region = &device.memory.regions[j];

			inside |= start >= region->start &&
				  start + iov[i].iov_len <= region->start + region->info.size;
		}
		require(inside);
	}
}

static struct connection *new_end(void)
{
	for (size_t i = 0; i < ENDS; i++) {
		if (!ends[i].used) {
			ends[i] = (struct end){ .used = true, .in_mux = true, .room = 1000 };
			return &ends[i].connection;
		}
	}
	return NULL;
}

static struct connection *end_open(void *context, uint32_t port, bool *opening)
{
	(void)context;
	*opening = port & 1;
	return new_end();
}

static int end_accepted(struct connection *connection)
{
	return end_of(connection)->input_end && end_of(connection)->input == 0 ? -EPIPE : 0;
}

static ssize_t end_read(struct connection *connection, const struct iovec *iov, unsigned int count)
{
	struct end *end = end_of(connection);
	size_t done = 0;

	require_guest_memory(iov, count);
	if (end->input == 0)
		return end->input_end ? 0 : -EAGAIN;
	for (unsigned int i = 0; i < count && end->input > 0; i++) {
		size_t part = MIN(iov[i].iov_len, end->input);

		memset(iov[i].iov_base, 'h', part);
		end->input -= part;
		done += part;
	}
	return (ssize_t)done;
}

static ssize_t end_write(struct connection *connection, const struct iovec *iov, unsigned int count)
{
	struct end *end = end_of(connection);
	size_t length = MIN(iov_length(iov, count), end->room);

	require(end->used && connection->host_open);
	if (connection->buffer.length == 0)
		require_guest_memory(iov, count);
	if (length == 0)
		return -EAGAIN;
	end->room -= length;
	return (ssize_t)length;
}

static void end_shutdown(struct connection *connection, int how)
{
	(void)how;
	require(end_of(connection)->used && connection->host_open);
}

static void end_watch(struct connection *connection, bool readable, bool writable)
{
	(void)readable;
	(void)writable;
	require(end_of(connection)->used && connection->host_open);
}

static void end_limit(struct connection *connection, double seconds)
{
	(void)seconds;
	require(end_of(connection)->used);
}

static void end_close(struct connection *connection)
{
	require(end_of(connection)->used);
}

static void end_release(struct connection *connection)
{
	require(!connection->host_open && connection->buffer.length == 0);
	end_of(connection)->used = false;
	end_of(connection)->in_mux = false;
}

static const struct connection_ops ops = {
	.open = end_open,
	.accepted = end_accepted,
	.read = end_read,
	.write = end_write,
	.shutdown = end_shutdown,
	.watch = end_watch,
	.limit = end_limit,
	.close = end_close,
	.release = end_release,
};

static void map_memory(void)
{
	/* Neighbours for the guest, two mappings for the device. */
	const struct memory_region_info infos[REGIONS] = {
		{ .size = REGION, .user_address = 1 << 20 },
		{ .guest_address = REGION,
		  .size = REGION,
		  .user_address = 1 << 24,
		  .file_offset = REGION },
	};
	const int fds[REGIONS] = { memory_fd, memory_fd };
	struct reason reason;

	require(device_set_memory(&device, infos, fds, REGIONS, &reason) == 0);
}

static void start_ring(enum device_ring index)
{
	struct ring *ring = &device.rings[index];
	uint64_t base = (1 << 20) + (uint64_t)index * 3 * RING;
	struct reason reason;

	ring->size = ring_size;
	ring->address = (struct vhost_vring_addr){ .desc_user_addr = base,
						   .avail_user_addr = base + RING,
						   .used_user_addr = base + 2 * RING };
	ring->has_address = true;
	require(device_start_ring(&device, index, &reason) == 0);
	device_enable_ring(&device, index, true);
}

static void write_memory(struct input *input)
{
	size_t offset = next_byte(input) | (size_t)next_byte(input) << 8;
	size_t length = next_byte(input);

	for (; length > 0 && input->size > 0; length--, offset++)
		guest[offset % (REGIONS * REGION)] = next_byte(input);
}

static void offer(struct input *input)
{
	struct vring_avail *available = (void *)(guest + 3 * RING * (next_byte(input) & 1) + RING);

	available->idx = htole16((uint16_t)(le16toh(available->idx) + next_byte(input)));
}

static void host_command(enum command command, struct input *input)
{
	struct end *end = &ends[next_byte(input) % ENDS];
	size_t count =
		command == COMMAND_INPUT || command == COMMAND_ROOM ? 64u * next_byte(input) : 0;

	if (!end->in_mux || !end->connection.host_open)
		return;
	switch (command) {
	case COMMAND_INPUT:
		end->input += count;
		if (end->connection.state == CONNECTION_ESTABLISHED)
			mux_readable(&end->connection);
		break;
	case COMMAND_EOF:
		end->input_end = true;
		if (end->connection.state == CONNECTION_ESTABLISHED)
			mux_readable(&end->connection);
		break;
	case COMMAND_ROOM:
		end->room += count;
		mux_writable(&end->connection);
		break;
	case COMMAND_HANGUP:
		mux_hangup(&end->connection);
		break;
	default:
		if (end->connection.state == CONNECTION_OPENING)
			mux_opened(&end->connection, count & 1);
		else
			mux_expired(&end->connection);
		break;
	}
}

static void run_command(enum command command, struct input *input)
{
	struct connection *connection;
	enum device_ring index;

	switch (command) {
	case COMMAND_WRITE:
		write_memory(input);
		break;
	case COMMAND_OFFER:
		offer(input);
		break;
	case COMMAND_PROCESS:
		device_process(&device);
		mux_reap(&mux);
		break;
	case COMMAND_CONNECT:
		connection = new_end();
		if (connection)
			mux_connect(&mux, connection, next_byte(input));
		break;
	case COMMAND_RESTART:
		index = next_byte(input) & 1;
		device.rings[index].base = device_stop_ring(&device, index);
		start_ring(index);
		break;
	case COMMAND_MEMORY:
		map_memory();
		break;
	case COMMAND_GIVE_BACK:
		device_give_back(&device);
		require(!device_withholds(&device));
		break;
	default:
		host_command(command, input);
		break;
	}
}

static void check(void)
{
	uint64_t windows = 0;

	for (size_t i = 0; i < ENDS; i++) {
		if (!ends[i].in_mux)
			continue;
		windows += ends[i].connection.buffer.limit;
		require(ends[i].connection.buffer.length <= ends[i].connection.buffer.limit);
	}
	require(mux.window_total == windows);
	require(mux.refusals_count <= MUX_REFUSALS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	if (memory_fd < 0) {
		memory_fd = memfd_create("guest", MFD_CLOEXEC);
		require(memory_fd >= 0 && ftruncate(memory_fd, REGIONS * REGION) == 0);
		guest = mmap(NULL, REGIONS * REGION, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd,
			     0);
		require(guest != MAP_FAILED);
	}
	memset(guest, 0, REGIONS * REGION);
	memset(ends, 0, sizeof(ends));
	ring_size = 1u << next_byte(&input) % 6;

	mux_init(&mux, CID, &ops, NULL);
	device_init(&device, &mux);
	map_memory();
	start_ring(DEVICE_RECEIVE);
	start_ring(DEVICE_TRANSMIT);
	while (input.size > 0) {
		run_command(next_byte(&input) % COMMANDS, &input);
		check();
	}
	device_reset(&device);
	mux_finish(&mux);
	require(mux.window_total == 0);
	device_finish(&device);
	return 0;
}
