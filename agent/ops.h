/* The handlers of messages; the table in rules.c names them. */
#ifndef AGENT_OPS_H
#define AGENT_OPS_H

#include <stdint.h>

#include "proto/codec.h"

struct session;

#define HANDLER(name) \
	void name(struct session *session, uint32_t id, const Provium__V1__Message *message)

/* op_control.c */
HANDLER(op_ping);
HANDLER(op_info);
HANDLER(op_cancel);
HANDLER(op_shutdown);

/* auth.c */
HANDLER(op_auth);

/* op_init.c */
HANDLER(op_release_init);

/* op_clock.c */
HANDLER(op_clock_get);
HANDLER(op_clock_set);
HANDLER(op_reseed);

/* op_exec.c */
HANDLER(op_exec);

/* op_stdin.c */
HANDLER(op_stdin);
HANDLER(op_resize);
HANDLER(op_signal);

/* op_job.c */
HANDLER(op_exec_async);
HANDLER(op_job_wait);
HANDLER(op_job_kill);
HANDLER(op_job_list);
HANDLER(op_job_output);

/* op_read_file.c */
HANDLER(op_read_file);

/* op_write_file.c */
HANDLER(op_write_file);
HANDLER(op_write_data);

/* op_stat.c, op_list_dir.c, op_remove.c, op_tail.c */
HANDLER(op_stat);
HANDLER(op_list_dir);
HANDLER(op_remove);
HANDLER(op_tail);

/* op_path.c */
HANDLER(op_mkdir);
HANDLER(op_rename);
HANDLER(op_symlink);
HANDLER(op_readlink);
HANDLER(op_chmod);
HANDLER(op_chown);
HANDLER(op_mount);
HANDLER(op_umount);

/* op_syscall.c, op_read_memory.c */
HANDLER(op_syscall);
HANDLER(op_ioctl);
HANDLER(op_read_memory);

/* op_worker.c */
HANDLER(op_spawn_worker);
HANDLER(op_worker_list);
HANDLER(op_worker_kill);

/* op_kernel_log.c */
HANDLER(op_kernel_log);

#undef HANDLER

#endif
