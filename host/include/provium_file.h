/*
 * Files of a guest: reading, writing, looking, changing, and copying whole trees.
 *
 * Paths are the guest's where nothing else is said; a relative one starts at its "/". A call that
 * the guest's kernel refuses fails with PROVIUM_GUEST and the errno value. File operations of one
 * connection run one after the other.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_FILE_H
#define PROVIUM_FILE_H

#include "provium_exec.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Takes what was read, in order. Not 0 ends the transfer with PROVIUM_CANCELLED. */
typedef int (*provium_sink_fn)(void *user, const void *data, size_t size);

/* Takes a hole of size bytes, in order with the data. Not 0 ends the transfer as well. */
typedef int (*provium_hole_fn)(void *user, uint64_t size);

/*
 * Puts at most size bytes into data and returns how many; 0 is the end, a negative errno value ends
 * the transfer with PROVIUM_HOST.
 */
typedef ptrdiff_t (*provium_source_fn)(void *user, void *data, size_t size);

/* How many bytes are to stay a hole before what the source gives next; 0: none. */
typedef uint64_t (*provium_skip_fn)(void *user);

/* done and total in bytes; total is 0 where it is not known. */
typedef void (*provium_progress_fn)(void *user, uint64_t done, uint64_t total);

struct provium_read_options {
	/*
	 * Read the agent's descriptor fd, which a system call of the agent's has opened, instead of
	 * a path (which is NULL then).
	 */
	bool has_fd;
	int fd;
	/* 0: the start; of an fd its own position, unless has_offset tells a wanted 0. */
	uint64_t offset;
	bool has_offset;
	/* Bytes at most. 0: to the end. */
	uint64_t length;
	/* Told of holes, whose zeros are then not sent. NULL: holes come as zeros. */
	provium_hole_fn on_hole;
};

/*
 * Reads a file of any size. options may be NULL. *bytes: how many came, holes not counted; may be
 * NULL.
 */
int provium_read_file(struct provium_connection *connection, const char *path,
		      const struct provium_read_options *options, provium_sink_fn sink, void *user,
		      int timeout_ms, uint64_t *bytes, struct provium_error *error);

/* Fails with PROVIUM_LIMIT where the file is longer than limit bytes. NUL-terminated behind size.
 */
int provium_read_file_memory(struct provium_connection *connection, const char *path, size_t limit,
			     int timeout_ms, struct provium_buffer *content,
			     struct provium_error *error);

struct provium_write_options {
	/* Exact permission bits of a file that is made. 0: 0644; has_mode tells a wanted 0. */
	unsigned int mode;
	bool has_mode;
	/* Owner of the file. Neither: unchanged. */
	bool has_uid;
	bool has_gid;
	uint32_t uid;
	uint32_t gid;
	/* Fail where the file is not there. */
	bool no_create;
	/* Fail where the file is there. */
	bool exclusive;
	bool append;
	/* Write beside it, fsync, rename over it. */
	bool atomic;
	bool sync;
	/* Where to begin, nothing being cut off; without has_offset the file is truncated first. */
	bool has_offset;
	uint64_t offset;
	/* Write to the agent's descriptor fd instead of a path (which is NULL then). */
	bool has_fd;
	int fd;
	/* Asked before each call of the source. NULL: no holes. */
	provium_skip_fn skip;
};

/*
 * The file is truncated first unless options say otherwise. options may be NULL. *bytes: how many
 * were written, holes not counted; may be NULL.
 */
int provium_write_file(struct provium_connection *connection, const char *path,
		       const struct provium_write_options *options, provium_source_fn source,
		       void *user, int timeout_ms, uint64_t *bytes, struct provium_error *error);
int provium_write_file_memory(struct provium_connection *connection, const char *path,
			      const struct provium_write_options *options, const void *data,
			      size_t size, int timeout_ms, struct provium_error *error);

enum provium_tail_event {
	PROVIUM_TAIL_DATA,
	/* The file has become shorter, and follows from its start. No data. */
	PROVIUM_TAIL_TRUNCATED,
	/* The path names another file now, which follows from its start. No data. */
	PROVIUM_TAIL_ROTATED,
};

