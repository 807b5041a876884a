#include "agent/rules.h"

#include <assert.h>

#include "agent/exec_plan.h"
#include "agent/job.h"
#include "agent/ops.h"
#include "common/util.h"
#include "proto/limits.h"

#define EXEC        Provium__V1__Exec
#define STDIN_DATA  Provium__V1__Stdin
#define RESIZE      Provium__V1__Resize
#define JOB_WAIT    Provium__V1__JobWait
#define JOB_KILL    Provium__V1__JobKill
#define JOB_OUTPUT  Provium__V1__JobOutput
#define READ_FILE   Provium__V1__ReadFile
#define WRITE_FILE  Provium__V1__WriteFile
#define WRITE_DATA  Provium__V1__WriteData
#define BUFFER      Provium__V1__Buffer
#define CALL_OPTION Provium__V1__CallOption
#define SYSCALL     Provium__V1__Syscall
#define IOCTL       Provium__V1__Ioctl

/* A path that must be there; one of a path and an fd. */
#define PATH(type, field) \
	FIELD(type, field, FIELD_BYTES, FIELD_REQUIRED | FIELD_NO_NUL | FIELD_NOT_EMPTY, 0)
#define PATH_OR_FD(type)                                                                  \
	FIELD(type, path, FIELD_BYTES, FIELD_ONE_OF | FIELD_NO_NUL | FIELD_NOT_EMPTY, 0), \
		FIELD(type, fd, FIELD_I32, FIELD_ONE_OF, 0)

#define MAX_OFFSET     ((uint64_t)INT64_MAX)
#define MAX_MODE       07777
/* The kernel's _NSIG. */
#define MAX_SIGNAL     64
/* The greatest number is none: "unchanged", to setresuid(2). */
#define MAX_ID         (UINT32_MAX - 1)
/* NGROUPS_MAX of the kernel. */
#define MAX_GROUPS     65536
/* RLIM_NLIMITS of the kernel, on every architecture. */
#define MAX_RLIMIT     (MAX_RLIMITS - 1)
/* The kernel's struct winsize. */
#define MAX_WINDOW     UINT16_MAX
#define MAX_TERM       255
/* The kernel takes a page, and the string's end is in it. */
#define MAX_MOUNT_DATA 4095

static const struct field_rule ping_fields[] = {
	FIELD(Provium__V1__Ping, payload, FIELD_BYTES, 0, PROVIUM_MAX_PING),
};

static const struct field_rule auth_fields[] = {
	FIELD(Provium__V1__Auth, token, FIELD_BYTES, FIELD_REQUIRED, PROVIUM_TOKEN_SIZE),
};

static const struct field_rule cancel_fields[] = {
	FIELD(Provium__V1__Cancel, request, FIELD_U32, FIELD_REQUIRED, 0),
};

static const struct field_rule kernel_log_fields[] = {
	FIELD(Provium__V1__KernelLog, from_start, FIELD_BOOL, 0, 0),
};

static const struct field_rule shutdown_fields[] = {
	FIELD(Provium__V1__Shutdown, mode, FIELD_ENUM, 0, PROVIUM__V1__SHUTDOWN__MODE__PANIC),
	FIELD(Provium__V1__Shutdown, sync, FIELD_BOOL, 0, 0),
	FIELD(Provium__V1__Shutdown, sync_timeout_ms, FIELD_U32, 0, 0),
};

static const struct field_rule groups_fields[] = {
	FIELD_LIST(Provium__V1__Groups, gid, FIELD_REPEATED, 0, MAX_GROUPS),
};

static const struct field_rule pty_fields[] = {
	FIELD(Provium__V1__Pty, rows, FIELD_U32, 0, MAX_WINDOW),
	FIELD(Provium__V1__Pty, cols, FIELD_U32, 0, MAX_WINDOW),
	FIELD(Provium__V1__Pty, term, FIELD_BYTES, FIELD_NO_NUL | FIELD_NOT_EMPTY, MAX_TERM),
};

static const struct field_rule rlimit_fields[] = {
	FIELD(Provium__V1__Rlimit, resource, FIELD_U32, FIELD_REQUIRED, MAX_RLIMIT),
	FIELD(Provium__V1__Rlimit, soft, FIELD_U64, FIELD_REQUIRED, 0),
	FIELD(Provium__V1__Rlimit, hard, FIELD_U64, FIELD_REQUIRED, 0),
};

