/* What an agent says of itself. */
#ifndef LIB_AGENT_H
#define LIB_AGENT_H

#include "host/lib/connection.h"

/* The first message of a connection: READY, or the connection is lost. */
void agent_take_ready(struct provium_connection *connection, const Provium__V1__Message *message);

/*
 * Fills *error from an ERROR of the agent: "TEXT (open: ENOENT)". The text names what it is about
 * as a rule; where it does not, subject (or NULL) stands before it.
 */
void agent_error(struct provium_error *error, const Provium__V1__Error *reply, const char *subject);

#endif
