/* Why a connection has ended, as the agent tells it on another one. */
#ifndef LIB_LOST_H
#define LIB_LOST_H

#include "host/lib/connection.h"

/*
 * The connection has ended without a word, and requests were in flight. Where its address is known
 * the agent is dialled again: a server that a system call has ended is started anew, and its READY
 * says why (docs/protocol.md, restart_reason). connection->loss then says it, too. Where nobody
 * listens any more, a VM is given the time to end by itself.
 *
 * Blocks, until the deadline and for at most 3 s, and with a monitor for its end_ms beside that.
 */
void lost_ask(struct provium_connection *connection, const struct deadline *deadline);

/*
 * Whether that reason names a call of the request with this id; *call is its number in the program.
 */
bool lost_in_call(const struct provium_connection *connection, uint32_t id, unsigned int *call);

#endif
