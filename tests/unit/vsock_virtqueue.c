/* Split virtqueues as an honest driver fills them, and as a hostile one does. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/iov.h"
#include "host/vsock/virtqueue.h"
#include "unit.h"

#define SIZE    8u
#define REGION  KIB(64)
#define GUEST   0x100000u /* where the memory is for the guest */
#define BUFFERS 0x1000u   /* where buffers begin in it */

/* The driver's view of the memory. */
struct layout {
	struct vring_desc descriptors[SIZE];
	struct {
		uint16_t flags;
		uint16_t index;
		uint16_t ring[SIZE];
		uint16_t used_event;
	} available;
	struct {
		uint16_t flags __attribute__((aligned(4)));
		uint16_t index;
		struct vring_used_elem ring[SIZE];
		uint16_t available_event;
	} used;
};

static struct memory memory;
static struct virtqueue queue;
static struct layout *layout;
static struct virtqueue_chain chain;
static struct iovec iov[VIRTQUEUE_MAX_IOV];
static struct reason reason;

static void start(void)
{
	cleanup_close int fd = memfd_create("guest", MFD_CLOEXEC);
	/* Two regions that are neighbours for the guest and not here. */
	const struct memory_region_info infos[] = {
		{ .guest_address = GUEST, .size = REGION },
		{ .guest_address = GUEST + REGION, .size = REGION, .file_offset = 2 * REGION },
	};
	const int fds[] = { fd, fd };
	uint64_t length = sizeof(*layout);

	ck_assert_int_eq(ftruncate(fd, 3 * REGION), 0);
	memory_init(&memory);
	ck_assert_int_eq(memory_replace(&memory, infos, fds, 2, &reason), 0);
	layout = memory_from_guest(&memory, GUEST, &length);
	ck_assert_int_eq(virtqueue_place(&queue, layout->descriptors, &layout->available,
					 &layout->used, &reason),
			 0);
	ck_assert_int_eq(virtqueue_start(&queue, SIZE, 0, &reason), 0);
}

static void finish(void)
{
	memory_finish(&memory);
}

static void describe(unsigned int index, uint64_t address, uint32_t length, uint16_t flags,
		     uint16_t next)
{
	layout->descriptors[index] = (struct vring_desc){ .addr = htole64(address),
							  .len = htole32(length),
							  .flags = htole16(flags),
							  .next = htole16(next) };
}

static void offer(uint16_t head)
{
	uint16_t index = le16toh(layout->available.index);

	layout->available.ring[index % SIZE] = htole16(head);
	layout->available.index = htole16((uint16_t)(index + 1));
}

static int peek(uint16_t offset)
{
	return virtqueue_peek(&queue, &memory, offset, &chain, iov, ARRAY_SIZE(iov), &reason);
}

static uint8_t *at(uint64_t address)
{
	uint64_t length = 1;

	return memory_from_guest(&memory, address, &length);
}

