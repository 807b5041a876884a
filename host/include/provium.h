/*
 * libprovium: boots a Linux kernel in a virtual machine and drives the agent inside it.
 *
 * Two kinds of handle: a provium_vm is a running QEMU, a provium_connection is one connection to an
 * agent, in a VM of this library or of somebody else (Firecracker, Cloud Hypervisor, libvirt).
 *
 * Calls block. Each that waits takes a timeout in milliseconds; PROVIUM_FOREVER waits without one.
 * A call that passed its timeout fails with PROVIUM_TIMED_OUT and has cancelled what it asked for
 * (provium_exec_wait only waited: the command runs on).
 *
 * Calls that can fail return 0, or -1 and an error value; the error argument may be NULL, and means
 * nothing where 0 is returned.
 *
 * There is no global state. Different threads may use different handles at the same time; one
 * handle is used by one thread at a time. A VM's processes die with the thread that booted it
 * (prctl(2), PR_SET_PDEATHSIG), so that a test that crashes leaves none behind.
 *
 * The structs of options may be cleared to zero: every zero is the default that is documented.
 * Strings and buffers that are passed in stay the caller's and are needed during the call only,
 * unless said otherwise.
 */
#ifndef PROVIUM_H
#define PROVIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define PROVIUM_FOREVER (-1)

/* The version of the library, "0.1.0". Static. */
const char *provium_version(void);

/* ------------------------------------------------------------------------------------------- */
/* Errors */

enum provium_code {
	PROVIUM_OK = 0,
	/* An argument or option is wrong: the caller's mistake, nothing was done. */
	PROVIUM_INVALID,
	/* A system call on the host failed; os_errno is the host's. */
	PROVIUM_HOST,
	/* A system call in the guest failed; os_errno is the guest's number. */
	PROVIUM_GUEST,
	/* The timeout passed. */
	PROVIUM_TIMED_OUT,
	/* The caller's cancel fd became readable, or a callback of the caller's ended the call. */
	PROVIUM_CANCELLED,
	/*
	 * The connection ended; what was running in the guest's process is not known to have ended.
	 * Where the agent's server was started again the message says why it had ended, and of a
	 * program of system calls in which call: the agent is dialled again for that, for at most
	 * 3 s, as the call's timeout and the cancel fd allow. On connections of
	 * provium_connect_fd it is not known where to.
	 */
	PROVIUM_DISCONNECTED,
	/* The agent broke the protocol, or speaks another major version. */
	PROVIUM_PROTOCOL,
	/* The agent refused: a limit, something not found, not supported, not authorised. */
	PROVIUM_LIMIT,
	PROVIUM_NOT_FOUND,
	PROVIUM_BUSY,
	PROVIUM_UNSUPPORTED,
	PROVIUM_AUTH,
	/* The VM could not be started, or did not come up; the message holds the console's end. */
	PROVIUM_BOOT,
	/* The guest's kernel panicked, or QEMU ended, while something was awaited. */
	PROVIUM_VM_GONE,
	/* The guest's kernel has reported a fault (provium_kernel_check). */
	PROVIUM_SPLAT,
};

/* The longest message, its NUL included; a longer one is cut. */
#define PROVIUM_MESSAGE_SIZE   4096

/* The longest name of an operation, its NUL included. */
#define PROVIUM_OPERATION_SIZE 32

/*
 * An error as a value: copied freely, nothing to release. message is one or more lines for a
 * person, says what to do where that is known, and does not end in a newline.
 */
struct provium_error {
	enum provium_code code;
	/* 0 where no system call failed. */
	int os_errno;
	/* With PROVIUM_GUEST: what failed there, as the agent's ERROR names it ("execve"); else "".
	 */
	char operation[PROVIUM_OPERATION_SIZE];
	char message[PROVIUM_MESSAGE_SIZE];
};

/* "timed out" and the like. Static. */
const char *provium_code_name(enum provium_code code);

/* ------------------------------------------------------------------------------------------- */
/* Connections */

struct provium_connection;

