/*
 * AUTH: a connection is of use when it has shown the token that the launcher put into the guest.
 * Before that it is known to nobody but this file: it gets no events, and nothing is done for it.
 */
#ifndef AGENT_AUTH_H
#define AGENT_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

struct session;

/* Bytes of the longest frame that is taken before AUTH: a stranger does not fill our memory. */
#define AUTH_MAX_FRAME 4096u

/* Reads a token, and wants the file to hold nothing else. */
bool auth_read_token(int fd, uint8_t token[PROVIUM_TOKEN_SIZE]);

/* A connection has begun: it is authorised where there is no token, and otherwise has some time. */
void auth_begin(struct session *session);

/* The session goes. */
void auth_end(struct session *session);

#endif
