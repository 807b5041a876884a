/*
 * Commands in a guest: their streams, terminal, credentials, limits and results.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_EXEC_H
#define PROVIUM_EXEC_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct provium_exec;

enum provium_stream {
	PROVIUM_STDOUT = 1,
	PROVIUM_STDERR = 2,
};

enum provium_stdin {
	/* /dev/null, or the input where there is some. */
	PROVIUM_STDIN_DEFAULT,
	/* provium_exec_write and provium_exec_close_stdin bring it. */
	PROVIUM_STDIN_STREAM,
};

/* What is killed with a command whose time has passed, or that is cancelled. */
enum provium_kill_scope {
	/* The descendants that a walk through the process tree finds, and its process group. */
	PROVIUM_KILL_TREE,
	/*
	 * Also what has left the tree: the command runs in a cgroup of its own, which the guest can
	 * see. Fails with PROVIUM_GUEST where the guest's kernel has no cgroup v2.
	 */
	PROVIUM_KILL_CGROUP,
};

/* "No limit", in a provium_rlimit. */
#define PROVIUM_UNLIMITED UINT64_MAX

/* As setrlimit(2). */
struct provium_rlimit {
	/* RLIMIT_* as a number of the guest's architecture. */
	uint32_t resource;
	/* soft must not be above hard. */
	uint64_t soft;
	uint64_t hard;
};

/*
 * Called with what the command wrote, as it comes. Must not call functions on the same connection.
 */
typedef void (*provium_output_fn)(void *user, enum provium_stream stream, const void *data,
				  size_t size);

struct provium_exec_options {
	/* NULL-terminated; argv[0] without a slash is looked up in PATH. Either argv or shell. */
	const char *const *argv;
	/* Run by /bin/sh -c. */
	const char *shell;
	/* NULL-terminated NAME=VALUE, over the agent's environment. NULL: none. */
	const char *const *env;
	/* Start from an empty environment. */
	bool clear_env;
	/* NULL: "/". */
	const char *cwd;
	enum provium_stdin stdin_kind;
	/* Standard input as a whole. */
	const void *input;
	size_t input_size;
	/* Standard error goes where standard output goes. With pty it does anyway. */
	bool merge_stderr;
	/* Milliseconds after which the agent kills the command. 0: none. */
	uint64_t timeout_ms;
	/* NULL: output is dropped. */
	provium_output_fn on_output;
	void *user;
	/* Numbers of the guest. Without has_uid and has_gid: as the agent runs, which is root. */
	bool has_uid;
	bool has_gid;
	uint32_t uid;
	uint32_t gid;
	/*
	 * The supplementary groups; with has_groups n_groups may be 0. Without it a command with a
	 * uid has none, and another those of the agent.
	 */
	bool has_groups;
	const uint32_t *groups;
	size_t n_groups;
	/* Added to the niceness; less than 0 is more urgent. */
	int nice;
	const struct provium_rlimit *rlimits;
	size_t n_rlimits;
	/*
	 * A pseudo-terminal is the command's controlling terminal and its standard input, output
	 * and error; what it writes is all PROVIUM_STDOUT. The end of standard input is the
	 * terminal's end-of-file character.
	 */
	bool pty;
	/* Of the pty, at most 65535. 0: 24 and 80. */
	unsigned int rows;
	unsigned int cols;
	/* TERM of the command with pty, unless env sets it. NULL: "linux". */
	const char *term;
	/* Bytes of each stream after which the rest is dropped and told in the result. 0: none. */
	uint64_t output_limit;
	enum provium_kill_scope kill_scope;
};

enum provium_outcome {
	PROVIUM_EXITED = 1,
	PROVIUM_SIGNALLED,
	/* Killed by the agent because options.timeout_ms had passed. */
	PROVIUM_EXEC_TIMED_OUT,
	PROVIUM_EXEC_CANCELLED,
};

struct provium_exec_result {
	enum provium_outcome outcome;
	/* With PROVIUM_EXITED. */
	int exit_code;
	/* The signal that ended it; 0 where none did. Guest's number. */
	int signal;
	bool core_dumped;
	int pid;
	uint64_t wall_ns;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_kib;
	uint64_t minor_faults;
	uint64_t major_faults;
	uint64_t voluntary_switches;
	uint64_t involuntary_switches;
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
	bool stdout_truncated;
	bool stderr_truncated;
	/* Another process still held its output when the command had ended. */
	bool pipes_held;
	/*
	 * The first and the last of the events that the kernel reported while the command ran
	 * (provium_kernel.h); 0: none.
	 */
	uint64_t first_kernel_event;
	uint64_t last_kernel_event;
};

/*
 * Sends the request and returns at once; many commands may run on one connection. That the program
 * cannot be executed is told by provium_exec_wait. Fails with PROVIUM_LIMIT where arguments and
 * input are too much for one message (16 MiB; larger input can be streamed), and with PROVIUM_BUSY
 * where the agent leaves more than 32 MiB of earlier requests unread.
 */
int provium_exec_start(struct provium_connection *connection,
		       const struct provium_exec_options *options, struct provium_exec **exec,
		       struct provium_error *error);

/* Whether its result (or failure) is there, so that provium_exec_wait will not block. */
bool provium_exec_done(const struct provium_exec *exec);

/* Waits for the end. May be called again. All output has been delivered when it succeeds. */
int provium_exec_wait(struct provium_exec *exec, int timeout_ms, struct provium_exec_result *result,
		      struct provium_error *error);

/*
 * How many bytes provium_exec_write takes now without waiting for the command to read. Not 0 where
 * it would fail at once.
 */
size_t provium_exec_writable(const struct provium_exec *exec);

/*
 * Appends to the command's standard input (PROVIUM_STDIN_STREAM). Waits while 256 KiB are unread.
 * Fails with PROVIUM_GUEST and EPIPE where the command has closed it or has ended; that may be
 * noticed only by a later write. A write that timed out may have sent a part.
 */
int provium_exec_write(struct provium_exec *exec, const void *data, size_t size, int timeout_ms,
		       struct provium_error *error);

/* End of file, after what was written. Closing it again is no error, nor after the command's end.
 */
int provium_exec_close_stdin(struct provium_exec *exec, struct provium_error *error);

/* signal: a number of the guest's architecture. group: to its process group. */
int provium_exec_signal(struct provium_exec *exec, int signal, bool group, int timeout_ms,
			struct provium_error *error);

/*
 * The size of its pseudo-terminal, 1 to 65535 each. Fails with PROVIUM_GUEST or PROVIUM_INVALID
 * where it has none.
 */
int provium_exec_resize(struct provium_exec *exec, unsigned int rows, unsigned int cols,
			int timeout_ms, struct provium_error *error);

/* Asks the agent to kill it; provium_exec_wait tells when that is done. */
int provium_exec_cancel(struct provium_exec *exec, struct provium_error *error);

/* Releases the handle. A command that still runs is cancelled. NULL is allowed. */
void provium_exec_free(struct provium_exec *exec);

/* A piece of memory that the library allocated; release data with free(3). */
struct provium_buffer {
	void *data;
	size_t size;
};

/*
 * Start, wait, free, with the output in memory: at most limit bytes per stream are kept (0: 16
 * MiB), the rest is dropped and told in the result. Input may have any size, but not be streamed.
 * result, out and err may be NULL. Both outputs are NUL-terminated behind their size. on_output and
 * output_limit of the options are not used.
 */
int provium_exec_run(struct provium_connection *connection,
		     const struct provium_exec_options *options, size_t limit, int timeout_ms,
		     struct provium_exec_result *result, struct provium_buffer *out,
		     struct provium_buffer *err, struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