static const struct field_rule exec_fields[] = {
	FIELD_LIST(EXEC, argv, FIELD_REPEATED_BYTES, FIELD_ONE_OF | FIELD_NO_NUL, 0),
	FIELD(EXEC, shell, FIELD_BYTES, FIELD_ONE_OF | FIELD_NO_NUL, 0),
	FIELD_LIST(EXEC, env, FIELD_REPEATED_BYTES, FIELD_NO_NUL, 0),
	FIELD(EXEC, clear_env, FIELD_BOOL, 0, 0),
	FIELD(EXEC, cwd, FIELD_BYTES, FIELD_NO_NUL | FIELD_NOT_EMPTY, 0),
	FIELD(EXEC, uid, FIELD_U32, 0, MAX_ID),
	FIELD(EXEC, gid, FIELD_U32, 0, MAX_ID),
	FIELD_OBJECT(EXEC, groups, 0, GROUPS_SET),
	FIELD(EXEC, stdin_kind, FIELD_ENUM, 0, PROVIUM__V1__STDIN_KIND__STDIN_STREAM),
	FIELD(EXEC, input, FIELD_BYTES, 0, 0),
	FIELD_OBJECT(EXEC, pty, 0, PTY_SET),
	FIELD(EXEC, merge_stderr, FIELD_BOOL, 0, 0),
	FIELD(EXEC, timeout_ms, FIELD_U64, 0, 0),
	FIELD(EXEC, output_limit, FIELD_U64, 0, 0),
	FIELD(EXEC, nice, FIELD_I32, 0, 0),
	FIELD_OBJECTS(EXEC, rlimits, 0, RLIMIT_SET),
	FIELD(EXEC, kill_scope, FIELD_ENUM, 0, PROVIUM__V1__KILL_SCOPE__KILL_CGROUP),
};

static const struct field_rule exec_async_fields[] = {
	FIELD_OBJECT(Provium__V1__ExecAsync, command, FIELD_REQUIRED, EXEC_SET),
	FIELD(Provium__V1__ExecAsync, name, FIELD_BYTES, FIELD_NOT_EMPTY | FIELD_NO_NUL,
	      JOB_MAX_NAME),
	FIELD(Provium__V1__ExecAsync, keep, FIELD_U64, 0, 0),
};

static const struct field_rule job_ref_fields[] = {
	FIELD_UNION(Provium__V1__JobRef, ref, FIELD_REQUIRED),
};

static const struct field_rule job_wait_fields[] = {
	FIELD_OBJECT(JOB_WAIT, ref, FIELD_REQUIRED, JOB_REF_SET),
	FIELD(JOB_WAIT, timeout_ms, FIELD_U64, 0, 0),
	FIELD(JOB_WAIT, output, FIELD_BOOL, 0, 0),
};

static const struct field_rule job_kill_fields[] = {
	FIELD_OBJECT(JOB_KILL, ref, FIELD_REQUIRED, JOB_REF_SET),
	FIELD(JOB_KILL, signal, FIELD_U32, FIELD_NOT_EMPTY, MAX_SIGNAL),
	FIELD(JOB_KILL, grace_ms, FIELD_U64, 0, 0),
	FIELD(JOB_KILL, output, FIELD_BOOL, 0, 0),
};

static const struct field_rule job_output_fields[] = {
	FIELD_OBJECT(JOB_OUTPUT, ref, FIELD_REQUIRED, JOB_REF_SET),
	FIELD(JOB_OUTPUT, stream, FIELD_ENUM, FIELD_NOT_EMPTY, PROVIUM__V1__STREAM__STREAM_STDERR),
	FIELD(JOB_OUTPUT, offset, FIELD_U64, 0, 0),
	FIELD(JOB_OUTPUT, follow, FIELD_BOOL, 0, 0),
};

static const struct field_rule target_fields[] = {
	FIELD_UNION(Provium__V1__Target, target, FIELD_REQUIRED),
};

static const struct field_rule stdin_fields[] = {
	FIELD_OBJECT(STDIN_DATA, target, FIELD_REQUIRED, TARGET_SET),
	FIELD(STDIN_DATA, data, FIELD_BYTES, 0, 0),
	FIELD(STDIN_DATA, eof, FIELD_BOOL, 0, 0),
};

