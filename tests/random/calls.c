/*
 * The calls that are described, and those that are never made.
 *
 * What may not happen: the machine ends, other processes are hit, memory fills up (files and
 * segments are small and few, and their names are), a process keeps others from running, or what
 * all share changes. What may: the process that makes the calls ends, is stopped or loses rights.
 * Calls that could do the former with other arguments are strict: they are made as described here
 * and in no other way.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>

#include <asm/prctl.h>

#include "common/util.h"
#include "tests/random/random.h"

/* Bytes of a mapping, a file, a transfer. */
#define PAGE      UINT64_C(4096)
#define MAP_SIZE  (16 * PAGE)
#define FILE_SIZE (16 * PAGE)
#define TRANSFER  UINT64_C(1024)

/* Keys of System V, of which there are so many of each kind. */
#define IPC_KEYS  3u

/* ------------------------------------------------------------------------------------------- */
/* Never */

static const struct {
	const char *name;
	const char *reason;
} exclusions[] = {
	{ "reboot", "ends the machine" },
	{ "kexec_load", "ends the machine" },
	{ "kexec_file_load", "ends the machine" },
	{ "init_module", "modules" },
	{ "finit_module", "modules" },
	{ "delete_module", "modules" },
	{ "create_module", "modules" },
	{ "kill", "a failed fork's result would name a group, or all processes" },
	{ "rt_sigqueueinfo", "the same" },
	{ "ptrace", "other processes" },
	{ "process_vm_writev", "other processes" },
	{ "process_madvise", "other processes" },
	{ "process_mrelease", "other processes" },
	{ "pidfd_getfd", "other processes" },
	{ "migrate_pages", "other processes" },
	{ "move_pages", "other processes" },
	{ "vhangup", "the console, and who has it" },
	{ "chroot", "the agent finds its files no more" },
	{ "pivot_root", "mounts over /" },
	{ "move_mount", "mounts over /" },
	{ "fspick", "could make / read-only" },
	{ "mount_setattr", "could make / read-only" },
	{ "swapon", "memory" },
	{ "swapoff", "memory" },
	{ "mlockall", "memory" },
	{ "settimeofday", "clock" },
	{ "clock_settime", "clock" },
	{ "adjtimex", "clock" },
	{ "clock_adjtime", "clock" },
	{ "iopl", "hardware" },
	{ "ioperm", "hardware" },
	{ "syslog", "clears what the kernel has said" },
	{ "acct", "all processes" },
	{ "quotactl", "file systems" },
	{ "quotactl_fd", "file systems" },
	{ "request_key", "starts a program, as whom and for how long nobody knows" },
	{ "vfork", "refused" },
	{ "sched_setscheduler", "could keep others from running" },
	{ "sched_setparam", "could keep others from running" },
};

const char *random_exclusion(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(exclusions); i++)
		if (strcmp(exclusions[i].name, name) == 0)
			return exclusions[i].reason;
	return NULL;
}

/* ------------------------------------------------------------------------------------------- */
/* What arguments are chosen from */

#define LIST(name, ...)    static const uint64_t name[] = { __VA_ARGS__ }
#define STRINGS(name, ...) static const char *const name[] = { __VA_ARGS__ }

/* Often what a pipe or socket would else block on. */
LIST(open_flags, O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_CREAT, O_RDWR | O_CREAT, O_EXCL, O_TRUNC,
     O_APPEND, O_NONBLOCK, O_SYNC, O_DIRECT, O_NOFOLLOW, O_CLOEXEC, O_PATH, O_TMPFILE);
LIST(pipe_flags, O_NONBLOCK, O_CLOEXEC, O_DIRECT);
LIST(at_flags, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_NO_AUTOMOUNT);
LIST(unlink_flags, 0, 0, AT_REMOVEDIR);
LIST(rename_flags, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT);
LIST(access_modes, R_OK, W_OK, X_OK);
LIST(whences, SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE);
LIST(fallocate_modes, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
     FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE);
LIST(advice, 0, 1, 2, 3, 4, 5);
LIST(sync_flags, 1, 2, 4);
LIST(rw_flags, 1, 2, 4, 8, 16);
LIST(fcntl_commands, F_GETFD, F_SETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETPIPE_SZ, F_GET_SEALS);
LIST(lock_commands, F_GETLK, F_SETLK, F_SETLK, F_OFD_GETLK, F_OFD_SETLK);
LIST(flocks, LOCK_SH | LOCK_NB, LOCK_EX | LOCK_NB, LOCK_UN, LOCK_EX);
LIST(seals, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE);
LIST(status_flags, O_APPEND, O_NONBLOCK, O_ASYNC, O_DIRECT, O_NOATIME);
LIST(fd_flags, 0, O_CLOEXEC);
LIST(range_flags, CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC);
LIST(ioctls, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ, FS_IOC_GETFLAGS,
     FS_IOC_GETVERSION, FIGETBSZ, SIOCGIFCONF, SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS, SIOCATMARK);
LIST(protections, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_EXEC, PROT_NONE);
LIST(map_flags, MAP_NORESERVE, MAP_POPULATE, MAP_LOCKED, MAP_NONBLOCK, MAP_STACK);
LIST(madvices, MADV_NORMAL, MADV_DONTNEED, MADV_WILLNEED, MADV_FREE, MADV_MERGEABLE, MADV_HUGEPAGE,
     MADV_DONTFORK, MADV_WIPEONFORK, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
     MADV_POPULATE_WRITE);
