/*
 * The server process: accepts connections and does what they ask, until it is told to stop.
 *
 * One libev loop multiplexes listener, connections, commands, pipes and timers; nothing in it
 * blocks but file operations themselves. The caller (supervisor, or a test) prepares the process.
 */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "agent/root.h"

struct init_state;
struct kmsg_source;
struct shared;
struct worker_entry;

/* Room for why a server has ended. */
#define SERVER_REASON_SIZE 512

enum listener_kind {
	/* AF_VSOCK: only peers with the host's CID are let in. */
	LISTENER_VSOCK,
	/* AF_UNIX: whoever may open the socket. */
	LISTENER_UNIX,
};

/* As in READY. */
enum server_role {
	SERVER_MAIN,
	SERVER_FORK_WORKER,
	SERVER_THREAD_WORKER,
};

/*
 * All strings and fds are borrowed: they outlive server_run, which neither frees nor closes them
 * (but connection_fd). Fds are close-on-exec; -1 where there is none.
 */
struct server_config {
	/* Listening already. */
	int listen_fd;
	enum listener_kind listener;
	/* Where, with LISTENER_UNIX. That of a worker has its port behind it: PATH_PORT. */
	const char *listen_path;

	/*
	 * Served without a listener, for tests: a connected stream socket, owned by the server from
	 * then on, also where it fails. With listen_fd -1 the server ends when this connection has
	 * ended.
	 */
	int connection_fd;

	/* The server ends when this becomes readable or its other end is closed. */
	int stop_fd;

	/* The end that the supervisor watches a server by; only kept open. */
	int life_fd;

	/*
	 * Shared with a supervisor that watches system calls and workers. NULL: no call has a
	 * deadline, and there can be no workers; the fds are then of no interest.
	 */
	struct shared *shared;
	/* Armed for the next deadline. */
	int watch_timer_fd;
	/* An eventfd: a worker serves, or has ended. */
	int worker_event_fd;
	/* Its other end is closed when the supervisor is gone. */
	int agent_life_fd;

	enum server_role role;
	/* Of a worker; else NULL. It serves one connection, and waits for it for 30 s. */
	struct worker_entry *worker;

	/* What the root of PID 1 becomes, ours becomes too (root.h); it takes proc_fd. */
	bool follow_init;
	/* Of a worker: the root of PID 1 as its server has last seen it. */
	struct root_id root;
	/* Of a worker: its server's, which reads as empty (loop.h). */
	int null_fd;

	/* A procfs that is mounted nowhere. -1: /proc is used. */
	int proc_fd;
	/* A devtmpfs that is mounted nowhere. -1: /dev is used. */
	int dev_fd;

	/* What the kernel says; NULL: that is not watched (kmsg.h). */
	struct kmsg_source *kmsg;

	/* The PROVIUM_TOKEN_SIZE bytes that AUTH must bring; NULL: no AUTH is asked for. */
	const uint8_t *token;

	/* How often this process has been started again, and why the last time (NULL: never). */
	uint32_t restarts;
	const char *restart_reason;

	/* What is known of the real init (init.h). NULL: there is none, or no wrapper. */
	struct init_state *init;

	/* CLOCK_BOOTTIME, nanoseconds; 0: unknown. */
	uint64_t listening_ns;
	/* Nanoseconds in the loading of modules; 0: there were none. */
	uint64_t modules_ns;

	/* RLIMIT_NOFILE as it was found at the start: what commands get. */
	bool restore_nofile;
	struct rlimit nofile;

	/* oom_score_adj as it was found at the start: what commands get. */
	bool restore_oom_score_adj;
	int oom_score_adj;

	/*
	 * power_set() in a guest that is ours, or what stands in for it in a test: carries a
	 * SHUTDOWN out after the protocol's part of it. NULL: SHUTDOWN is not served.
	 */
	int (*power)(int mode, bool sync, unsigned int sync_timeout_ms);
};

/*
 * Serves until stop_fd, the end of connection_fd, or a SHUTDOWN after which power() returned 0.
 * Returns 0, or a negative errno where serving could not begin. When it returns, every connection
 * is closed and every command killed and reaped. Ignores SIGPIPE for the process.
 */
int server_run(const struct server_config *config);

#endif
