/*
 * Programs: system calls that the agent makes, one after the other, in one request.
 *
 * A program is built first: its buffers, which exist in the agent while it runs, and its calls,
 * whose arguments are numbers, addresses of buffers, results of earlier calls, or numbers that an
 * earlier call has written into a buffer. Buffers and calls are named by the numbers that the
 * functions below return, counted from 0.
 *
 *	struct provium_program *program = provium_program_new();
 *	int path = provium_program_string(program, "/tmp/file");
 *	int fd = PROVIUM_CALL(program, SYS_openat, provium_value(AT_FDCWD), provium_address(path),
 *			      provium_value(O_RDWR | O_CREAT), provium_value(0600));
 *	int text = provium_program_input(program, "text", 4);
 *	PROVIUM_CALL(program, SYS_write, provium_result_of(fd), provium_address(text),
 *		     provium_value(4));
 *	PROVIUM_CALL(program, SYS_close, provium_result_of(fd));
 *	if (provium_program_run(connection, program, 5000, &error) < 0 ||
 *	    provium_program_check(program, &error) < 0)
 *		fprintf(stderr, "%s\n", error.message);
 *	provium_program_free(program);
 *
 * Numbers are those of the guest's architecture. SYS_openat is the host's; where the two may differ
 * provium_syscall_number(provium_connection_agent(connection)->arch, "openat") has it.
 *
 * The functions that build cannot fail at the place: what was wrong (no memory, a number that does
 * not exist) is remembered, and provium_program_run tells it.
 *
 * The calls are made by the agent's own process, as root and with its fds: a program that ends,
 * replaces or blinds its caller ends the agent's server, which is started again.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_PROGRAM_H
#define PROVIUM_PROGRAM_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Where a buffer lies. A page beside it that no call can use shows one byte too many at once. */
enum provium_placement {
	/* Its last byte is the last before a page that is not accessible. */
	PROVIUM_PLACE_END,
	/* Its first byte is the first behind such a page. */
	PROVIUM_PLACE_START,
	/* A border of two pages is in its middle. */
	PROVIUM_PLACE_STRADDLE,
	/* As PROVIUM_PLACE_END, on pages that cannot be written. */
	PROVIUM_PLACE_READONLY,
	/* Its address is that of nothing. It has no content. */
	PROVIUM_PLACE_UNMAPPED,
};

struct provium_buffer_options {
	/* Its first bytes; what they leave of it is a pattern. */
	const void *input;
	size_t input_size;
	/* Bytes; 0: input_size. At most 8 MiB in all buffers of a program. */
	size_t size;
	enum provium_placement placement;
	/* provium_program_data gives its content. */
	bool output;
	/* provium_program_changes gives the ranges that the calls have changed. */
	bool changes;
	/* Of the pattern: its seed, and whether all its bits are the other way round. */
	uint32_t fill_seed;
	bool fill_complement;
};

struct provium_program;

/* NULL: no memory. */
struct provium_program *provium_program_new(void);

/* NULL is allowed. */
void provium_program_free(struct provium_program *program);

/* A buffer, at most 256 in a program. Returns its number. */
int provium_program_buffer(struct provium_program *program,
			   const struct provium_buffer_options *options);

/* A buffer with these bytes; one with this text and its NUL; one that a call fills, and comes back.
 */
int provium_program_input(struct provium_program *program, const void *data, size_t size);
int provium_program_string(struct provium_program *program, const char *text);
int provium_program_output(struct provium_program *program, size_t size);

/*
 * Puts the address of the buffer `to`, plus addend, into the 8 bytes at offset of the buffer `in`
 * before the first call.
 */
void provium_program_pointer(struct provium_program *program, int in, size_t offset, int to,
			     int64_t addend);

/* An argument. */
struct provium_arg {
	/* Made by the functions below; not for the caller. */
	int kind;
	int index;
	uint32_t offset;
	uint32_t width;
	uint64_t value;
};

/* A number. */
struct provium_arg provium_value(uint64_t value);
/* The address of a buffer; of a byte in it. */
struct provium_arg provium_address(int buffer);
struct provium_arg provium_address_at(int buffer, uint32_t offset);
/* What an earlier call has returned. */
struct provium_arg provium_result_of(int call);
/* The same, plus a number: a place in what mmap(2) has returned, say. */
struct provium_arg provium_result_plus(int call, uint32_t offset);
/* The number of width (1, 2, 4 or 8) bytes at offset of a buffer, as it is when the call is made.
 */
