/* Lets connections in. */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

struct listener;
struct loop;

/*
 * Accepts on the listening socket of the loop's config; of a worker's it takes one connection, and
 * ends when it has it or 30 s have passed: loop->listening says so. NULL: no memory.
 */
struct listener *listener_start(struct loop *loop);

/* NULL is nothing. */
void listener_stop(struct listener *listener);

#endif
