/* STAT: statx(2) as a message. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/file.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/statx.h"
#include "common/cleanup.h"

/* Of the two numbers that a mount has the one that others know: not STATX_MNT_ID_UNIQUE. */
#define WANTED_MASK                                                                          \
	(STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | RECENT_DIO_ALIGN | RECENT_SUBVOL | \
	 RECENT_WRITE_ATOMIC | RECENT_DIO_READ_ALIGN)

/* Saturates: 64 bits of nanoseconds end in 2262, file systems go further. */
static int64_t nanoseconds(const struct statx_timestamp *time)
{
	int64_t ns;

	if (!__builtin_mul_overflow(time->tv_sec, (int64_t)1000000000, &ns) &&
	    !__builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
		return ns;
	return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
}

/* Where the file system has none it is absent. */
#define SET_TIME(result, from, name, bit)                                  \
	do {                                                               \
		(result).has_##name##_ns = ((from).stx_mask & (bit)) != 0; \
		(result).name##_ns = nanoseconds(&(from).stx_##name);      \
	} while (0)

#define SET_RECENT(result, mask, from, name, bit)             \
	do {                                                  \
		(result)->has_##name = ((mask) & (bit)) != 0; \
		(result)->name = (from).name;                 \
	} while (0)

static void set_recent(Provium__V1__StatResult *result, const struct statx *status)
{
	struct statx_recent recent;
	uint32_t mask = status->stx_mask;

	memcpy(&recent, (const uint8_t *)status + STATX_RECENT, sizeof(recent));
	SET_RECENT(result, mask, recent, dio_mem_align, RECENT_DIO_ALIGN);
	SET_RECENT(result, mask, recent, dio_offset_align, RECENT_DIO_ALIGN);
	SET_RECENT(result, mask, recent, subvol, RECENT_SUBVOL);
	SET_RECENT(result, mask, recent, atomic_write_unit_min, RECENT_WRITE_ATOMIC);
	SET_RECENT(result, mask, recent, atomic_write_unit_max, RECENT_WRITE_ATOMIC);
	SET_RECENT(result, mask, recent, atomic_write_segments_max, RECENT_WRITE_ATOMIC);
	SET_RECENT(result, mask, recent, dio_read_offset_align, RECENT_DIO_READ_ALIGN);
	SET_RECENT(result, mask, recent, atomic_write_unit_max_opt, RECENT_WRITE_ATOMIC);
}

static void send_result(struct session *session, uint32_t id, const struct statx *status)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__StatResult result = PROVIUM__V1__STAT_RESULT__INIT;

	result.mask = status->stx_mask;
	result.mode = status->stx_mode;
	result.nlink = status->stx_nlink;
	result.uid = status->stx_uid;
	result.gid = status->stx_gid;
	result.ino = status->stx_ino;
	result.size = status->stx_size;
	result.blocks = status->stx_blocks;
	result.blksize = status->stx_blksize;
	result.attributes = status->stx_attributes;
	result.attributes_mask = status->stx_attributes_mask;
	SET_TIME(result, *status, atime, STATX_ATIME);
	SET_TIME(result, *status, btime, STATX_BTIME);
	SET_TIME(result, *status, ctime, STATX_CTIME);
	SET_TIME(result, *status, mtime, STATX_MTIME);
	result.rdev_major = status->stx_rdev_major;
	result.rdev_minor = status->stx_rdev_minor;
	result.dev_major = status->stx_dev_major;
	result.dev_minor = status->stx_dev_minor;
	result.has_mnt_id = (status->stx_mask & STATX_MNT_ID) != 0;
	result.mnt_id = status->stx_mnt_id;
	set_recent(&result, status);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT_RESULT;
	message.stat_result = &result;
	reply_send(session, id, &message);
}

void op_stat(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Stat *request = message->stat;
	cleanup_free char *subject =
		file_subject(request->has_path ? &request->path : NULL, request->fd);
	bool follow = !request->has_follow || request->follow;
	const char *path = request->has_path ? subject : "";
	int flags = request->has_path ? 0 : AT_EMPTY_PATH;
	struct statx status;

	if (!subject)
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "STAT: no memory");
	else if (os_statx(request->has_path ? AT_FDCWD : request->fd, path,
			  flags | (follow ? 0 : AT_SYMLINK_NOFOLLOW), WANTED_MASK, &status) < 0)
		reply_os_error(session, id, "statx", errno, "STAT: \"%.300s\"", subject);
	else
		send_result(session, id, &status);
}