/*
 * Takes what a file gets, in order; offset is that of the data's first byte in the file. Not 0 ends
 * provium_tail. Must not call functions on the same connection.
 */
typedef int (*provium_tail_fn)(void *user, enum provium_tail_event event, uint64_t offset,
			       const void *data, size_t size);

enum provium_tail_start {
	/* Only what it gets from now on. */
	PROVIUM_TAIL_END,
	PROVIUM_TAIL_BEGINNING,
	PROVIUM_TAIL_OFFSET,
};

struct provium_tail_options {
	enum provium_tail_start start;
	/* With PROVIUM_TAIL_OFFSET. */
	uint64_t offset;
	/* Follow the agent's descriptor fd instead of a path (which is NULL then). */
	bool has_fd;
	int fd;
};

/*
 * Follows a file until callback ends it (0 is returned), or the connection's cancel fd or the
 * timeout does. options may be NULL.
 */
int provium_tail(struct provium_connection *connection, const char *path,
		 const struct provium_tail_options *options, provium_tail_fn callback, void *user,
		 int timeout_ms, struct provium_error *error);

/* As statx(2) has it. Times are nanoseconds since the epoch, where the file system has them. */
struct provium_file_status {
	/* STATX_*: which fields the kernel has filled in. */
	uint32_t mask;
	/* Type and permission bits, as st_mode (inode(7)). */
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint64_t ino;
	/* Bytes. */
	uint64_t size;
	/* Of 512 bytes. */
	uint64_t blocks;
	uint32_t blksize;
	/* STATX_ATTR_*, and which of them the file system knows. */
	uint64_t attributes;
	uint64_t attributes_mask;
	bool has_atime;
	bool has_btime;
	bool has_ctime;
	bool has_mtime;
	int64_t atime_ns;
	int64_t btime_ns;
	int64_t ctime_ns;
	int64_t mtime_ns;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	bool has_mnt_id;
	/* As /proc/PID/mountinfo has it. */
	uint64_t mnt_id;
	/* What only newer kernels tell, and of some file systems. */
	bool has_dio_align;
	bool has_dio_read_align;
	bool has_subvol;
	bool has_atomic_write;
	/* Bytes that direct I/O must be aligned to, in memory and in the file; 0: there is none. */
	uint32_t dio_mem_align;
	uint32_t dio_offset_align;
	/* The same of reads in the file; 0: dio_offset_align. */
	uint32_t dio_read_offset_align;
	uint64_t subvol;
	/* Bytes of an atomic write, powers of two; 0: there is none. */
	uint32_t atomic_write_unit_min;
	uint32_t atomic_write_unit_max;
	/* Beyond these it is slower; 0: atomic_write_unit_max. */
	uint32_t atomic_write_unit_max_opt;
	/* Buffers that it may be gathered from. */
	uint32_t atomic_write_segments_max;
};

/* follow: of what a symbolic link leads to, instead of the link. */
int provium_stat(struct provium_connection *connection, const char *path, bool follow,
		 int timeout_ms, struct provium_file_status *status, struct provium_error *error);

/* Of the agent's descriptor fd. */
int provium_stat_fd(struct provium_connection *connection, int fd, int timeout_ms,
		    struct provium_file_status *status, struct provium_error *error);

struct provium_dir_entry {
	/* Bytes, without a slash; never "." or "..". Lives during the callback. */
	const char *name;
	/* DT_* of readdir(3); DT_UNKNOWN where the file system does not tell. */
	unsigned int type;
	uint64_t ino;
};

/* Not 0 ends the listing with PROVIUM_CANCELLED. */
typedef int (*provium_dir_entry_fn)(void *user, const struct provium_dir_entry *entry);

/* Lists a directory of any size, in the file system's order, without "." and "..". */
int provium_list_dir(struct provium_connection *connection, const char *path,
		     provium_dir_entry_fn callback, void *user, int timeout_ms,
		     struct provium_error *error);

