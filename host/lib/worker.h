/* What a connection keeps of WORKER_EXITEDs. */
#ifndef LIB_WORKER_H
#define LIB_WORKER_H

#include "common/list.h"
#include "proto/codec.h"

struct provium_connection;

#define WORKER_MAX_ENDS 256

struct worker_ends {
	/* Links struct worker_end, the oldest first: those that have not been fetched. */
	struct list list;
	unsigned int count;
	/* The last one that was fetched; NULL: none. */
	struct worker_end *fetched;
};

void worker_ends_init(struct worker_ends *ends);
void worker_ends_finish(struct worker_ends *ends);

/* Those of another connection to the same agent are this one's from now on. */
void worker_ends_move(struct worker_ends *to, struct worker_ends *from);

/* A WORKER_EXITED has come. */
void worker_take_end(struct provium_connection *connection,
		     const Provium__V1__WorkerExited *exited);

#endif
