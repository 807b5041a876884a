/* Paths of requests. */
#ifndef AGENT_PATH_H
#define AGENT_PATH_H

#include "proto/codec.h"

/*
 * The path as a string that starts at "/" (docs/protocol.md: a relative path does). Owned by the
 * caller; NULL: no memory. The bytes have been checked: not empty, no NUL.
 */
char *path_from_bytes(const ProtobufCBinaryData *bytes);

/* The same of what is no path, and may be empty: nothing is put before it. */
char *string_from_bytes(const ProtobufCBinaryData *bytes);

#endif
