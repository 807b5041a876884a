/* What a connection keeps of KERNEL_EVENTs. */
#ifndef LIB_KERNEL_H
#define LIB_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/list.h"
#include "proto/codec.h"

struct provium_connection;

/* Events that a connection keeps, and numbers of the last reply. */
#define KERNEL_MAX_EVENTS  64
#define KERNEL_MAX_NUMBERS 64

/* Bytes of one event: an agent sends 64 KiB at most, and what is kept here must not fill memory. */
#define KERNEL_MAX_TEXT    ((size_t)256 << 10)

struct kernel_events {
	/* Links struct kernel_event, the oldest first. */
	struct list list;
	unsigned int count;
	/* Of the last that has arrived, and of the last that was fetched. */
	uint64_t last;
	uint64_t fetched;
	uint64_t numbers[KERNEL_MAX_NUMBERS];
	size_t n_numbers;
};

void kernel_init(struct kernel_events *events);
void kernel_finish(struct kernel_events *events);

/* A KERNEL_EVENT has come. Where it breaks the protocol the connection is lost. */
void kernel_take(struct provium_connection *connection, const Provium__V1__KernelEvent *event);

/* A final reply has come. */
void kernel_take_numbers(struct provium_connection *connection,
			 const Provium__V1__Message *message);

/* Those of another connection to the same agent are this one's from now on. */
void kernel_move(struct kernel_events *to, struct kernel_events *from);

#endif
