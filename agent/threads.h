/*
 * The second and further threads of a process: thread workers, and programs in the background.
 *
 * A process whose first thread has ended goes on for the others, and neither its pidfd nor a pipe
 * tells (exit(2), a seccomp(2) strict mode). The first thread's work is what the process is for, so
 * one more thread waits for its end, and ends the process.
 */
#ifndef AGENT_THREADS_H
#define AGENT_THREADS_H

/* Starts a detached thread. 0, or an errno. The first call is the process's first thread's. */
int thread_start(void *(*run)(void *argument), void *argument);

/* The process is a copy that a thread has made of itself: there are no others in it. */
void threads_forked(void);

/* A part of it: the C library's list of threads is free, whoever had it. NULL: there is another
 * libc. */
void guest_threads_forked(void) __attribute__((weak));

#endif
