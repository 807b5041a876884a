/*
 * What provium-agent promises, done by a program that does nothing else: the floors beneath a
 * command and a worker that are to do as much as the agent's.
 */
#ifndef TESTS_BENCH_GUEST_PROMISES_H
#define TESTS_BENCH_GUEST_PROMISES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts the program so many times and waits for all of it, by epoll(7). Each has /dev/null or what
 * stands for it as its input, two pipes that are read to their end, a session, an oom_score_adj, a
 * signal mask and a working directory of its own and no other descriptor, is killed with its
 * parent, and ends by a pidfd.
 */
bool promise_commands(char *program, uint64_t count);

/*
 * The life of a forked child that is a worker: with an oom_score_adj of its own, in a process group
 * that it does not lead, without its parent's descriptors. By epoll(7) it takes one connection,
 * sends 64 bytes unasked, as READY is, and echoes what comes, 64 bytes at a time, to its end.
 */
bool promise_worker(int listener);

#endif
