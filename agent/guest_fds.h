/*
 * What the agent needs of /proc and /dev, opened at the start and kept: later a test may have
 * dropped its credentials, left its root, or covered these places.
 */
#ifndef AGENT_GUEST_FDS_H
#define AGENT_GUEST_FDS_H

/* -1 where it could not be had. */
struct guest_fds {
	/* Directories: a procfs and a devtmpfs that are mounted nowhere, or /proc and /dev. */
	int proc;
	int dev;
	/* To be written; only in a guest that is ours. */
	int sysrq;
	/* To be read and written, non-blocking; likewise. */
	int kmsg;
};

/* Of a guest that is ours: with this procfs, or with none (-1), and a devtmpfs of our own. */
void guest_fds_open_ours(struct guest_fds *fds, int proc);

/* Of any other. */
void guest_fds_open(struct guest_fds *fds);

/* What can end the system, to be written; -1 where the kernel has no magic SysRq. */
int guest_open_sysrq(const struct guest_fds *fds);

/*
 * Reads a file of at most size - 1 bytes below a directory fd; NUL-terminated, without the newline
 * at its end. Returns its length, or -1 and errno.
 */
int guest_read_text(int dir, const char *path, char *text, int size);

#endif