static const struct field_rule resize_fields[] = {
	FIELD_OBJECT(RESIZE, target, FIELD_REQUIRED, TARGET_SET),
	FIELD(RESIZE, rows, FIELD_U32, FIELD_REQUIRED, MAX_WINDOW),
	FIELD(RESIZE, cols, FIELD_U32, FIELD_REQUIRED, MAX_WINDOW),
};

static const struct field_rule signal_fields[] = {
	FIELD_OBJECT(Provium__V1__Signal, target, FIELD_REQUIRED, TARGET_SET),
	FIELD(Provium__V1__Signal, signal, FIELD_U32, FIELD_REQUIRED, MAX_SIGNAL),
	FIELD(Provium__V1__Signal, group, FIELD_BOOL, 0, 0),
};

static const struct field_rule read_file_fields[] = {
	PATH_OR_FD(READ_FILE),
	FIELD(READ_FILE, offset, FIELD_U64, 0, MAX_OFFSET),
	FIELD(READ_FILE, length, FIELD_U64, 0, 0),
	FIELD(READ_FILE, sparse, FIELD_BOOL, 0, 0),
};

static const struct field_rule write_file_fields[] = {
	PATH_OR_FD(WRITE_FILE),
	FIELD(WRITE_FILE, mode, FIELD_U32, 0, MAX_MODE),
	FIELD(WRITE_FILE, uid, FIELD_U32, 0, 0),
	FIELD(WRITE_FILE, gid, FIELD_U32, 0, 0),
	FIELD(WRITE_FILE, create, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, exclusive, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, append, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, offset, FIELD_U64, 0, MAX_OFFSET),
	FIELD(WRITE_FILE, atomic, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, sync, FIELD_BOOL, 0, 0),
};

static const struct field_rule write_data_fields[] = {
	FIELD(WRITE_DATA, data, FIELD_BYTES, 0, PROVIUM_WRITE_WINDOW),
	FIELD(WRITE_DATA, hole, FIELD_U64, 0, MAX_OFFSET),
	FIELD(WRITE_DATA, last, FIELD_BOOL, 0, 0),
};

static const struct field_rule stat_fields[] = {
	PATH_OR_FD(Provium__V1__Stat),
	FIELD(Provium__V1__Stat, follow, FIELD_BOOL, 0, 0),
};

static const struct field_rule list_dir_fields[] = {
	PATH(Provium__V1__ListDir, path),
};

static const struct field_rule mkdir_fields[] = {
	PATH(Provium__V1__Mkdir, path),
	FIELD(Provium__V1__Mkdir, mode, FIELD_U32, 0, MAX_MODE),
	FIELD(Provium__V1__Mkdir, parents, FIELD_BOOL, 0, 0),
};

static const struct field_rule remove_fields[] = {
	PATH(Provium__V1__Remove, path),
	FIELD(Provium__V1__Remove, recursive, FIELD_BOOL, 0, 0),
	FIELD(Provium__V1__Remove, missing_ok, FIELD_BOOL, 0, 0),
};

static const struct field_rule rename_fields[] = {
	PATH(Provium__V1__Rename, old_path),
	PATH(Provium__V1__Rename, new_path),
	FIELD(Provium__V1__Rename, flags, FIELD_U32, 0, 0),
};

static const struct field_rule symlink_fields[] = {
	PATH(Provium__V1__Symlink, target),
	PATH(Provium__V1__Symlink, path),
};

static const struct field_rule readlink_fields[] = {
	PATH(Provium__V1__Readlink, path),
};

static const struct field_rule chmod_fields[] = {
	PATH(Provium__V1__Chmod, path),
	FIELD(Provium__V1__Chmod, mode, FIELD_U32, FIELD_REQUIRED, MAX_MODE),
};

static const struct field_rule chown_fields[] = {
	PATH(Provium__V1__Chown, path),
	FIELD(Provium__V1__Chown, uid, FIELD_U32, 0, 0),
	FIELD(Provium__V1__Chown, gid, FIELD_U32, 0, 0),
	FIELD(Provium__V1__Chown, follow, FIELD_BOOL, 0, 0),
};