START_TEST(takes_chains)
{
	ck_assert_int_eq(peek(0), 0);

	describe(3, GUEST + BUFFERS, 44, VRING_DESC_F_NEXT, 5);
	describe(5, GUEST + BUFFERS + 100, 10, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	describe(0, GUEST + BUFFERS + 200, 20, VRING_DESC_F_WRITE, 7);
	describe(1, GUEST + BUFFERS + 300, 30, 0, 0);
	offer(3);
	offer(1);

	ck_assert_int_eq(peek(0), 1);
	ck_assert_uint_eq(chain.head, 3);
	ck_assert_uint_eq(chain.readable, 1);
	ck_assert_uint_eq(chain.writable, 2);
	ck_assert_ptr_eq(chain.iov[0].iov_base, at(GUEST + BUFFERS));
	ck_assert_uint_eq(chain.iov[0].iov_len, 44);
	ck_assert_ptr_eq(chain.iov[2].iov_base, at(GUEST + BUFFERS + 200));

	/* Looking takes nothing. */
	ck_assert_int_eq(peek(1), 1);
	ck_assert_uint_eq(chain.head, 1);
	ck_assert_int_eq(peek(2), 0);
	ck_assert_int_eq(peek(0), 1);
	ck_assert_uint_eq(chain.head, 3);

	virtqueue_push(&queue, &chain, 30);
	ck_assert_uint_eq(layout->used.index, 0);
	ck_assert(virtqueue_publish(&queue));
	ck_assert_uint_eq(le16toh(layout->used.index), 1);
	ck_assert_uint_eq(le32toh(layout->used.ring[0].id), 3);
	ck_assert_uint_eq(le32toh(layout->used.ring[0].len), 30);
	/* There is nothing new to tell. */
	ck_assert(!virtqueue_publish(&queue));

	ck_assert_int_eq(peek(0), 1);
	ck_assert_uint_eq(chain.head, 1);
}
END_TEST

START_TEST(indices_wrap_around)
{
	layout->available.index = htole16(65530);
	layout->used.index = htole16(65530);
	ck_assert_int_eq(virtqueue_start(&queue, SIZE, 65530, &reason), 0);

	for (unsigned int i = 0; i < 20; i++) {
		describe(i % SIZE, GUEST + BUFFERS + i, 1, 0, 0);
		offer(i % SIZE);
		ck_assert_int_eq(peek(0), 1);
		ck_assert_uint_eq(chain.head, i % SIZE);
		ck_assert_ptr_eq(chain.iov[0].iov_base, at(GUEST + BUFFERS + i));
		virtqueue_push(&queue, &chain, i);
		virtqueue_publish(&queue);
		ck_assert_uint_eq(le16toh(layout->used.index), (uint16_t)(65531 + i));
		ck_assert_uint_eq(le32toh(layout->used.ring[(65530 + i) % SIZE].len), i);
		ck_assert_int_eq(peek(0), 0);
	}
}
END_TEST

START_TEST(buffer_across_regions)
{
	describe(0, GUEST + REGION - 10, 30, 0, 0);
	offer(0);
	ck_assert_int_eq(peek(0), 1);
	ck_assert_uint_eq(chain.readable, 2);
	ck_assert_ptr_eq(iov[0].iov_base, at(GUEST + REGION - 10));
	ck_assert_uint_eq(iov[0].iov_len, 10);
	ck_assert_ptr_eq(iov[1].iov_base, at(GUEST + REGION));
	ck_assert_uint_eq(iov[1].iov_len, 20);
}
END_TEST

START_TEST(longest_chain)
{
	for (unsigned int i = 0; i < SIZE; i++)
		describe(i, GUEST + BUFFERS, 1, i + 1 < SIZE ? VRING_DESC_F_NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(peek(0), 1);
	ck_assert_uint_eq(chain.readable, SIZE);
	ck_assert_int_eq(virtqueue_peek(&queue, &memory, 0, &chain, iov, SIZE - 1, &reason),
			 -ENOBUFS);
	ck_assert_int_eq(virtqueue_peek(&queue, &memory, 0, &chain, iov, SIZE, &reason), 1);
}
END_TEST

START_TEST(notifications)
{
	virtqueue_disable_notification(&queue);
	ck_assert_uint_eq(le16toh(layout->used.flags), VRING_USED_F_NO_NOTIFY);
	ck_assert(!virtqueue_enable_notification(&queue));
	ck_assert_uint_eq(layout->used.flags, 0);

	/* What came while nobody was to be notified must be said. */
	virtqueue_disable_notification(&queue);
	describe(0, GUEST + BUFFERS, 1, 0, 0);
	offer(0);
	ck_assert(virtqueue_enable_notification(&queue));

	ck_assert_int_eq(peek(0), 1);
	virtqueue_push(&queue, &chain, 0);
	layout->available.flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	ck_assert(!virtqueue_publish(&queue));
	ck_assert_uint_eq(le16toh(layout->used.index), 1);
}
END_TEST

/* --- hostile --- */

static void head_too_large(void)
{
	offer(SIZE);
}

static void next_too_large(void)
{
	describe(0, GUEST + BUFFERS, 1, VRING_DESC_F_NEXT, SIZE);
	offer(0);
}

static void loop_of_one(void)
{
	describe(0, GUEST + BUFFERS, 1, VRING_DESC_F_NEXT, 0);
	offer(0);
}

static void loop_of_three(void)
{
	describe(0, GUEST + BUFFERS, 1, VRING_DESC_F_NEXT, 1);
	describe(1, GUEST + BUFFERS, 1, VRING_DESC_F_NEXT, 2);
	describe(2, GUEST + BUFFERS, 1, VRING_DESC_F_NEXT, 1);
	offer(0);
}

static void index_ahead(void)
{
	layout->available.index = htole16(SIZE + 1);
}

static void index_behind(void)
{
	layout->available.index = htole16(0xffff);
}

static void indirect(void)
{
	describe(0, GUEST + BUFFERS, 16, VRING_DESC_F_INDIRECT, 0);
	offer(0);
}

static void readable_after_writable(void)
{
	describe(0, GUEST + BUFFERS, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	describe(1, GUEST + BUFFERS, 1, 0, 0);
	offer(0);
}

static void length_zero(void)
{
	describe(0, GUEST + BUFFERS, 0, 0, 0);
	offer(0);
}

static void below_memory(void)
{
	describe(0, GUEST - 1, 2, 0, 0);
	offer(0);
}

static void beyond_memory(void)
{
	describe(0, GUEST + 2 * REGION - 1, 2, 0, 0);
	offer(0);
}

static void around_the_address_space(void)
{
	describe(0, UINT64_MAX, 2, 0, 0);
	offer(0);
}

static void all_the_address_space(void)
{
	describe(0, GUEST, UINT32_MAX, 0, 0);
	offer(0);
}

static const struct hostile {
	void (*prepare)(void);
	const char *text;
} hostile[] = {
	{ head_too_large, "descriptor 8 of 8" },
	{ next_too_large, "descriptor 8 of 8" },
	{ loop_of_one, "loop" },
	{ loop_of_three, "loop" },
	{ index_ahead, "past the used buffers" },
	{ index_behind, "past the used buffers" },
	{ indirect, "indirect" },
	{ readable_after_writable, "after a writable" },
	{ length_zero, "length 0" },
	{ below_memory, "outside" },
	{ beyond_memory, "outside" },
	{ around_the_address_space, "outside" },
	{ all_the_address_space, "outside" },
};

START_TEST(refuses)
{
	hostile[_i].prepare();
	ck_assert_int_lt(peek(0), 0);
	ck_assert_msg(strstr(reason.text, hostile[_i].text), "%s", reason.text);
}
END_TEST

START_TEST(refuses_sizes)
{
	static const uint32_t sizes[] = { 0, 3, 12, 2048, 65536, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_int_eq(virtqueue_start(&queue, sizes[i], 0, &reason), -EINVAL);
	ck_assert_int_eq(virtqueue_start(&queue, VIRTQUEUE_MAX_SIZE, 0, &reason), 0);
	ck_assert_int_eq(virtqueue_start(&queue, 1, 0, &reason), 0);
}
END_TEST

START_TEST(refuses_misalignment)
{
	uint8_t *base = (uint8_t *)layout;

	ck_assert_int_eq(virtqueue_place(&queue, base + 8, base, base, &reason), -EINVAL);
	ck_assert_int_eq(virtqueue_place(&queue, base, base + 1, base, &reason), -EINVAL);
	ck_assert_int_eq(virtqueue_place(&queue, base, base, base + 2, &reason), -EINVAL);
	ck_assert_int_eq(virtqueue_place(&queue, base + 16, base + 2, base + 4, &reason), 0);
}
END_TEST

START_TEST(scattered_buffers)
{
	char text[] = "abcdefghij", copy[16] = "";
	struct iovec parts[] = { { text, 3 }, { text + 3, 0 }, { text + 3, 4 }, { text + 7, 3 } };
	struct iovec rest[4];

	ck_assert_uint_eq(iov_length(parts, 4), 10);
	ck_assert_uint_eq(iov_read(copy, 5, parts, 4), 5);
	ck_assert_str_eq(copy, "abcde");
	ck_assert_uint_eq(iov_read(copy, sizeof(copy), parts, 4), 10);

	ck_assert_uint_eq(iov_skip(rest, parts, 4, 4), 2);
	ck_assert_uint_eq(iov_read(copy, sizeof(copy), rest, 2), 6);
	ck_assert_int_eq(memcmp(copy, "efghij", 6), 0);
	ck_assert_uint_eq(iov_skip(rest, parts, 4, 10), 0);
	ck_assert_uint_eq(iov_skip(rest, parts, 4, 11), 0);

	ck_assert_uint_eq(iov_write(parts, 4, "XYZW", 4), 4);
	ck_assert_str_eq(text, "XYZWefghij");
	ck_assert_uint_eq(iov_cut(parts, 4, 5), 3);
	ck_assert_uint_eq(iov_length(parts, 3), 5);
	ck_assert_uint_eq(iov_cut(parts, 3, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-virtqueue");
	TCase *tcase = unit_counted_case("virtqueue");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, takes_chains);
	tcase_add_test(tcase, indices_wrap_around);
	tcase_add_test(tcase, buffer_across_regions);
	tcase_add_test(tcase, longest_chain);
	tcase_add_test(tcase, notifications);
	tcase_add_loop_test(tcase, refuses, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tcase, refuses_sizes);
	tcase_add_test(tcase, refuses_misalignment);
	tcase_add_test(tcase, scattered_buffers);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