struct provium_arg provium_load(int buffer, uint32_t offset, uint32_t width);
struct provium_arg provium_load_signed(int buffer, uint32_t offset, uint32_t width);

/*
 * A call of the system call with this number of the guest's architecture, with at most 6 arguments;
 * those that are not given are 0. At most 4096 in a program. Returns the call's number.
 */
int provium_program_call(struct provium_program *program, uint32_t number,
			 const struct provium_arg *args, size_t n_args);

#ifndef __cplusplus
/* The same with the arguments, of which there must be one at least, written out. */
#define PROVIUM_CALL(program, number, ...)                                                  \
	provium_program_call(                                                               \
		(program), (uint32_t)(number), (const struct provium_arg[]){ __VA_ARGS__ }, \
		sizeof((const struct provium_arg[]){ __VA_ARGS__ }) / sizeof(struct provium_arg))
#endif

/* The call is made so often, at most 1 000 000 times; its result is that of the last time. */
void provium_program_repeat(struct provium_program *program, int call, uint32_t times);

/*
 * Milliseconds that each call has, or one of them (with all its repetitions), until it is
 * interrupted; 0: none. Without these 10000. A call that does not return although it is interrupted
 * (signals are blocked, or it sleeps uninterruptibly) ends the agent's server 1 s later.
 */
void provium_program_deadline(struct provium_program *program, uint32_t ms);
void provium_program_deadline_of(struct provium_program *program, int call, uint32_t ms);

/* The program ends with the first call that fails; for one call: where that one fails. */
void provium_program_stop_on_error(struct provium_program *program);
void provium_program_stop_on_error_of(struct provium_program *program, int call);

/*
 * Runs it; blocks until all calls are made. 0, also where calls have failed: their results say so.
 * A program can run any number of times; what the results below say is of the last run.
 *
 * PROVIUM_INVALID, PROVIUM_LIMIT, PROVIUM_UNSUPPORTED: it is wrong, and no call has been made.
 * PROVIUM_DISCONNECTED: a call has ended the agent's server. The message names the call, where it
 * is known, and how the server has ended.
 */
int provium_program_run(struct provium_connection *connection, struct provium_program *program,
			int timeout_ms, struct provium_error *error);

/*
 * The agent tells of each call before it makes it, so that after a panic, or the end of the server,
 * the error's message names the very one. Each costs a message and 0.1 ms.
 */
void provium_program_trace(struct provium_program *program);

/* The last call of the last run that the agent has told of; -1: none. Without a trace there is
 * none.
 */
int provium_program_last_started(const struct provium_program *program);

/*
 * Starts it in the background: on a thread of the agent's with its credentials, so that calls which
 * block keep nobody waiting. Returns when it is sent. The program must not be changed until
 * provium_program_wait has returned what became of it; provium_program_free gives it up, and its
 * calls are interrupted. PROVIUM_BUSY: it is running. Not with a trace, and not for
 * provium_written. At most 64 at a time (PROVIUM_LIMIT, from provium_program_wait).
 */
int provium_program_start(struct provium_connection *connection, struct provium_program *program,
			  struct provium_error *error);

/* Waits for its end. PROVIUM_TIMED_OUT: it runs on. Otherwise as provium_program_run. */
int provium_program_wait(struct provium_program *program, int timeout_ms,
			 struct provium_error *error);

/*
 * Has the agent interrupt the call that is being made, and make no more; provium_program_wait then
 * returns, and provium_program_made says how many there were. PROVIUM_NOT_FOUND: it has ended.
 */
int provium_program_cancel(struct provium_program *program, struct provium_error *error);

/*
 * As provium_program_run, but the whole program runs twice, the second time with the complement of
 * each pattern, and provium_program_changes of the buffers with `changes` is what either run has
 * changed. So a byte that a call has written is told also where it has written what was there: it
 * is missed only where the runs have written different values and each what it found. Of bytes of
 * an input only a change can be told. All else that the program tells is of the second run.
 */
int provium_written(struct provium_connection *connection, struct provium_program *program,
		    int timeout_ms, struct provium_error *error);

/* How many calls were made: all, unless it stopped on an error. */
unsigned int provium_program_made(const struct provium_program *program);

/* What the kernel returned: -errno on failure. 0 of a call that was not made. */
int64_t provium_program_result(const struct provium_program *program, int call);