static const struct field_rule mount_fields[] = {
	FIELD(Provium__V1__Mount, source, FIELD_BYTES, FIELD_NO_NUL, 0),
	PATH(Provium__V1__Mount, target),
	FIELD(Provium__V1__Mount, fstype, FIELD_BYTES, FIELD_NO_NUL, 0),
	FIELD(Provium__V1__Mount, flags, FIELD_U64, 0, 0),
	FIELD(Provium__V1__Mount, data, FIELD_BYTES, FIELD_NO_NUL, MAX_MOUNT_DATA),
};

static const struct field_rule umount_fields[] = {
	PATH(Provium__V1__Umount, target),
	FIELD(Provium__V1__Umount, flags, FIELD_U32, 0, 0),
};

static const struct field_rule tail_fields[] = {
	PATH_OR_FD(Provium__V1__Tail),
	FIELD(Provium__V1__Tail, start, FIELD_ENUM, 0, PROVIUM__V1__TAIL__START__OFFSET),
	FIELD(Provium__V1__Tail, offset, FIELD_U64, 0, MAX_OFFSET),
};

/* What belongs together is checked by program_check. */
static const struct field_rule buffer_fields[] = {
	FIELD(BUFFER, input, FIELD_BYTES, 0, 0),
	FIELD(BUFFER, size, FIELD_U32, 0, 0),
	FIELD(BUFFER, output, FIELD_BOOL, 0, 0),
	FIELD(BUFFER, placement, FIELD_ENUM, 0, PROVIUM__V1__PLACEMENT__PLACE_UNMAPPED),
	FIELD_LIST(BUFFER, pointer_offsets, FIELD_REPEATED, 0, 0),
	FIELD_LIST(BUFFER, pointer_targets, FIELD_REPEATED, 0, 0),
	FIELD_LIST(BUFFER, pointer_addends, FIELD_REPEATED, 0, 0),
	FIELD(BUFFER, report_changes, FIELD_BOOL, 0, 0),
	FIELD(BUFFER, fill_seed, FIELD_U32, 0, 0),
	FIELD(BUFFER, fill_complement, FIELD_BOOL, 0, 0),
};

static const struct field_rule call_option_fields[] = {
	FIELD(CALL_OPTION, call, FIELD_U32, FIELD_REQUIRED, 0),
	FIELD(CALL_OPTION, deadline_ms, FIELD_U32, 0, 0),
	FIELD(CALL_OPTION, repeat, FIELD_U32, FIELD_NOT_EMPTY, PROVIUM_MAX_REPEAT),
	FIELD(CALL_OPTION, stop_on_error, FIELD_BOOL, 0, 0),
};

static const struct field_rule syscall_fields[] = {
	FIELD_OBJECTS(SYSCALL, buffers, 0, BUFFER_SET),
	FIELD_LIST(SYSCALL, numbers, FIELD_REPEATED, FIELD_REQUIRED, PROVIUM_MAX_CALLS),
	FIELD_LIST(SYSCALL, arg_counts, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, args, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, reference_args, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, reference_kinds, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, reference_indexes, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, reference_offsets, FIELD_REPEATED, 0, 0),
	FIELD_LIST(SYSCALL, reference_widths, FIELD_REPEATED, 0, 0),
	FIELD_OBJECTS(SYSCALL, options, 0, CALL_OPTION_SET),
	FIELD(SYSCALL, deadline_ms, FIELD_U32, 0, 0),
	FIELD(SYSCALL, stop_on_error, FIELD_BOOL, 0, 0),
	FIELD(SYSCALL, background, FIELD_BOOL, 0, 0),
	FIELD(SYSCALL, trace, FIELD_BOOL, 0, 0),
};

static const struct field_rule ioctl_fields[] = {
	FIELD(IOCTL, fd, FIELD_I32, FIELD_REQUIRED, 0),
	FIELD(IOCTL, command, FIELD_U64, FIELD_REQUIRED, 0),
	FIELD_OBJECTS(IOCTL, buffers, 0, BUFFER_SET),
	FIELD(IOCTL, arg, FIELD_U64, 0, 0),
	FIELD(IOCTL, deadline_ms, FIELD_U32, 0, 0),
	FIELD(IOCTL, background, FIELD_BOOL, 0, 0),
};

static const struct field_rule read_memory_fields[] = {
	FIELD(Provium__V1__ReadMemory, address, FIELD_U64, FIELD_REQUIRED, 0),
	FIELD(Provium__V1__ReadMemory, length, FIELD_U64, FIELD_REQUIRED | FIELD_NOT_EMPTY,
	      MAX_OFFSET),
};