LIST(remap_flags, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
LIST(msync_flags, MS_ASYNC, MS_SYNC, MS_INVALIDATE);
LIST(memfd_flags, MFD_CLOEXEC, MFD_ALLOW_SEALING);
LIST(socket_flags, SOCK_CLOEXEC, SOCK_NONBLOCK);
LIST(unix_types, SOCK_STREAM | SOCK_NONBLOCK, SOCK_DGRAM | SOCK_NONBLOCK,
     SOCK_SEQPACKET | SOCK_NONBLOCK, SOCK_STREAM);
LIST(inet_types, SOCK_STREAM | SOCK_NONBLOCK, SOCK_DGRAM | SOCK_NONBLOCK);
LIST(inet_families, AF_INET, AF_INET6);
LIST(netlinks, 0, 4, 9, 12, 15, 16);
LIST(message_flags, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_OOB, MSG_NOSIGNAL, MSG_WAITALL,
     MSG_MORE);
LIST(socket_options, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF,
     SO_KEEPALIVE, SO_LINGER, SO_PASSCRED, SO_PEERCRED, SO_RCVLOWAT, SO_ACCEPTCONN, SO_DOMAIN,
     SO_TIMESTAMP, SO_INCOMING_CPU, SO_ZEROCOPY);
LIST(hows, SHUT_RD, SHUT_WR, SHUT_RDWR);
LIST(epoll_operations, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL);
LIST(event_flags, EFD_NONBLOCK, EFD_CLOEXEC, EFD_SEMAPHORE);
LIST(timer_flags, TFD_NONBLOCK, TFD_CLOEXEC);
LIST(timer_set_flags, 0, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET);
LIST(clocks, CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID,
     CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_TAI);
LIST(inotify_masks, IN_ACCESS, IN_MODIFY, IN_CREATE, IN_DELETE, IN_ALL_EVENTS, IN_ONESHOT);
LIST(fanotify_marks, FAN_ACCESS, FAN_MODIFY, FAN_OPEN, FAN_CLOSE_WRITE);
/* Not those that unmap the process, or that it does not survive: these come by themselves. */
LIST(prctls, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_GET_NAME,
     PR_SET_NAME, PR_GET_TIMERSLACK, PR_SET_TIMERSLACK, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
     PR_CAPBSET_READ, PR_GET_SECUREBITS, PR_GET_THP_DISABLE, PR_SET_THP_DISABLE,
     PR_GET_CHILD_SUBREAPER, PR_GET_PDEATHSIG, PR_GET_TID_ADDRESS);
/* Without RLIMIT_NOFILE, RLIMIT_AS and RLIMIT_DATA, with which a process lives on, deaf. */
LIST(rlimits, RLIMIT_CORE, RLIMIT_STACK, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_RTPRIO, RLIMIT_NICE,
     RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_LOCKS);
LIST(all_rlimits, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
LIST(namespaces, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID,
     CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_FS, CLONE_FILES, CLONE_SYSVSEM);
LIST(clone_flags, 0, CLONE_FS, CLONE_FILES, CLONE_PARENT, CLONE_IO, CLONE_NEWUTS, CLONE_NEWPID);
LIST(clone_flags_signal, SIGCHLD, SIGCHLD | CLONE_FS, SIGCHLD | CLONE_FILES,
     SIGCHLD | CLONE_NEWIPC);
LIST(wait_options, WNOHANG, WNOHANG | WUNTRACED, WNOHANG | __WALL);
LIST(waitid_options, WEXITED | WNOHANG, WEXITED | WSTOPPED | WNOHANG);
/* These do nothing, unless somebody has asked for them; those end who gets them. */
LIST(signals, 0, 0, SIGCHLD, SIGWINCH, SIGURG, SIGCONT, 60);
LIST(fatal_signals, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGSEGV, SIGABRT, SIGTRAP);
LIST(handled_signals, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD);
LIST(all_signals, ~UINT64_C(0));
LIST(mask_hows, SIG_BLOCK, SIG_UNBLOCK, SIG_UNBLOCK, SIG_SETMASK);
LIST(futex_operations, FUTEX_WAKE, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, FUTEX_WAIT, FUTEX_REQUEUE,
     FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI, FUTEX_WAKE_BITSET);
LIST(membarriers, MEMBARRIER_CMD_QUERY, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
     MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
LIST(ipc_flags, IPC_CREAT | 0600, IPC_CREAT | 0600, IPC_CREAT | IPC_EXCL | 0600, 0600);
LIST(ipc_commands, IPC_STAT, IPC_STAT, IPC_RMID, 3);
LIST(sem_commands, IPC_STAT, IPC_RMID, 11, 12, 14, 15, 16);
LIST(message_receive_flags, IPC_NOWAIT, IPC_NOWAIT | 010000);
LIST(keyrings, (uint64_t)KEY_SPEC_THREAD_KEYRING, (uint64_t)KEY_SPEC_PROCESS_KEYRING);
LIST(key_commands, KEYCTL_GET_KEYRING_ID, KEYCTL_DESCRIBE, KEYCTL_READ, KEYCTL_REVOKE,
     KEYCTL_UNLINK, KEYCTL_CLEAR, KEYCTL_GET_SECURITY, KEYCTL_INVALIDATE);
LIST(random_flags, GRND_NONBLOCK, GRND_RANDOM | GRND_NONBLOCK, GRND_INSECURE);
LIST(mkdir_modes, 0700, 0755, 0);
LIST(node_modes, S_IFREG | 0600, S_IFIFO | 0600, S_IFSOCK | 0600, 0644);
LIST(file_modes, 0600, 0644, 0777, 0, 04755);
LIST(some_ids, 0, 0, 0, 1, 65534, (uint64_t)-1);
LIST(dup_targets, 20, 21, 22, 23);
LIST(priorities, PRIO_PROCESS);
LIST(statx_masks, 0x7ff, 0xfff, 1, 0x1000);
LIST(fs_commands, FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE, FSCONFIG_CMD_CREATE);
LIST(mount_attributes, MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC);
LIST(mount_flags, MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOATIME);
LIST(arch_prctls, ARCH_GET_FS, ARCH_GET_GS, ARCH_GET_CPUID, ARCH_SET_CPUID);
LIST(landlock_rights, 1, 7, 0x1fff);
LIST(exit_codes, 0, 1, 255);
LIST(splice_flags, 1, 2, 4);
LIST(policies, 0, 1, 3);
LIST(one, 1);

STRINGS(xattr_names, "user.a", "trusted.a", "security.capability", "system.posix_acl_access");
STRINGS(short_names, "a", "b", "name");
STRINGS(queue_names, "a", "b");
STRINGS(file_systems, "tmpfs", "proc", "ramfs");
STRINGS(mounted_systems, "tmpfs", "ramfs");
STRINGS(options, "size", "ro", "mode", "none");
STRINGS(values, "64k", "0700", "1");
STRINGS(key_types, "user", "keyring", "logon");
STRINGS(programs, "/bin/true", "/none");

#define CONST(number)                                   \
	{                                               \
		make_const, NULL, 0, (uint64_t)(number) \
	}
#define ONE(list)                                   \
	{                                           \
		make_one, list, ARRAY_SIZE(list), 0 \
	}
#define FLAGS(list)                                   \
	{                                             \
		make_flags, list, ARRAY_SIZE(list), 0 \
	}
/* These in any case. */
#define FLAGS_AND(list, more)                                        \
	{                                                            \
		make_flags, list, ARRAY_SIZE(list), (uint64_t)(more) \
	}
#define UPTO(number)                       \
	{                                  \
		make_upto, NULL, 0, number \
	}
#define RES(kind)                                  \
	{                                          \
		make_resource, NULL, 0, RES_##kind \
	}
#define STRING(list)                                   \
	{                                              \
		make_string, list, ARRAY_SIZE(list), 0 \
	}
#define IN(size)                       \
	{                              \
		make_in, NULL, 0, size \
	}
#define OUT(size)                       \
	{                               \
		make_out, NULL, 0, size \
	}
#define ZERO(size)                       \
	{                                \
		make_zero, NULL, 0, size \
	}
#define IN_NUMBER(most)                       \
	{                                     \
		make_in_number, NULL, 0, most \
	}
#define TIMES(count)                       \
	{                                  \
		make_times, NULL, 0, count \
	}
#define MADE(name)                      \
	{                               \
		make_##name, NULL, 0, 0 \
	}
#define CLONE_ARGS(list)                                   \
	{                                                  \
		make_clone_args, list, ARRAY_SIZE(list), 0 \
	}
/* Signals that a process may block and still be interrupted at its deadlines. */
#define SIGSET                                            \
	{                                                 \
		make_sigset, NULL, 0, UINT64_C(0x7ffffff) \
	}
#define DIRFD    MADE(dirfd)
#define PATH     MADE(path)
#define READABLE MADE(readable)
#define SIZE     MADE(size)
#define COUNT    MADE(count)
#define NOTHING  CONST(0)

/* The two fds that a call has written. */
static void hold_pair(struct state *state, enum resource resource)
{
	for (uint32_t offset = 0; offset < 8; offset += 4)
		random_hold(state, resource,
			    (struct held){ .index = state->buffer, .offset = offset, .width = 4 });
}

static void hold_pipe(struct state *state)
{
	hold_pair(state, RES_PIPE);
}

static void hold_sockets(struct state *state)
{
	hold_pair(state, RES_UNIX);
}

static void hold_context(struct state *state)
{
	random_hold(state, RES_AIO, (struct held){ .index = state->buffer, .width = 8 });
}

static void hold_timer(struct state *state)
{
	random_hold(state, RES_POSIX_TIMER, (struct held){ .index = state->buffer, .width = 4 });
}

static void hold_map(struct state *state)
{
	state->map_size = MAP_SIZE;
	random_hold(state, RES_MAP, (struct held){ .index = (int)state->n_calls - 1 });
}

/* ------------------------------------------------------------------------------------------- */
/* The calls */

#define CALL(name, weight, ...)                                       \
	{                                                             \
#name, weight, RES_NONE, false, { __VA_ARGS__ }, NULL \
	}
#define MAKES(name, weight, kind, ...)                                  \
	{                                                               \
#name, weight, RES_##kind, false, { __VA_ARGS__ }, NULL \
	}
#define STRICT(name, weight, ...)                                    \
	{                                                            \
#name, weight, RES_NONE, true, { __VA_ARGS__ }, NULL \
	}
#define STRICT_MAKES(name, weight, kind, ...)                          \
	{                                                              \
#name, weight, RES_##kind, true, { __VA_ARGS__ }, NULL \
	}
#define STRICT_AFTER(name, weight, kind, function, ...)                    \
	{                                                                  \
#name, weight, RES_##kind, true, { __VA_ARGS__ }, function \
	}

const struct call random_calls[] = {
	/* Files. */
	MAKES(openat, 40, FILE, DIRFD, READABLE, FLAGS_AND(open_flags, O_NONBLOCK),
	      ONE(file_modes)),
	MAKES(open, 10, FILE, READABLE, FLAGS_AND(open_flags, O_NONBLOCK), ONE(file_modes)),
	MAKES(openat2, 8, FILE, DIRFD, PATH, MADE(open_how), CONST(24)),
	MAKES(creat, 6, FILE, PATH, ONE(file_modes)),
	MAKES(openat, 10, DIR, CONST(AT_FDCWD), READABLE, CONST(O_RDONLY | O_DIRECTORY)),
	CALL(read, 20, RES(FD), OUT(256), SIZE),
	CALL(read, 10, RES(FILE), OUT(TRANSFER), SIZE),
	CALL(write, 20, RES(FILE), IN(TRANSFER), SIZE),
	CALL(write, 10, RES(FD), IN(64), SIZE),
	CALL(pread64, 10, RES(FILE), OUT(TRANSFER), SIZE, UPTO(FILE_SIZE)),
	STRICT(pwrite64, 10, RES(FILE), IN(TRANSFER), SIZE, UPTO(FILE_SIZE)),
	CALL(readv, 8, RES(FD), MADE(iovec), COUNT),
	CALL(writev, 8, RES(FD), MADE(iovec), COUNT),
	CALL(preadv2, 6, RES(FILE), MADE(iovec), COUNT, UPTO(PAGE), NOTHING, FLAGS(rw_flags)),
	STRICT(pwritev2, 6, RES(FILE), MADE(iovec), COUNT, UPTO(PAGE), NOTHING, FLAGS(rw_flags)),
	STRICT(pwritev, 2, RES(FILE), MADE(iovec), COUNT, UPTO(PAGE), NOTHING),
	CALL(lseek, 10, RES(FILE), UPTO(FILE_SIZE), ONE(whences)),
	CALL(close, 10, RES(FD)),
	MAKES(dup, 8, FD, RES(FD)),
	STRICT(dup2, 4, RES(FD), ONE(dup_targets)),
	STRICT(dup3, 6, RES(FD), ONE(dup_targets), ONE(fd_flags)),
	STRICT(fcntl, 10, RES(FD), ONE(fcntl_commands), UPTO(1)),
	STRICT(fcntl, 4, RES(FD), CONST(F_SETFL), FLAGS(status_flags)),
	STRICT_MAKES(fcntl, 4, FD, RES(FD), CONST(F_DUPFD), UPTO(30)),
	STRICT(fcntl, 6, RES(FILE), ONE(lock_commands), MADE(flock)),
	STRICT(fcntl, 4, RES(MEMFD), CONST(F_ADD_SEALS), FLAGS(seals)),
	STRICT(fcntl, 3, RES(PIPE), CONST(F_SETPIPE_SZ), UPTO(FILE_SIZE)),
	CALL(flock, 6, RES(FILE), ONE(flocks)),
	CALL(fstat, 8, RES(FD), OUT(144)),
	CALL(newfstatat, 8, DIRFD, READABLE, OUT(144), FLAGS(at_flags)),
	CALL(stat, 5, READABLE, OUT(144)),
	CALL(lstat, 5, READABLE, OUT(144)),
	CALL(statx, 8, DIRFD, READABLE, FLAGS(at_flags), ONE(statx_masks), OUT(256)),
	CALL(statfs, 4, READABLE, OUT(120)),
	CALL(fstatfs, 4, RES(FD), OUT(120)),
	CALL(access, 4, READABLE, FLAGS(access_modes)),
	CALL(faccessat, 4, DIRFD, READABLE, FLAGS(access_modes)),
	CALL(faccessat2, 4, DIRFD, READABLE, FLAGS(access_modes), FLAGS(at_flags)),
	CALL(readlinkat, 5, DIRFD, READABLE, OUT(64), SIZE),
	CALL(readlink, 4, READABLE, OUT(64), SIZE),
	CALL(getdents64, 10, RES(DIR), OUT(512), SIZE),
	CALL(getdents, 4, RES(DIR), OUT(512), SIZE),
	CALL(getcwd, 4, OUT(64), SIZE),
	CALL(chdir, 2, READABLE),
	CALL(fchdir, 2, RES(DIR)),
	STRICT(mkdirat, 6, DIRFD, PATH, ONE(mkdir_modes)),
	STRICT(mkdir, 4, PATH, ONE(mkdir_modes)),
	STRICT(rmdir, 4, PATH),
	STRICT(unlink, 3, PATH),
	STRICT(unlinkat, 6, DIRFD, PATH, ONE(unlink_flags)),
	STRICT(renameat2, 6, DIRFD, PATH, DIRFD, PATH, FLAGS(rename_flags)),
	STRICT(rename, 4, PATH, PATH),
	STRICT(renameat, 2, DIRFD, PATH, DIRFD, PATH),
	STRICT(link, 4, PATH, PATH),
	STRICT(linkat, 6, DIRFD, PATH, DIRFD, PATH, FLAGS(at_flags)),
	STRICT(symlink, 4, PATH, PATH),
	STRICT(symlinkat, 4, PATH, DIRFD, PATH),
	STRICT(mknodat, 6, DIRFD, PATH, ONE(node_modes), NOTHING),
	STRICT(mknod, 2, PATH, ONE(node_modes), NOTHING),
	STRICT(chmod, 3, PATH, ONE(file_modes)),
	STRICT(fchmod, 3, RES(FILE), ONE(file_modes)),
	STRICT(fchmodat, 3, DIRFD, PATH, ONE(file_modes)),
	STRICT(chown, 3, PATH, ONE(some_ids), ONE(some_ids)),
	STRICT(lchown, 2, PATH, ONE(some_ids), ONE(some_ids)),
	STRICT(fchown, 3, RES(FILE), ONE(some_ids), ONE(some_ids)),
	STRICT(fchownat, 3, DIRFD, PATH, ONE(some_ids), ONE(some_ids), FLAGS(at_flags)),
	STRICT(truncate, 4, PATH, UPTO(FILE_SIZE)),
	STRICT(ftruncate, 6, RES(FILE), UPTO(FILE_SIZE)),
	STRICT(ftruncate, 4, RES(MEMFD), UPTO(FILE_SIZE)),
	STRICT(fallocate, 6, RES(FILE), FLAGS(fallocate_modes), UPTO(FILE_SIZE), UPTO(FILE_SIZE)),
	CALL(fsync, 3, RES(FD)),
	CALL(fdatasync, 3, RES(FD)),
	CALL(sync_file_range, 3, RES(FILE), UPTO(PAGE), UPTO(PAGE), FLAGS(sync_flags)),
	CALL(fadvise64, 4, RES(FILE), UPTO(PAGE), UPTO(PAGE), ONE(advice)),
	CALL(readahead, 3, RES(FILE), UPTO(PAGE), UPTO(PAGE)),
	CALL(utimensat, 5, DIRFD, PATH, TIMES(2), FLAGS(at_flags)),
	CALL(utime, 2, PATH, NOTHING),
	CALL(umask, 2, UPTO(0777)),
	CALL(setxattr, 4, PATH, STRING(xattr_names), IN(32), SIZE, UPTO(2)),
	CALL(fsetxattr, 4, RES(FILE), STRING(xattr_names), IN(32), SIZE, UPTO(2)),
	CALL(getxattr, 4, READABLE, STRING(xattr_names), OUT(32), SIZE),
	CALL(fgetxattr, 3, RES(FD), STRING(xattr_names), OUT(32), SIZE),
	CALL(listxattr, 3, READABLE, OUT(64), SIZE),
	CALL(flistxattr, 2, RES(FD), OUT(64), SIZE),
	CALL(removexattr, 2, PATH, STRING(xattr_names)),
	CALL(name_to_handle_at, 3, DIRFD, READABLE, ZERO(128), OUT(4), NOTHING),
	STRICT(copy_file_range, 6, RES(FILE), NOTHING, RES(FILE), NOTHING, UPTO(TRANSFER), NOTHING),
	STRICT(sendfile, 6, RES(FD), RES(FILE), NOTHING, UPTO(TRANSFER)),
	STRICT(splice, 6, RES(PIPE), NOTHING, RES(FD), NOTHING, UPTO(TRANSFER),
	       FLAGS_AND(splice_flags, 2)),
	STRICT(splice, 4, RES(FILE), NOTHING, RES(PIPE), NOTHING, UPTO(TRANSFER),
	       FLAGS_AND(splice_flags, 2)),
	STRICT(tee, 4, RES(PIPE), RES(PIPE), UPTO(TRANSFER), FLAGS_AND(splice_flags, 2)),
	STRICT(vmsplice, 4, RES(PIPE), MADE(iovec), COUNT, FLAGS_AND(splice_flags, 2)),
	STRICT(ioctl, 12, RES(FD), ONE(ioctls), OUT(256)),
	CALL(sync, 1, NOTHING),
	CALL(syncfs, 1, RES(FD)),

	/* Pipes, sockets. */
	STRICT_AFTER(pipe2, 10, PIPE, hold_pipe, OUT(8), FLAGS_AND(pipe_flags, O_NONBLOCK)),
	STRICT_AFTER(pipe2, 1, PIPE, hold_pipe, OUT(8), NOTHING),
	STRICT_AFTER(socketpair, 8, UNIX, hold_sockets, CONST(AF_UNIX), ONE(unix_types), NOTHING,
		     OUT(8)),
	STRICT_MAKES(socket, 8, UNIX, CONST(AF_UNIX), ONE(unix_types), NOTHING),
	STRICT_MAKES(socket, 8, INET, ONE(inet_families), ONE(inet_types), NOTHING),
	STRICT_MAKES(socket, 5, NETLINK, CONST(AF_NETLINK), CONST(SOCK_RAW | SOCK_NONBLOCK),
		     ONE(netlinks)),
	CALL(bind, 6, RES(UNIX), MADE(sockaddr_unix), SIZE),
	CALL(bind, 6, RES(INET), MADE(sockaddr_inet), SIZE),
	CALL(bind, 3, RES(NETLINK), ZERO(12), SIZE),
	CALL(connect, 6, RES(UNIX), MADE(sockaddr_unix), SIZE),
	CALL(connect, 6, RES(INET), MADE(sockaddr_inet), SIZE),
	CALL(listen, 5, RES(UNIX), UPTO(4)),
	CALL(listen, 3, RES(INET), UPTO(4)),
	MAKES(accept4, 3, UNIX, RES(UNIX), NOTHING, NOTHING, FLAGS(socket_flags)),
	MAKES(accept, 2, INET, RES(INET), OUT(16), MADE(in_size)),
	CALL(getsockname, 5, RES(UNIX), OUT(110), MADE(in_size)),
	CALL(getpeername, 4, RES(UNIX), OUT(110), MADE(in_size)),
	CALL(getsockname, 4, RES(INET), OUT(28), MADE(in_size)),
	CALL(getsockopt, 6, RES(UNIX), CONST(SOL_SOCKET), ONE(socket_options), OUT(16),
	     MADE(in_size)),
	CALL(getsockopt, 5, RES(INET), CONST(SOL_SOCKET), ONE(socket_options), OUT(16),
	     MADE(in_size)),
	CALL(setsockopt, 6, RES(UNIX), CONST(SOL_SOCKET), ONE(socket_options), IN_NUMBER(65536),
	     CONST(4)),
	CALL(setsockopt, 6, RES(INET), CONST(SOL_SOCKET), ONE(socket_options), IN_NUMBER(65536),
	     CONST(4)),
	CALL(setsockopt, 4, RES(INET), CONST(IPPROTO_TCP), UPTO(30), IN_NUMBER(100), CONST(4)),
	CALL(setsockopt, 3, RES(UNIX), CONST(SOL_SOCKET), CONST(SO_ATTACH_FILTER), MADE(filter),
	     SIZE),
	CALL(sendto, 8, RES(UNIX), IN(200), SIZE, FLAGS_AND(message_flags, MSG_NOSIGNAL), NOTHING,
	     NOTHING),
	CALL(sendto, 5, RES(INET), IN(200), SIZE, FLAGS_AND(message_flags, MSG_NOSIGNAL),
	     MADE(sockaddr_inet), SIZE),
	CALL(sendto, 5, RES(NETLINK), MADE(netlink), SIZE, NOTHING, NOTHING, NOTHING),
	CALL(recvfrom, 6, RES(UNIX), OUT(200), SIZE, FLAGS_AND(message_flags, MSG_DONTWAIT),
	     NOTHING, NOTHING),
	CALL(recvfrom, 5, RES(NETLINK), OUT(TRANSFER), SIZE, CONST(MSG_DONTWAIT), NOTHING, NOTHING),
	CALL(sendmsg, 6, RES(UNIX), MADE(msghdr), FLAGS_AND(message_flags, MSG_NOSIGNAL)),
	CALL(recvmsg, 6, RES(UNIX), MADE(msghdr), FLAGS_AND(message_flags, MSG_DONTWAIT)),
	CALL(sendmmsg, 4, RES(UNIX), MADE(mmsghdr), COUNT,
	     FLAGS_AND(message_flags, MSG_NOSIGNAL | MSG_DONTWAIT)),
	CALL(recvmmsg, 4, RES(UNIX), MADE(mmsghdr), COUNT, FLAGS_AND(message_flags, MSG_DONTWAIT),
	     MADE(timespec)),
	CALL(shutdown, 4, RES(UNIX), ONE(hows)),
	CALL(shutdown, 2, RES(INET), ONE(hows)),

	/* Waiting. */
	MAKES(epoll_create1, 5, EPOLL, ONE(fd_flags)),
	CALL(epoll_ctl, 10, RES(EPOLL), ONE(epoll_operations), RES(FD), MADE(epoll_event)),
	CALL(epoll_wait, 5, RES(EPOLL), OUT(48), CONST(4), UPTO(2)),
	CALL(epoll_pwait, 4, RES(EPOLL), OUT(48), CONST(4), UPTO(2), SIGSET, CONST(8)),
	CALL(epoll_pwait2, 4, RES(EPOLL), OUT(48), CONST(4), MADE(timespec), NOTHING, NOTHING),
	CALL(poll, 6, MADE(pollfds), COUNT, UPTO(2)),
	CALL(ppoll, 5, MADE(pollfds), COUNT, MADE(timespec), NOTHING, NOTHING),
	CALL(pselect6, 4, CONST(16), MADE(fd_set), MADE(fd_set), NOTHING, MADE(timespec), NOTHING),
	CALL(select, 3, CONST(16), MADE(fd_set), NOTHING, NOTHING, MADE(timespec)),
	MAKES(eventfd2, 6, EVENT, UPTO(3), FLAGS_AND(event_flags, EFD_NONBLOCK)),
	CALL(write, 5, RES(EVENT), { make_in_number, one, ARRAY_SIZE(one), 0 }, CONST(8)),
	MAKES(timerfd_create, 6, TIMER, ONE(clocks), FLAGS_AND(timer_flags, TFD_NONBLOCK)),
	CALL(timerfd_settime, 6, RES(TIMER), ONE(timer_set_flags), TIMES(2), OUT(32)),
	CALL(timerfd_gettime, 4, RES(TIMER), OUT(32)),
	MAKES(signalfd4, 4, SIGNAL, CONST(-1), SIGSET, CONST(8), CONST(O_NONBLOCK)),
	MAKES(inotify_init1, 5, INOTIFY, CONST(O_NONBLOCK)),
	MAKES(inotify_add_watch, 5, WATCH, RES(INOTIFY), READABLE, FLAGS_AND(inotify_masks, 2)),
	CALL(inotify_rm_watch, 3, RES(INOTIFY), RES(WATCH)),
	STRICT_MAKES(fanotify_init, 3, FANOTIFY, CONST(FAN_CLASS_NOTIF | FAN_NONBLOCK),
		     CONST(O_RDONLY)),
	STRICT(fanotify_mark, 3, RES(FANOTIFY), CONST(FAN_MARK_ADD), FLAGS_AND(fanotify_marks, 1),
	       CONST(AT_FDCWD), PATH),
	CALL(nanosleep, 2, MADE(timespec), NOTHING),
	CALL(clock_nanosleep, 2, ONE(clocks), NOTHING, MADE(timespec), NOTHING),
	CALL(pause, 1, NOTHING),
	CALL(futex, 8, IN_NUMBER(2), ONE(futex_operations), UPTO(2), MADE(timespec), IN_NUMBER(2),
	     UPTO(2)),
	CALL(membarrier, 4, ONE(membarriers), NOTHING, NOTHING),
	STRICT_AFTER(io_setup, 3, AIO, hold_context, UPTO(8), ZERO(8)),
	CALL(io_submit, 4, RES(AIO), CONST(1), MADE(iocbs)),
	CALL(io_getevents, 3, RES(AIO), NOTHING, CONST(2), OUT(64), MADE(timespec)),
	CALL(io_destroy, 4, RES(AIO)),
	STRICT_MAKES(io_uring_setup, 4, RING, UPTO(8), ZERO(120)),
	CALL(io_uring_enter, 4, RES(RING), UPTO(2), NOTHING, UPTO(1), NOTHING, NOTHING),
	CALL(io_uring_register, 3, RES(RING), UPTO(12), MADE(iovec), COUNT),

	/* Memory. */
	STRICT_AFTER(mmap, 12, MAP, hold_map, NOTHING, CONST(MAP_SIZE), FLAGS(protections),
		     FLAGS_AND(map_flags, MAP_PRIVATE | MAP_ANONYMOUS), CONST(-1), NOTHING),
	STRICT_AFTER(mmap, 6, MAP, hold_map, NOTHING, CONST(MAP_SIZE), FLAGS(protections),
		     CONST(MAP_SHARED), RES(MEMFD), NOTHING),
	STRICT_AFTER(mmap, 6, MAP, hold_map, NOTHING, CONST(MAP_SIZE), FLAGS(protections),
		     CONST(MAP_PRIVATE), RES(FILE), NOTHING),
	CALL(mprotect, 8, RES(MAP), CONST(MAP_SIZE), FLAGS(protections)),
	STRICT(madvise, 8, RES(MAP), CONST(MAP_SIZE), ONE(madvices)),
	CALL(msync, 4, RES(MAP), CONST(PAGE), ONE(msync_flags)),
	CALL(mincore, 5, RES(MAP), CONST(MAP_SIZE), OUT(16)),
	STRICT(mremap, 4, RES(MAP), CONST(MAP_SIZE), CONST(MAP_SIZE), ONE(remap_flags)),
	STRICT(munmap, 5, RES(MAP), CONST(2 * PAGE)),
	STRICT(mlock, 4, RES(MAP), CONST(PAGE)),
	STRICT(mlock2, 3, RES(MAP), CONST(PAGE), ONE(one)),
	CALL(munlock, 3, RES(MAP), CONST(PAGE)),
	STRICT(remap_file_pages, 2, RES(MAP), CONST(PAGE), NOTHING, UPTO(3), NOTHING),
	STRICT(brk, 3, NOTHING),
	MAKES(memfd_create, 8, MEMFD, STRING(short_names), FLAGS(memfd_flags)),
	CALL(write, 5, RES(MEMFD), IN(TRANSFER), SIZE),
	CALL(mbind, 3, RES(MAP), CONST(PAGE), UPTO(4), IN_NUMBER(1), CONST(8), NOTHING),
	CALL(get_mempolicy, 3, OUT(4), OUT(128), CONST(64), NOTHING, NOTHING),
	CALL(set_mempolicy, 2, UPTO(4), IN_NUMBER(1), CONST(8)),
	CALL(pkey_alloc, 2, NOTHING, UPTO(1)),
	CALL(userfaultfd, 1, CONST(O_NONBLOCK)),

	/* Processes. */
	STRICT_MAKES(getpid, 6, PID, NOTHING),
	STRICT_MAKES(gettid, 6, TID, NOTHING),
	CALL(getppid, 2, NOTHING),
	CALL(getpgid, 2, RES(PID)),
	CALL(getsid, 2, RES(PID)),
	CALL(getuid, 1, NOTHING),
	CALL(geteuid, 1, NOTHING),
	CALL(getresuid, 2, OUT(4), OUT(4), OUT(4)),
	CALL(getresgid, 2, OUT(4), OUT(4), OUT(4)),
	CALL(getgroups, 3, CONST(16), OUT(64)),
	CALL(setfsuid, 2, ONE(some_ids)),
	CALL(capget, 3, MADE(cap_header), OUT(24)),
	CALL(uname, 3, OUT(390)),
	CALL(sysinfo, 3, OUT(112)),
	CALL(times, 3, OUT(32)),
	CALL(getrusage, 3, UPTO(1), OUT(144)),
	STRICT(prlimit64, 4, NOTHING, ONE(rlimits), MADE(rlimit), OUT(16)),
	STRICT(prlimit64, 4, NOTHING, ONE(all_rlimits), NOTHING, OUT(16)),
	STRICT(setrlimit, 3, ONE(rlimits), MADE(rlimit)),
	CALL(getrlimit, 3, ONE(all_rlimits), OUT(16)),
	STRICT(setpriority, 2, ONE(priorities), NOTHING, UPTO(5)),
	CALL(getpriority, 3, ONE(priorities), NOTHING),
	STRICT(ioprio_set, 2, CONST(1), NOTHING, CONST(2 << 13 | 4)),
	CALL(ioprio_get, 2, CONST(1), NOTHING),
	STRICT(sched_setattr, 3, NOTHING, MADE(sched_attr), NOTHING),
	CALL(sched_getattr, 3, NOTHING, OUT(56), SIZE, NOTHING),
	CALL(sched_getscheduler, 2, NOTHING),
	CALL(sched_getparam, 2, NOTHING, OUT(4)),
	CALL(sched_get_priority_max, 2, ONE(policies)),
	CALL(sched_rr_get_interval, 2, NOTHING, OUT(16)),
	CALL(sched_yield, 3, NOTHING),
	STRICT(sched_setaffinity, 2, NOTHING, CONST(8), IN_NUMBER(3)),
	CALL(sched_getaffinity, 3, NOTHING, CONST(128), OUT(128)),
	CALL(getcpu, 3, OUT(4), OUT(4), NOTHING),
	STRICT_MAKES(clone, 2, PID, ONE(clone_flags_signal), NOTHING, NOTHING, NOTHING, NOTHING),
	STRICT_MAKES(clone3, 2, PID, CLONE_ARGS(clone_flags), CONST(88)),
	STRICT_MAKES(fork, 2, PID, NOTHING),
	STRICT(wait4, 4, RES(PID), OUT(4), ONE(wait_options), OUT(144)),
	STRICT(waitid, 4, CONST(1), RES(PID), OUT(128), ONE(waitid_options), OUT(144)),
	STRICT_MAKES(pidfd_open, 5, PIDFD, RES(PID), NOTHING),
	STRICT(pidfd_send_signal, 2, RES(PIDFD), ONE(signals), NOTHING, NOTHING),
	STRICT(tgkill, 2, RES(PID), RES(TID), ONE(signals)),
	STRICT(tkill, 1, RES(TID), ONE(signals)),
	STRICT(rt_tgsigqueueinfo, 1, RES(PID), RES(TID), ONE(signals), ZERO(128)),
	CALL(rt_sigprocmask, 4, ONE(mask_hows), SIGSET, OUT(8), CONST(8)),
	CALL(rt_sigaction, 4, ONE(handled_signals), MADE(sigaction), OUT(32), CONST(8)),
	CALL(rt_sigpending, 3, OUT(8), CONST(8)),
	CALL(rt_sigtimedwait, 2, SIGSET, OUT(128), MADE(timespec), CONST(8)),
	CALL(sigaltstack, 1, NOTHING, OUT(24)),
	STRICT_AFTER(timer_create, 3, POSIX_TIMER, hold_timer, ONE(clocks), MADE(sigevent), OUT(4)),
	CALL(timer_settime, 3, RES(POSIX_TIMER), NOTHING, TIMES(2), OUT(32)),
	CALL(timer_gettime, 3, RES(POSIX_TIMER), OUT(32)),
	CALL(timer_getoverrun, 2, RES(POSIX_TIMER)),
	CALL(timer_delete, 4, RES(POSIX_TIMER)),
	CALL(getitimer, 2, UPTO(2), OUT(32)),
	STRICT(setitimer, 1, CONST(1), NOTHING, OUT(32)),
	STRICT(alarm, 1, NOTHING),
	CALL(clock_gettime, 3, ONE(clocks), OUT(16)),
	CALL(clock_getres, 3, ONE(clocks), OUT(16)),
	CALL(gettimeofday, 2, OUT(16), OUT(8)),
	CALL(time, 2, OUT(8)),
	CALL(prctl, 6, ONE(prctls), UPTO(1), NOTHING, NOTHING, NOTHING),
	CALL(arch_prctl, 3, ONE(arch_prctls), OUT(8)),
	STRICT(personality, 2, CONST(0xffffffff)),
	CALL(kcmp, 3, RES(PID), RES(PID), UPTO(7), RES(FD), RES(FD)),
	STRICT(process_vm_readv, 3, RES(PID), MADE(iovec), COUNT, MADE(iovec), COUNT, NOTHING),
	CALL(getrandom, 5, OUT(128), SIZE, FLAGS_AND(random_flags, GRND_NONBLOCK)),
	CALL(get_robust_list, 2, NOTHING, OUT(8), OUT(8)),

	/* System V, POSIX queues, keys. */
	STRICT_MAKES(shmget, 4, SHM, UPTO(IPC_KEYS), CONST(MAP_SIZE), ONE(ipc_flags)),
	STRICT(shmctl, 4, RES(SHM), ONE(ipc_commands), OUT(128)),
	STRICT_AFTER(shmat, 3, MAP, hold_map, RES(SHM), NOTHING, NOTHING),
	CALL(shmdt, 3, RES(MAP)),
	STRICT_MAKES(semget, 4, SEM, UPTO(IPC_KEYS), CONST(3), ONE(ipc_flags)),
	STRICT(semctl, 4, RES(SEM), UPTO(2), ONE(sem_commands), UPTO(3)),
	CALL(semtimedop, 4, RES(SEM), MADE(sembufs), COUNT, MADE(timespec)),
	CALL(semop, 3, RES(SEM), MADE(sembufs), COUNT),
	STRICT_MAKES(msgget, 4, MSG, UPTO(IPC_KEYS), ONE(ipc_flags)),
	CALL(msgsnd, 4, RES(MSG), IN(64), CONST(16), CONST(IPC_NOWAIT)),
	CALL(msgrcv, 4, RES(MSG), OUT(64), CONST(32), UPTO(2), ONE(message_receive_flags)),
	STRICT(msgctl, 4, RES(MSG), ONE(ipc_commands), OUT(128)),
	STRICT_MAKES(mq_open, 4, QUEUE, STRING(queue_names), CONST(O_RDWR | O_CREAT | O_NONBLOCK),
		     CONST(0600), NOTHING),
	CALL(mq_timedsend, 4, RES(QUEUE), IN(32), SIZE, UPTO(3), MADE(timespec)),
	CALL(mq_timedreceive, 4, RES(QUEUE), OUT(8192), SIZE, OUT(4), MADE(timespec)),
	CALL(mq_getsetattr, 3, RES(QUEUE), NOTHING, OUT(64)),
	CALL(mq_notify, 2, RES(QUEUE), MADE(sigevent)),
	CALL(mq_unlink, 3, STRING(queue_names)),
	STRICT_MAKES(add_key, 4, KEY, STRING(key_types), STRING(short_names), IN(16), SIZE,
		     ONE(keyrings)),
	STRICT(keyctl, 6, ONE(key_commands), RES(KEY), OUT(64), SIZE),
	STRICT(keyctl, 2, CONST(KEYCTL_SEARCH), ONE(keyrings), STRING(key_types),
	       STRING(short_names), NOTHING),

	/* File systems that nobody else sees, BPF, counters, sandboxes. */
	STRICT_MAKES(fsopen, 4, FS, STRING(file_systems), NOTHING),
	STRICT(fsconfig, 6, RES(FS), ONE(fs_commands), STRING(options), STRING(values), NOTHING),
	STRICT(fsconfig, 4, RES(FS), CONST(FSCONFIG_CMD_CREATE), NOTHING, NOTHING, NOTHING),
	STRICT_MAKES(fsmount, 4, MOUNT, RES(FS), NOTHING, FLAGS(mount_attributes)),
	STRICT_MAKES(open_tree, 3, MOUNT, CONST(AT_FDCWD), READABLE, UPTO(1)),
	STRICT(mount, 1, STRING(short_names), MADE(mount_point), STRING(mounted_systems),
	       FLAGS(mount_flags), NOTHING),
	STRICT(umount2, 2, MADE(mount_point), CONST(2)),
	STRICT_MAKES(bpf, 4, BPF, NOTHING, MADE(bpf_attr), SIZE),
	STRICT_MAKES(perf_event_open, 3, PERF, MADE(perf_attr), NOTHING, CONST(-1), CONST(-1),
		     NOTHING),
	STRICT(seccomp, 1, CONST(SECCOMP_GET_ACTION_AVAIL), NOTHING, IN_NUMBER(2)),
	MAKES(landlock_create_ruleset, 2, FD,
	      { make_in_number, landlock_rights, ARRAY_SIZE(landlock_rights), 0 }, CONST(8),
	      NOTHING),
};

const size_t random_n_calls = ARRAY_SIZE(random_calls);
_Static_assert(ARRAY_SIZE(random_calls) <= RANDOM_CALLS_MOST, "numbers are kept for so many");

/*
 * What ends the process that makes the call, sooner or later, or takes from it what later programs
 * would need. Some programs end with one of these.
 */
const struct call random_ends[] = {
	STRICT(exit_group, 3, ONE(exit_codes)),
	STRICT(exit, 3, ONE(exit_codes)),
	STRICT(execve, 3, STRING(programs), MADE(argv), NOTHING),
	STRICT(execveat, 3, CONST(AT_FDCWD), STRING(programs), MADE(argv), NOTHING, NOTHING),
	STRICT(close_range, 3, CONST(3), CONST(~0u), FLAGS(range_flags)),
	STRICT(rt_sigreturn, 3, NOTHING),
	STRICT(tgkill, 3, RES(PID), RES(TID), ONE(fatal_signals)),
	STRICT(pidfd_send_signal, 2, RES(PIDFD), ONE(fatal_signals), NOTHING, NOTHING),
	STRICT(rt_sigprocmask, 1, CONST(SIG_SETMASK), { make_in_number, all_signals, 1, 0 },
	       NOTHING, CONST(8)),
	STRICT(munmap, 2, CONST(0x70000000), CONST(0x100000)),
	STRICT(mprotect, 1, CONST(0x70000000), CONST(0x100000), CONST(PROT_NONE)),
	STRICT(arch_prctl, 1, CONST(ARCH_SET_FS), OUT(8)),
	STRICT(prctl, 1, CONST(PR_SET_SECCOMP), CONST(SECCOMP_MODE_STRICT)),
	STRICT(prctl, 1, CONST(PR_SET_TSC), CONST(PR_TSC_SIGSEGV)),
	STRICT(setitimer, 1, CONST(0), TIMES(2), OUT(32)),
	STRICT(alarm, 1, UPTO(2)),
	STRICT(rseq, 1, ZERO(32), CONST(32), NOTHING, CONST(0x53053053)),
	STRICT(setrlimit, 1, CONST(RLIMIT_CPU), MADE(rlimit)),
	STRICT(setresuid, 1, CONST(-1), ONE(some_ids), CONST(-1)),
	STRICT(setresgid, 1, CONST(-1), ONE(some_ids), CONST(-1)),
	STRICT(setreuid, 1, CONST(-1), ONE(some_ids)),
	STRICT(setregid, 1, CONST(-1), ONE(some_ids)),
	STRICT(setuid, 1, ONE(some_ids)),
	STRICT(setgid, 1, ONE(some_ids)),
	STRICT(setgroups, 1, CONST(2), IN(8)),
	STRICT(capset, 1, MADE(cap_header), ZERO(24)),
	STRICT(unshare, 3, FLAGS(namespaces)),
	STRICT(setns, 1, RES(FILE), NOTHING),
	STRICT(setns, 1, RES(PIDFD), ONE(namespaces)),
	STRICT(personality, 1, UPTO(0xffff)),
	STRICT(seccomp, 1, CONST(SECCOMP_SET_MODE_FILTER), NOTHING, MADE(filter)),
	STRICT(landlock_restrict_self, 1, RES(FD), NOTHING),
	STRICT(setsid, 1, NOTHING),
};

const size_t random_n_ends = ARRAY_SIZE(random_ends);
_Static_assert(ARRAY_SIZE(random_ends) <= RANDOM_CALLS_MOST, "numbers are kept for so many");
