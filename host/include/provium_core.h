/*
 * What all of the library has: errors, connections to an agent, and what the agent says of itself.
 * provium.h tells the rules that hold throughout.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_CORE_H
#define PROVIUM_CORE_H

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

/* ------------------------------------------------------------------------------------------- */
/* Clock and random numbers: provium_snapshot_resume sees to both */

/* Of the guest, nanoseconds: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME. */
struct provium_clock {
	int64_t realtime_ns;
	uint64_t monotonic_ns;
	uint64_t boottime_ns;
};

int provium_clock_get(struct provium_connection *connection, int timeout_ms,
		      struct provium_clock *clock, struct provium_error *error);

/*
 * Sets CLOCK_REALTIME. The kernel refuses (PROVIUM_GUEST) what is before the guest's boot, by its
 * CLOCK_MONOTONIC, or too late for it, and an agent that may not.
 */
int provium_clock_set(struct provium_connection *connection, int64_t realtime_ns, int timeout_ms,
		      struct provium_error *error);

/* The most bytes of entropy at a time. */
#define PROVIUM_ENTROPY_SIZE 512

/*
 * Gives the guest's random number generator these bytes as entropy and has it reseed at once. NULL:
 * 64 bytes of this machine's; size does not count then.
 */
int provium_reseed(struct provium_connection *connection, const void *entropy, size_t size,
		   int timeout_ms, struct provium_error *error);

/* ------------------------------------------------------------------------------------------- */
/* The guest's end */

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

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