static const struct field_rule spawn_worker_fields[] = {
	FIELD(Provium__V1__SpawnWorker, kind, FIELD_ENUM, 0,
	      PROVIUM__V1__SPAWN_WORKER__KIND__THREAD),
	FIELD(Provium__V1__SpawnWorker, uid, FIELD_U32, 0, MAX_ID),
	FIELD(Provium__V1__SpawnWorker, gid, FIELD_U32, 0, MAX_ID),
	FIELD_OBJECT(Provium__V1__SpawnWorker, groups, 0, GROUPS_SET),
};

static const struct field_rule worker_kill_fields[] = {
	FIELD(Provium__V1__WorkerKill, worker, FIELD_U64, FIELD_REQUIRED, 0),
};

/* The kernel's clock shows no time before 1970. */
static const struct field_rule clock_set_fields[] = {
	FIELD(Provium__V1__ClockSet, realtime_ns, FIELD_U64, FIELD_REQUIRED, MAX_OFFSET),
};

static const struct field_rule reseed_fields[] = {
	FIELD(Provium__V1__Reseed, entropy, FIELD_BYTES, FIELD_REQUIRED | FIELD_NOT_EMPTY,
	      PROVIUM_MAX_ENTROPY),
};

const struct field_set field_sets[] = {
	[GROUPS_SET] = FIELD_SET(groups_fields),
	[PTY_SET] = FIELD_SET(pty_fields),
	[RLIMIT_SET] = FIELD_SET(rlimit_fields),
	[EXEC_SET] = FIELD_SET(exec_fields),
	[JOB_REF_SET] = FIELD_SET(job_ref_fields),
	[TARGET_SET] = FIELD_SET(target_fields),
	[BUFFER_SET] = FIELD_SET(buffer_fields),
	[CALL_OPTION_SET] = FIELD_SET(call_option_fields),
};

#define FIELDS(array) .fields = FIELD_SET(array)
#define CODE(name)    PROVIUM__V1__MESSAGE__BODY_##name