/*
 * Whether a call has succeeded: -1 where it has failed, with PROVIUM_GUEST, its errno, its name as
 * the error's operation and "call 2: openat: ENOENT" as its message; one that was interrupted at
 * its deadline is told with the place where it was. PROVIUM_INVALID: it was not made.
 */
int provium_program_check_call(const struct provium_program *program, int call,
			       struct provium_error *error);

/* The same of all calls that were made; the error is that of the first that has failed. */
int provium_program_check(const struct provium_program *program, struct provium_error *error);

/* How long it took (all its repetitions), CLOCK_MONOTONIC_RAW of the guest. */
uint64_t provium_program_duration_ns(const struct provium_program *program, int call);

/*
 * Where a call was when its time was up, as the guest's kernel says of its thread in /proc
 * (proc(5)):
 * "" where it says nothing, and for all but the first 16 calls of a program.
 */
struct provium_interruption {
	const char *syscall;
	const char *wchan;
	const char *stack;
	const char *status;
};

/* Of a call that was interrupted at its deadline, else NULL. Lives as provium_program_data. */
const struct provium_interruption *
provium_program_interrupted(const struct provium_program *program, int call);

/*
 * The numbers of the events (provium_kernel.h) that are certainly this call's: it made the kernel
 * say something, and nothing else ran. All that were seen while the program ran has
 * provium_kernel_numbers. NULL: none. Lives as provium_program_data.
 */
const uint64_t *provium_program_kernel_events(const struct provium_program *program, int call,
					      size_t *count);

/*
 * The content of a buffer with `output` after the last call, as many bytes as it has. Lives until
 * the program's next run or end. NULL: there is none (a call has unmapped it, say).
 */
const void *provium_program_data(const struct provium_program *program, int buffer);

struct provium_range {
	uint32_t offset;
	uint32_t size;
};

/*
 * The ranges of a buffer with `changes` whose bytes are not what they were before the first call.
 * Lives as provium_program_data. cut (may be NULL): a result tells of 65536 ranges, and there were
 * more.
 */
const struct provium_range *provium_program_changes(const struct provium_program *program,
						    int buffer, size_t *count, bool *cut);

/* ------------------------------------------------------------------------------------------- */
/* One call */

/* A buffer of the caller's for one call: its bytes go there, and what they have become comes back.
 */
struct provium_call_buffer {
	/* Which argument becomes its address; -1: none, only pointers lead to it. */
	int arg;
	void *data;
	size_t size;
};

/* In the first call buffer `in`, at offset, stands the address of call buffer `to`. */
struct provium_call_pointer {
	unsigned int in;
	size_t offset;
	unsigned int to;
};

/* One system call, with at most 6 arguments. *result: what the kernel returned. */
int provium_syscall(struct provium_connection *connection, uint32_t number, const uint64_t *args,
		    size_t n_args, int timeout_ms, int64_t *result, struct provium_error *error);

/* With a buffer; with several; with several that hold each other's addresses. */
int provium_syscall_buf(struct provium_connection *connection, uint32_t number,
			const uint64_t *args, size_t n_args, struct provium_call_buffer *buffer,
			int timeout_ms, int64_t *result, struct provium_error *error);
int provium_syscall_bufs(struct provium_connection *connection, uint32_t number,
			 const uint64_t *args, size_t n_args, struct provium_call_buffer *buffers,
			 size_t n_buffers, int timeout_ms, int64_t *result,
			 struct provium_error *error);
int provium_syscall_ptr(struct provium_connection *connection, uint32_t number,
			const uint64_t *args, size_t n_args, struct provium_call_buffer *buffers,
			size_t n_buffers, const struct provium_call_pointer *pointers,
			size_t n_pointers, int timeout_ms, int64_t *result,
			struct provium_error *error);

/* ioctl(2) on an fd of the agent's: with a number, and with a buffer that goes there and back. */
int provium_ioctl(struct provium_connection *connection, int fd, uint64_t command, uint64_t arg,
		  int timeout_ms, int64_t *result, struct provium_error *error);
int provium_ioctl_buf(struct provium_connection *connection, int fd, uint64_t command, void *data,
		      size_t size, int timeout_ms, int64_t *result, struct provium_error *error);

/*
 * size bytes at an address of the agent's process (a call has returned it: mmap(2), say). Fails
 * with PROVIUM_GUEST and EFAULT where not all of it can be read.
 */
int provium_read_memory(struct provium_connection *connection, uint64_t address, void *data,
			size_t size, int timeout_ms, struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
