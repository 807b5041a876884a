/* What a server keeps of its workers while it runs. */
#ifndef AGENT_OP_WORKER_H
#define AGENT_OP_WORKER_H

#include <stdbool.h>

struct loop;

/* Of the main agent: takes over what it finds of workers; of others nothing. False: no memory. */
bool workers_start(struct loop *loop);
void workers_stop(struct loop *loop);

/* Tells of those that have ended, as soon as there is somebody to be told. */
void workers_tell(struct loop *loop);

#endif