static const struct message_rule rules[] = {
	[CODE(EXEC)] = { "EXEC", .handler = op_exec, FIELDS(exec_fields), .lasts = true,
			 .cancellable = true, .in_root = true },
	[CODE(WRITE_FILE)] = { "WRITE_FILE", .handler = op_write_file, FIELDS(write_file_fields),
			       .in_turn = true, .lasts = true, .cancellable = true,
			       .in_root = true },
	[CODE(READ_FILE)] = { "READ_FILE", .handler = op_read_file, FIELDS(read_file_fields),
			      .in_turn = true, .lasts = true, .cancellable = true,
			      .in_root = true },
	[CODE(SHUTDOWN)] = { "SHUTDOWN", .handler = op_shutdown, FIELDS(shutdown_fields) },
	[CODE(SYSCALL)] = { "SYSCALL", .handler = op_syscall, FIELDS(syscall_fields),
			    .in_turn = true, .lasts = true, .cancellable = true },
	[CODE(IOCTL)] = { "IOCTL", .handler = op_ioctl, FIELDS(ioctl_fields), .in_turn = true,
			  .lasts = true, .cancellable = true },
	[CODE(EXEC_ASYNC)] = { "EXEC_ASYNC", .handler = op_exec_async, FIELDS(exec_async_fields),
			       .in_root = true },
	[CODE(JOB_WAIT)] = { "JOB_WAIT", .handler = op_job_wait, FIELDS(job_wait_fields),
			     .lasts = true, .cancellable = true },
	[CODE(JOB_KILL)] = { "JOB_KILL", .handler = op_job_kill, FIELDS(job_kill_fields),
			     .lasts = true, .cancellable = true },
	[CODE(SPAWN_WORKER)] = { "SPAWN_WORKER", .handler = op_spawn_worker,
				 FIELDS(spawn_worker_fields), .in_turn = true, .lasts = true },
	[CODE(PING)] = { "PING", .handler = op_ping, FIELDS(ping_fields) },
	[CODE(AUTH)] = { "AUTH", .handler = op_auth, FIELDS(auth_fields) },
	[CODE(INFO)] = { "INFO", .handler = op_info },
	[CODE(CANCEL)] = { "CANCEL", .handler = op_cancel, FIELDS(cancel_fields) },
	[CODE(STDIN_DATA)] = { "STDIN", .handler = op_stdin, FIELDS(stdin_fields), .lasts = true },
	[CODE(RESIZE)] = { "RESIZE", .handler = op_resize, FIELDS(resize_fields) },
	[CODE(SIGNAL)] = { "SIGNAL", .handler = op_signal, FIELDS(signal_fields) },
	[CODE(JOB_LIST)] = { "JOB_LIST", .handler = op_job_list },
	[CODE(JOB_OUTPUT)] = { "JOB_OUTPUT", .handler = op_job_output, FIELDS(job_output_fields),
			       .lasts = true, .cancellable = true },
	[CODE(WRITE_DATA)] = { "WRITE_DATA", .handler = op_write_data, FIELDS(write_data_fields),
			       .in_turn = true, .continues = CODE(WRITE_FILE) },
	[CODE(STAT)] = { "STAT", .handler = op_stat, FIELDS(stat_fields), .in_turn = true,
			 .in_root = true },
	[CODE(LIST_DIR)] = { "LIST_DIR", .handler = op_list_dir, FIELDS(list_dir_fields),
			     .in_turn = true, .lasts = true, .cancellable = true, .in_root = true },
	[CODE(MKDIR)] = { "MKDIR", .handler = op_mkdir, FIELDS(mkdir_fields), .in_turn = true,
			  .in_root = true },
	[CODE(REMOVE)] = { "REMOVE", .handler = op_remove, FIELDS(remove_fields), .in_turn = true,
			   .lasts = true, .cancellable = true, .in_root = true },
	[CODE(RENAME)] = { "RENAME", .handler = op_rename, FIELDS(rename_fields), .in_turn = true,
			   .in_root = true },
	[CODE(SYMLINK)] = { "SYMLINK", .handler = op_symlink, FIELDS(symlink_fields),
			    .in_turn = true, .in_root = true },
	[CODE(READLINK)] = { "READLINK", .handler = op_readlink, FIELDS(readlink_fields),
			     .in_turn = true, .in_root = true },
	[CODE(CHMOD)] = { "CHMOD", .handler = op_chmod, FIELDS(chmod_fields), .in_turn = true,
			  .in_root = true },
	[CODE(CHOWN)] = { "CHOWN", .handler = op_chown, FIELDS(chown_fields), .in_turn = true,
			  .in_root = true },
	[CODE(MOUNT)] = { "MOUNT", .handler = op_mount, FIELDS(mount_fields), .in_turn = true,
			  .in_root = true },
	[CODE(UMOUNT)] = { "UMOUNT", .handler = op_umount, FIELDS(umount_fields), .in_turn = true,
			   .in_root = true },
	[CODE(TAIL)] = { "TAIL", .handler = op_tail, FIELDS(tail_fields), .in_turn = true,
			 .lasts = true, .cancellable = true, .in_root = true },
	[CODE(READ_MEMORY)] = { "READ_MEMORY", .handler = op_read_memory,
				FIELDS(read_memory_fields), .in_turn = true, .lasts = true,
				.cancellable = true },
	[CODE(WORKER_LIST)] = { "WORKER_LIST", .handler = op_worker_list },
	[CODE(WORKER_KILL)] = { "WORKER_KILL", .handler = op_worker_kill,
				FIELDS(worker_kill_fields), .lasts = true, .cancellable = true },
	[CODE(CLOCK_GET)] = { "CLOCK_GET", .handler = op_clock_get },
	[CODE(CLOCK_SET)] = { "CLOCK_SET", .handler = op_clock_set, FIELDS(clock_set_fields) },
	[CODE(RESEED)] = { "RESEED", .handler = op_reseed, FIELDS(reseed_fields) },
	[CODE(KERNEL_LOG)] = { "KERNEL_LOG", .handler = op_kernel_log, FIELDS(kernel_log_fields),
			       .lasts = true, .cancellable = true },
	[CODE(RELEASE_INIT)] = { "RELEASE_INIT", .handler = op_release_init, .lasts = true },
};

static_assert(ARRAY_SIZE(rules) == CODE(RELEASE_INIT) + 1, "a row for each request");
const struct message_rule *rule_of(uint32_t code)
{
	if (code >= ARRAY_SIZE(rules) || !rules[code].name[0])
		return NULL;
	return &rules[code];
}
