/*
 * Random programs of system calls, of shapes that kernels take: file descriptors are those that
 * earlier calls of the program have returned, lengths those of the buffers before them, flags and
 * paths come from lists, structs hold pointers to other buffers. Some arguments are wrong on
 * purpose, and some calls are made with arguments that nobody has thought about.
 *
 *	calls.c      the calls that are described, and which must never be made
 *	shapes.c     the buffers that they take
 *	random.c     puts programs together
 *	describe.c   a program in words
 *	crew.c       runs them in workers, side by side
 *	tally.c      counts what becomes of them
 *	campaign.c   runs many in a guest
 *
 * A program depends on architecture, seed and number alone, so that one of a million can be made
 * again. It may do to its own process whatever it likes: exit, kill itself, close all, drop
 * privileges. What would end the machine, harm other processes, fill its memory or change what all
 * share (clock, mounts over /, modules) is left out. It writes to files in RANDOM_DIRECTORY alone,
 * which is made before, and leaves neither fds nor memory behind where its process lives on.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/include/provium.h"

#define RANDOM_DIRECTORY   "/tmp/random"

/* Milliseconds that each call of a program has. */
#define RANDOM_DEADLINE_MS 50

/* A program; NULL: no memory. The caller's to free. */
struct provium_program *random_program(const char *arch, uint64_t seed, uint64_t number);

/* Writes a call a line, with its result where it was made. */
void random_describe(const struct provium_program *program, const char *arch, FILE *file);

/* The number of a call of it. */
uint32_t random_call_number(const struct provium_program *program, unsigned int call);

/* ------------------------------------------------------------------------------------------- */
/* Between the parts */

/* What calls return, and others take. */
enum resource {
	RES_NONE,
	RES_FILE,
	RES_DIR,
	RES_PIPE,
	RES_UNIX,
	RES_INET,
	RES_NETLINK,
	RES_EPOLL,
	RES_EVENT,
	RES_TIMER,
	RES_SIGNAL,
	RES_INOTIFY,
	RES_FANOTIFY,
	RES_MEMFD,
	RES_PIDFD,
	RES_FS,
	RES_MOUNT,
	RES_QUEUE,
	RES_RING,
	RES_BPF,
	RES_PERF,
	RES_WATCH,
	/* Any of those above. */
	RES_FD,
	RES_PID,
	RES_TID,
	RES_MAP,
	RES_KEY,
	RES_SHM,
	RES_SEM,
	RES_MSG,
	RES_AIO,
	RES_POSIX_TIMER,
	RESOURCES,
};

#define HELD_MAX 8

/* The result of a call, or with width what a call has written at the offset of a buffer. */
struct held {
	int index;
	uint32_t offset;
	uint32_t width;
};

#define SHARED_MAX 16

/* A buffer with this text; NULL: one that is written to. */
struct shared {
	const char *text;
	int buffer;
	uint32_t size;
};

struct state {
	uint64_t random;
	const char *arch;
	struct provium_program *program;
	unsigned int n_calls;
	unsigned int n_buffers;
	/* The buffer that was made last, and its bytes; entries, where it is an array of such. */
	int buffer;
	uint32_t size;
	uint32_t count;
	struct held held[RESOURCES][HELD_MAX];
	unsigned int n_held[RESOURCES];
	/* Of RES_MAP. */
	uint32_t map_size;
	/*
	 * Buffers that serve more than one argument: each costs the agent a mapping. Not while a
	 * call is put together whose output is used later.
	 */
	struct shared shared[SHARED_MAX];
	unsigned int n_shared;
	bool alone;
};

uint64_t random_next(struct state *state);
/* 0 to count - 1. */
uint32_t random_below(struct state *state, uint32_t count);
bool random_one_in(struct state *state, uint32_t count);

struct spec;
typedef struct provium_arg (*make_arg)(struct state *state, const struct spec *spec);

/* How an argument is made. */
struct spec {
	make_arg make;
	/* What the maker chooses from. */
	/* of uint64_t; with make_string of const char * */
	const void *list;
	uint32_t n_list;
	/* A number, a size, a resource. */
	uint64_t value;
};

struct call {
	const char *name;
	/* How often it is made, compared with others. */
	unsigned int weight;
	enum resource returns;
	/*
	 * Its arguments are as they are described and no others, and it is made in no other way: it
	 * could do harm.
	 */
	bool strict;
	struct spec args[6];
	/* What more it gives, in the buffer that was made last. */
	void (*after)(struct state *state);
};

/* At most so many of each. */
#define RANDOM_CALLS_MOST 400