/* What the agent said of itself in its READY. Strings live as long as the connection. */
struct provium_agent {
	unsigned int protocol_major;
	unsigned int protocol_minor;
	const char *version;
	/* uname -m and uname -r of the guest. */
	const char *arch;
	const char *kernel_release;
	/* "" where the guest could not tell. */
	const char *boot_id;
	int pid;
	unsigned int restarts;
	/* Why the server was last started again; "" if never. */
	const char *restart_reason;
	/*
	 * The program that was to be init and could not be executed, or the device of its root, and
	 * why; "" and 0 if none. What failed: "execve", "root device" (it does not come), "mount".
	 */
	const char *init_error_path;
	const char *init_error_operation;
	int init_error_errno;
	/* CLOCK_BOOTTIME of the guest, nanoseconds; 0 where it is not known. */
	uint64_t init_started_ns;
	uint64_t listening_ns;
	/* How long the kernel took to load the shim's modules, nanoseconds; 0 if there were none.
	 */
	uint64_t modules_ns;
	/* The real init waits for provium_release_init. */
	bool init_held;
	/*
	 * It does not follow PID 1 to another root: a test has moved it to a root or a mount
	 * namespace of its own, it may not look, or it was not started by provium-wrapper.
	 */
	bool own_root;
};

/*
 * Connects to an agent and waits for its READY.
 *
 * address: "vsock:CID[:PORT]" (AF_VSOCK, vsock(7)) or "unix:PATH[:PORT]" (the hybrid vsock socket
 * of Firecracker, Cloud Hypervisor, vhost-device-vsock and provium-vsock: "CONNECT PORT\n",
 * answered by "OK N\n"), or "agent-unix:PATH" (a plain Unix socket, as `provium-agent --listen`
 * makes it). PORT is 5123 where absent. A path is at most 107 bytes (unix(7)).
 *
 * An agent in a VM of this library asks for the VM's token. Beside the socket of a VM that was
 * given one (provium_vm_options) it lies in a file, "PATH.token", which is found here by itself.
 * PROVIUM_AUTH where a token is asked for and there is none, or it is not the right one;
 * PROVIUM_INVALID where others may read the file.
 */
int provium_connect(const char *address, int timeout_ms, struct provium_connection **connection,
		    struct provium_error *error);

/*
 * As provium_connect, on a connected stream socket, which the connection owns from then on (also
 * when this fails).
 */
int provium_connect_fd(int fd, int timeout_ms, struct provium_connection **connection,
		       struct provium_error *error);

/* Bytes of a token. */
#define PROVIUM_TOKEN_SIZE 32

/*
 * As provium_connect and provium_connect_fd, for an agent that asks for this token (AUTH); it is
 * copied, and the copy cleared by provium_connection_free. An agent that asks for none does not get
 * it. NULL: as without.
 */
int provium_connect_token(const char *address, const unsigned char *token, int timeout_ms,
			  struct provium_connection **connection, struct provium_error *error);
int provium_connect_fd_token(int fd, const unsigned char *token, int timeout_ms,
			     struct provium_connection **connection, struct provium_error *error);

/*
 * Reads a token from a file of exactly PROVIUM_TOKEN_SIZE bytes, such as `head -c 32 /dev/urandom`
 * makes. PROVIUM_INVALID where it is not a regular file of this user's that nobody else may read;
 * no symbolic link is followed. PROVIUM_NOT_FOUND: there is none. Does not block.
 */
int provium_token_read(const char *path, unsigned char token[PROVIUM_TOKEN_SIZE],
		       struct provium_error *error);

/* Closes and releases it. Handles of commands on it must have been freed. NULL is allowed. */
void provium_connection_free(struct provium_connection *connection);

const struct provium_agent *provium_connection_agent(const struct provium_connection *connection);

/*
 * From now on a call on this connection that waits fails with PROVIUM_CANCELLED as soon as fd is
 * readable (a signalfd, say). The fd is not read and stays the caller's. -1: none.
 */
void provium_connection_set_cancel_fd(struct provium_connection *connection, int fd);

