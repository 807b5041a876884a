/* What is measured, and its floors: each runs once, in the guest that is up. */
#ifndef TESTS_BENCH_RUNS_H
#define TESTS_BENCH_RUNS_H

#include <stdint.h>

#include "tests/bench/guest.h"

#define RUN_TIMEOUT_MS 600000

/* Commands in flight at a time, and the most of run_execs. */
#define RUN_PARALLEL   200
#define RUN_EXECS_MAX  1000

/* Calls of one program. */
#define RUN_CALLS      1000

/* The guest that is up. */
extern struct guest guest;

/* The size of files, outputs and streams. */
extern uint64_t bulk_bytes;

/* runs_commands.c */
void run_ping(void);
void run_echo(void);
void run_skeleton(void);
void run_exec(void);
void run_spawn(void);
void run_promised_command(void);
void run_exec_parallel(void);
void run_spawn_parallel(void);
void run_promised_commands(void);
void run_worker(void);
void run_fork(void);
void run_promised_worker(void);

/* So many commands in flight at once. */
void run_execs(unsigned int count);

/* A worker and its floor that have answered; they end with the connection, the caller's. */
struct provium_connection *run_worker_start(void);
int run_fork_start(void);

/* runs_bulk.c: the writes make the files that are read. */
void run_write(void);
void run_raw_write(void);
void run_read(void);
void run_raw_read(void);
void run_output(void);
void run_raw_output(void);
void run_stream_out(void);
void run_stream_in(void);
void run_loopback(void);

/* runs_programs.c: one getpid that is repeated, and as many calls. */
void run_programs_make(void);
void run_programs_free(void);
void run_repeated(void);
void run_separate(void);
void run_calls(void);

/* Nanoseconds of the calls that run_separate has just made. */
uint64_t run_separate_ns(void);

#endif
