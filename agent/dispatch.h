/* From a frame's bytes to the handler of its message, by the rules of rules.h. */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/check.h"
#include "proto/codec.h"

struct loop;
struct session;

/* The codes that are served, in order, at most MAX_REQUEST_CODES; returns how many. */
size_t dispatch_served(const struct loop *loop, uint32_t *codes);

/* A frame has come. */
void dispatch_frame(struct session *session, const uint8_t *body, uint32_t length);

/* The turn of a frame has come that had to wait. */
void dispatch_turn(struct session *session, const uint8_t *body, uint32_t length);

#endif