/*
 * For event loops: when the fd is readable (or, where provium_connection_wants_write says so,
 * writable), call provium_connection_dispatch with a timeout of 0. Callbacks of commands run inside
 * dispatch and inside every other call that waits.
 */
int provium_connection_fd(const struct provium_connection *connection);
bool provium_connection_wants_write(const struct provium_connection *connection);

/*
 * A second fd for event loops, of a connection to a VM of this library (else -1): when it is
 * readable, call provium_connection_dispatch as well. A guest may panic without a sign of it on the
 * connection; dispatch then fails with PROVIUM_VM_GONE. The fd is the VM's, and for poll(2) and the
 * like only; it is open until provium_vm_free.
 */
int provium_connection_vm_fd(const struct provium_connection *connection);

/* Handles what has arrived; waits up to timeout_ms for something to do so. */
int provium_connection_dispatch(struct provium_connection *connection, int timeout_ms,
				struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* The agent */

/* One round trip. */
int provium_ping(struct provium_connection *connection, int timeout_ms,
		 struct provium_error *error);

struct provium_info {
	uint64_t uptime_ns;
	/* Bytes of the guest's memory. */
	uint64_t memory_total;
	uint64_t memory_free;
	/* Of the agent's process. */
	uint64_t resident_bytes;
	uint32_t open_fds;
	uint32_t connections;
	uint64_t frames_received;
	uint64_t frames_sent;
	uint64_t bytes_received;
	uint64_t bytes_sent;
	uint32_t commands_running;
	uint64_t commands_started;
	uint32_t jobs;
	uint32_t workers;
	uint32_t restarts;
	uint64_t queued_bytes;
	/* As in provium_agent, now. */
	bool own_root;
};

int provium_info(struct provium_connection *connection, int timeout_ms, struct provium_info *info,
		 struct provium_error *error);

/*
 * Has the real init executed that provium_vm_options.hold (or the kernel parameter provium.hold)
 * keeps back: returns when it runs. Until then the guest can be prepared for it. Fails with
 * PROVIUM_GUEST where it could not be executed, and with PROVIUM_UNSUPPORTED where no init is held
 * back, also no more. Where it times out init may have been released all the same.
 */
int provium_release_init(struct provium_connection *connection, int timeout_ms,
			 struct provium_error *error);

enum provium_shutdown_mode {
	PROVIUM_POWER_OFF,
	PROVIUM_REBOOT,
	PROVIUM_HALT,
	PROVIUM_PANIC,
};

/*
 * Has the agent shut the guest down: returns when it has acknowledged, and ends the connection
 * (only provium_connection_free may follow). sync: file systems are written back first, for at most
 * 5 s. For a VM of this library provium_vm_shutdown is the call.
 */
int provium_shutdown(struct provium_connection *connection, enum provium_shutdown_mode mode,
		     bool sync, int timeout_ms, struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* Commands */

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

/* ------------------------------------------------------------------------------------------- */
/* Jobs: commands that outlive the connection that started them */

/*
 * There is no handle: a job is the agent's, and any connection of the guest's can name it, also one
 * that is made after the host that started the job has died. Jobs end with the agent's process
 * (provium_agent, restarts). One that has finished is kept until provium_job_wait or
 * provium_job_kill has fetched its result, or until 256 others have finished after it.
 */

/* Which job. */
struct provium_job_ref {
	/* As provium_job_start gave it; never used again for another. */
	uint64_t number;
	/* Not NULL: the job of this name, whatever number says. */
	const char *name;
};

struct provium_job_options {
	/* To find it by; unique among the jobs that are kept (PROVIUM_BUSY). NULL: none. */
	const char *name;
	/* Bytes of output kept per stream: the newest. 0: 1 MiB. */
	uint64_t keep;
};

/*
 * Starts a job; that the program cannot be executed is told here. on_output and user of the command
 * are not used. options may be NULL. *number, and *pid of its first process in the guest, may be
 * NULL. Whether a call that timed out has started it provium_job_list tells.
 */
int provium_job_start(struct provium_connection *connection,
		      const struct provium_exec_options *command,
		      const struct provium_job_options *options, int timeout_ms, uint64_t *number,
		      int *pid, struct provium_error *error);

/*
 * Called with a piece of a job's output; offset is that of its first byte, counted from the
 * stream's start. One beyond the end of the piece before it shows that the bytes between are no
 * longer kept. Not 0 ends the call with PROVIUM_CANCELLED. Must not call functions on the same
 * connection.
 */
typedef int (*provium_job_output_fn)(void *user, enum provium_stream stream, uint64_t offset,
				     const void *data, size_t size);

struct provium_job_result {
	uint64_t number;
	/* It has not ended; result says nothing. */
	bool running;
	struct provium_exec_result result;
	/* Bytes of output that were not kept. */
	uint64_t stdout_dropped;
	uint64_t stderr_dropped;
};

struct provium_job_wait_options {
	/* Milliseconds that it may take to end; PROVIUM_FOREVER: as long as it takes. 0: ask only.
	 */
	int wait_ms;
	/* Takes what is kept of its output, if it has ended, before the call returns. NULL: none.
	 */
	provium_job_output_fn on_output;
	void *user;
};

/*
 * Waits for a job's end. One that still runs after wait_ms is no failure: result->running. One that
 * has ended is forgotten by this call. timeout_ms, the cancel fd and on_output end the call alone;
 * the job goes on and stays. options may be NULL.
 */
int provium_job_wait(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_wait_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error);

struct provium_job_kill_options {
	/* Sent first, a number of the guest's architecture. 0: SIGKILL at once. */
	int signal;
	/* Milliseconds from that signal to SIGKILL. Only with signal. */
	uint64_t grace_ms;
	/* As in provium_job_wait_options. */
	provium_job_output_fn on_output;
	void *user;
};

/* Kills a job with all it has started, and waits for its end as provium_job_wait does. */
int provium_job_kill(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_kill_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error);

struct provium_job_entry {
	uint64_t number;
	/* NULL: it has none. */
	const char *name;
	int pid;
	bool running;
	/* How it ended, where it does not run. */
	struct provium_exec_result result;
	/* Written so far. */
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
};

struct provium_jobs {
	struct provium_job_entry *entries;
	size_t count;
};

/* All jobs of the agent. Release with provium_job_list_free. */
int provium_job_list(struct provium_connection *connection, int timeout_ms,
		     struct provium_jobs *jobs, struct provium_error *error);
void provium_job_list_free(struct provium_jobs *jobs);

struct provium_job_output_options {
	/* PROVIUM_STDOUT or PROVIUM_STDERR. 0: both. */
	enum provium_stream stream;
	/* From the stream's start; what is no longer kept is left out. 0: all that is kept. */
	uint64_t offset;
	/* Go on with what it writes until it ends. */
	bool follow;
};

/*
 * Reads what is kept of a job's output; nothing is forgotten by it. options may be NULL. *bytes:
 * how many; may be NULL.
 */
int provium_job_output(struct provium_connection *connection, const struct provium_job_ref *ref,
		       const struct provium_job_output_options *options,
		       provium_job_output_fn on_output, void *user, int timeout_ms, uint64_t *bytes,
		       struct provium_error *error);

/*
 * Appends to the standard input of a job that was started with PROVIUM_STDIN_STREAM, and waits
 * until the job has taken it. Fails with PROVIUM_GUEST and EPIPE where it has closed it, and with
 * PROVIUM_LIMIT where others have more than 256 KiB under way to it.
 */
int provium_job_write(struct provium_connection *connection, const struct provium_job_ref *ref,
		      const void *data, size_t size, int timeout_ms, struct provium_error *error);

/* End of file, after what was written. */
int provium_job_close_stdin(struct provium_connection *connection,
			    const struct provium_job_ref *ref, int timeout_ms,
			    struct provium_error *error);

/* As provium_exec_signal and provium_exec_resize. */
int provium_job_signal(struct provium_connection *connection, const struct provium_job_ref *ref,
		       int signal, bool group, int timeout_ms, struct provium_error *error);
int provium_job_resize(struct provium_connection *connection, const struct provium_job_ref *ref,
		       unsigned int rows, unsigned int cols, int timeout_ms,
		       struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* Files */

/*
 * Paths are the guest's where nothing else is said; a relative one starts at its "/". A call that
 * the guest's kernel refuses fails with PROVIUM_GUEST and the errno value. File operations of one
 * connection run one after the other.
 */

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

/* ------------------------------------------------------------------------------------------- */
/* The shim: the cpio archive that brings agent and wrapper into the guest */

/* A file or directory of the host's, and where it goes in the guest. */
struct provium_file {
	const char *guest_path;
	const char *host_path;
};

struct provium_shim_options {
	/*
	 * The kernel's modules: the directory that holds its modules.dep (/lib/modules/VERSION).
	 * NULL: the kernel needs none.
	 */
	const char *modules_dir;
	/* More modules to load, by name, with what they depend on; NULL-terminated. NULL: none. */
	const char *const *modules;
	const struct provium_file *files;
	size_t n_files;
	/* An initramfs (cpio, or that compressed by gzip, zstd, xz or lz4) to go with. NULL: none.
	 */
	const char *initrd;
	/* Add a userland made from the host's static busybox. */
	bool busybox;
	/*
	 * PROVIUM_TOKEN_SIZE bytes that the agent will ask every connection for
	 * (provium_connect_token). Whoever may read the shim knows it: the file is made with mode
	 * 0600 then. NULL: whoever reaches the agent may use it.
	 */
	const unsigned char *token;
};

/* Writes the shim to path, by way of a temporary file beside it. */
int provium_shim_write(const struct provium_shim_options *options, const char *path,
		       struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* Virtual machines */

struct provium_vm;

enum provium_accel {
	/* KVM where a guest really runs on it, else TCG. */
	PROVIUM_ACCEL_AUTO,
	PROVIUM_ACCEL_KVM,
	PROVIUM_ACCEL_TCG,
};

enum provium_vsock {
	/* The kernel's vhost-vsock where it can be opened, else provium-vsock. */
	PROVIUM_VSOCK_AUTO,
	PROVIUM_VSOCK_KERNEL,
	PROVIUM_VSOCK_USER,
};

struct provium_disk {
	const char *path;
	bool readonly;
	/* "raw" or "qcow2". NULL: raw. */
	const char *format;
};

struct provium_vm_options {
	/* Kernel image: a bzImage, or a vmlinux with CONFIG_PVH. Required. */
	const char *kernel;
	/* Modules, files, initrd: as in provium_shim_options. */
	const char *modules_dir;
	const char *const *modules;
	const char *initrd;
	const struct provium_file *files;
	size_t n_files;
	/* Without an initrd a busybox userland is made, unless this is set. */
	bool no_userland;
	/* The real init. NULL: the image's /init where there is one, else the wrapper is init. */
	const char *init;
	/* The real init is executed by provium_release_init, and not before. */
	bool hold;
	/*
	 * The guest's root: "/dev/NAME" or "PARTUUID=UUID" of a disk, which is mounted as the
	 * kernel does it without an initramfs (read-only unless append has "rw"; also "rootfstype",
	 * "rootflags", "rootwait"), and whose init is "/sbin/init" unless init names another. Only
	 * without initrd and files. NULL: the initramfs is the root, and its init may go to
	 * another.
	 */
	const char *root;
	/* Bytes. 0: 512 MiB. */
	uint64_t memory;
	/* 0: 1. */
	unsigned int cpus;
	/*
	 * Kernel parameters, after those of the library (console=ttyS0 panic=-1), which they may
	 * override. What follows a "--" goes to init.
	 */
	const char *append;
	enum provium_accel accel;
	enum provium_vsock vsock;
	/*
	 * Where provium-vsock makes its hybrid socket, so that other processes can connect
	 * (provium_connect, "unix:PATH", with the token beside it, "PATH.token"); both for this
	 * user only, removed with the VM. Neither may exist before. Only with
	 * provium-vsock: PROVIUM_VSOCK_KERNEL beside it is PROVIUM_INVALID. NULL: in the VM's
	 * private directory.
	 */
	const char *socket;
	const struct provium_disk *disks;
	size_t n_disks;
	/*
	 * Where the console goes: a file, truncated (made with mode 0600), a FIFO or a terminal. Of
	 * symbolic links those of /dev and /proc alone are followed.
	 * After 256 MiB, or when the disk is full, on_notice says so, and the rest is left out.
	 * NULL: a temporary file.
	 */
	const char *console;
	/* Until the agent answers, milliseconds. 0: 60 s, six times that under TCG. */
	int boot_timeout_ms;
	/* As provium_connection_set_cancel_fd, for this and every call on the VM. */
	bool has_cancel_fd;
	int cancel_fd;
	/*
	 * Called with what is worth knowing ("no KVM (...): using TCG"), during the boot and, by
	 * calls that wait for the VM, later. NULL: none.
	 */
	void (*on_notice)(void *user, const char *text);
	/* Called as each step begins: "trying KVM", "packing the initramfs", "starting QEMU",
	 * "waiting for the agent". NULL: none.
	 */
	void (*on_phase)(void *user, const char *text);
	void *user;
	/* NULL: "qemu-system-x86_64" and "provium-vsock", found in PATH (the latter first beside
	 * the running program, and beside this library). */
	const char *qemu;
	const char *vsock_program;
};

/*
 * Boots and waits until the agent answers. When it fails nothing is left behind. PROVIUM_BOOT: the
 * VM was started and did not come up (in time), or its root or init cannot be had; the message
 * holds what is known of the cause and the last 30 lines of the console. Standard input, output and
 * error of the process must be open (or on /dev/null).
 */
int provium_vm_boot(const struct provium_vm_options *options, struct provium_vm **vm,
		    struct provium_error *error);

/*
 * The connection that was made at boot; the VM's own, freed with it. While a call on it waits, the
 * end of QEMU and a panic of the guest are noticed too (PROVIUM_VM_GONE); a program that polls by
 * itself has provium_connection_vm_fd for that.
 */
struct provium_connection *provium_vm_connection(struct provium_vm *vm);

/* One more connection, to PORT (0: the agent's). The caller's; freed before the VM. */
int provium_vm_connect(struct provium_vm *vm, uint32_t port, int timeout_ms,
		       struct provium_connection **connection, struct provium_error *error);

enum provium_accel provium_vm_accel(const struct provium_vm *vm);
enum provium_vsock provium_vm_vsock(const struct provium_vm *vm);
/* Whether the guest's kernel has panicked, as far as that is known. */
bool provium_vm_panicked(struct provium_vm *vm);
/* -1 once it has ended. */
int provium_vm_qemu_pid(const struct provium_vm *vm);
/* The file that the console goes to. Lives as long as the VM. */
const char *provium_vm_console(const struct provium_vm *vm);

/* The last lines of the console so far, without control characters. Release with free(3). */
char *provium_vm_console_tail(struct provium_vm *vm, unsigned int lines);

/*
 * Has the agent end the guest in this way and waits until QEMU is gone, as it is when the guest has
 * powered off, rebooted or panicked. One that is still there a second after the agent's
 * acknowledgement (with sync five more, under TCG six times as long), as it is when the guest has
 * halted, or when the timeout has passed, is told to quit, and five seconds later killed. Where the
 * VM's own connection has ended and the guest has not, a new one is made for it. Fails where the
 * agent has not acknowledged or QEMU had to be killed; it is gone all the same, unless the call was
 * cancelled. A guest that has powered itself off before is fine.
 */
int provium_vm_shutdown(struct provium_vm *vm, enum provium_shutdown_mode mode, bool sync,
			int timeout_ms, struct provium_error *error);

/*
 * Ends QEMU at once. Another thread may do so while calls on the VM's connections wait: these fail
 * at once with PROVIUM_VM_GONE.
 */
void provium_vm_kill(struct provium_vm *vm);

/* Kills what still runs, removes the temporary files, releases. NULL is allowed. */
void provium_vm_free(struct provium_vm *vm);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include "provium_kernel.h"
#include "provium_names.h"
#include "provium_program.h"
#include "provium_worker.h"

#endif