extern const struct call random_calls[];
extern const size_t random_n_calls;
extern const struct call random_ends[];
extern const size_t random_n_ends;

/* Why a call is never made; NULL: it may be. */
const char *random_exclusion(const char *name);

/* Adds a call of this kind to the program, after those that make what it needs. */
int random_add_call(struct state *state, const struct call *call, unsigned int depth);

/* Notes that something is there to be used. */
void random_hold(struct state *state, enum resource resource, struct held held);

/* Something of this kind; a call that makes one is added where there is none. */
struct provium_arg random_resource(struct state *state, enum resource resource, unsigned int depth);

/* A number that nobody has thought about; never that of an fd of the agent's. */
uint64_t random_number(struct state *state);

/* Buffers. */
int shape_input(struct state *state, const void *data, size_t size);
int shape_output(struct state *state, size_t size);

/* Makers (spec->value, list: what they say). */
struct provium_arg make_const(struct state *state, const struct spec *spec);
/* One of the list. */
struct provium_arg make_one(struct state *state, const struct spec *spec);
/* Several of the list in one number. */
struct provium_arg make_flags(struct state *state, const struct spec *spec);
/* 0 to value. */
struct provium_arg make_upto(struct state *state, const struct spec *spec);
/* A resource. */
struct provium_arg make_resource(struct state *state, const struct spec *spec);
/* AT_FDCWD, or a directory. */
struct provium_arg make_dirfd(struct state *state, const struct spec *spec);
/* A file of the program's own; one that may also be the system's and is only looked at. */
struct provium_arg make_path(struct state *state, const struct spec *spec);
struct provium_arg make_readable(struct state *state, const struct spec *spec);
/* Where a file system is mounted. */
struct provium_arg make_mount_point(struct state *state, const struct spec *spec);
/* One of the strings that the list holds as addresses. */
struct provium_arg make_string(struct state *state, const struct spec *spec);
/* Bytes, as many as value at most; an array of such entries, of which there are count. */
struct provium_arg make_in(struct state *state, const struct spec *spec);
struct provium_arg make_out(struct state *state, const struct spec *spec);
/* A struct of zeros, value bytes. */
struct provium_arg make_zero(struct state *state, const struct spec *spec);
/* A number that stands in a buffer: 4 bytes of value; of the size of the last buffer. */
struct provium_arg make_in_number(struct state *state, const struct spec *spec);
struct provium_arg make_in_size(struct state *state, const struct spec *spec);
/* Of the buffer that was made last: its size, its entries. */
struct provium_arg make_size(struct state *state, const struct spec *spec);
struct provium_arg make_count(struct state *state, const struct spec *spec);
struct provium_arg make_iovec(struct state *state, const struct spec *spec);
struct provium_arg make_msghdr(struct state *state, const struct spec *spec);
struct provium_arg make_mmsghdr(struct state *state, const struct spec *spec);
struct provium_arg make_timespec(struct state *state, const struct spec *spec);
/* value of them in a row. */
struct provium_arg make_times(struct state *state, const struct spec *spec);
struct provium_arg make_sockaddr_unix(struct state *state, const struct spec *spec);
struct provium_arg make_sockaddr_inet(struct state *state, const struct spec *spec);
struct provium_arg make_netlink(struct state *state, const struct spec *spec);
struct provium_arg make_epoll_event(struct state *state, const struct spec *spec);
struct provium_arg make_pollfds(struct state *state, const struct spec *spec);
struct provium_arg make_fd_set(struct state *state, const struct spec *spec);
struct provium_arg make_sigset(struct state *state, const struct spec *spec);
struct provium_arg make_sigaction(struct state *state, const struct spec *spec);
struct provium_arg make_sigevent(struct state *state, const struct spec *spec);
struct provium_arg make_rlimit(struct state *state, const struct spec *spec);
struct provium_arg make_open_how(struct state *state, const struct spec *spec);
struct provium_arg make_clone_args(struct state *state, const struct spec *spec);
struct provium_arg make_sched_attr(struct state *state, const struct spec *spec);
struct provium_arg make_flock(struct state *state, const struct spec *spec);
struct provium_arg make_sembufs(struct state *state, const struct spec *spec);
struct provium_arg make_iocbs(struct state *state, const struct spec *spec);
struct provium_arg make_filter(struct state *state, const struct spec *spec);
struct provium_arg make_bpf_attr(struct state *state, const struct spec *spec);
struct provium_arg make_perf_attr(struct state *state, const struct spec *spec);
struct provium_arg make_argv(struct state *state, const struct spec *spec);
struct provium_arg make_cap_header(struct state *state, const struct spec *spec);

#endif