/* parents: make those above too, and let it be there already. */
int provium_mkdir(struct provium_connection *connection, const char *path, unsigned int mode,
		  bool parents, int timeout_ms, struct provium_error *error);

/*
 * A file or an empty directory. recursive: with all below, no symbolic link being followed.
 * missing_ok: that it is not there is no error.
 */
int provium_remove(struct provium_connection *connection, const char *path, bool recursive,
		   bool missing_ok, int timeout_ms, struct provium_error *error);

/* flags: RENAME_* of renameat2(2). */
int provium_rename(struct provium_connection *connection, const char *old_path,
		   const char *new_path, uint32_t flags, int timeout_ms,
		   struct provium_error *error);

/* Makes path a symbolic link that says target. */
int provium_symlink(struct provium_connection *connection, const char *target, const char *path,
		    int timeout_ms, struct provium_error *error);

/* *target: what the link says; release with free(3). */
int provium_readlink(struct provium_connection *connection, const char *path, int timeout_ms,
		     char **target, struct provium_error *error);

/* Follows symbolic links. */
int provium_chmod(struct provium_connection *connection, const char *path, unsigned int mode,
		  int timeout_ms, struct provium_error *error);

/* uid and gid: (uint32_t)-1 leaves it as it is. follow: as in provium_stat. */
int provium_chown(struct provium_connection *connection, const char *path, uint32_t uid,
		  uint32_t gid, bool follow, int timeout_ms, struct provium_error *error);

/* As mount(2): flags are MS_*; source, fstype and data may be NULL. */
int provium_mount(struct provium_connection *connection, const char *source, const char *target,
		  const char *fstype, uint64_t flags, const char *data, int timeout_ms,
		  struct provium_error *error);

/* As umount2(2): flags are MNT_* and UMOUNT_*. */
int provium_umount(struct provium_connection *connection, const char *target, uint32_t flags,
		   int timeout_ms, struct provium_error *error);

struct provium_copy_options {
	/* Holes stay holes instead of being sent and written as zeros. */
	bool sparse;
	/*
	 * The target is the copy itself, even where a directory of that name is there: the entries
	 * of a copied directory are then put among those that it has, and a file fails.
	 */
	bool exact;
	/* Bytes of all files so far; the total is known for a single file. NULL: none. */
	provium_progress_fn progress;
	/*
	 * Called with each file, directory and symbolic link that begins to be copied, as its path
	 * in the source. NULL: none.
	 */
	void (*on_entry)(void *user, const char *path);
	/* Called with each device, socket and FIFO of a directory: they are left out. NULL: none.
	 */
	void (*on_skip)(void *user, const char *path);
	void *user;
};

/*
 * Copies a file, or a directory with all that is below it, in bounded memory. As with cp(1) -R: a
 * target that is a directory already gets the copy in it, under the source's last name; otherwise
 * (and with exact) the target becomes the copy. To a file, a target that ends in a slash is a
 * directory. The source itself may be a symbolic link and is followed; those in a directory are
 * copied as links and never followed.
 *
 * Permission bits are kept, but that what is pulled is neither set-id nor sticky here; owners,
 * times and hard links are not. A directory that is there keeps its permission bits. An entry
 * replaces only one of its own kind, and a directory's entries are added to those that are there.
 *
 * A target is never half a file: each is written beside it, as ".provium-" and 16 hexadecimal
 * digits, and renamed. Where the process of a pull is killed, what was written so (at most 32
 * files) stays; the agent removes it when the connection of a push ends. A copied directory that
 * fails, or is cut, leaves what was complete until then; of its directories those that were
 * under way are still accessible to their owner where that is not their mode. After a push the
 * guest may go on for a moment with what was sent ahead.
 *
 * The guest's path of an entry, as that of the host, has at most 4095 bytes. A pull fails with
 * PROVIUM_LIMIT where the names of the directories under way take more than 64 MiB.
 *
 * pull needs an agent that serves STAT for directories and permission bits. options may be NULL.
 */
int provium_push(struct provium_connection *connection, const char *host_path,
		 const char *guest_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error);
int provium_pull(struct provium_connection *connection, const char *guest_path,
		 const char *host_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
