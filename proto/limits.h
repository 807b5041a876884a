/*
 * The numbers of the protocol that both ends must agree on (docs/protocol.md, "Limits").
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#include <stdint.h>

#define PROVIUM_PROTOCOL_MAJOR   1
#define PROVIUM_PROTOCOL_MINOR   0

/* vsock port of the agent where provium.port= names no other. */
#define PROVIUM_PORT             5123

/* Longest encoded Message in a frame, bytes. */
#define PROVIUM_MAX_FRAME        (16u << 20)

/* Bytes of the token that AUTH brings. */
#define PROVIUM_TOKEN_SIZE       32

/* Bulk data travels in pieces of at most so many bytes, so that requests can take turns. */
#define PROVIUM_CHUNK            (256u << 10)

/* Longest payload of a PING, bytes. */
#define PROVIUM_MAX_PING         (64u << 10)

/* Most bytes of a RESEED. */
#define PROVIUM_MAX_ENTROPY      512u

/* Bytes of WRITE_DATA that a host may have sent and WRITE_ACK not yet told of. */
#define PROVIUM_WRITE_WINDOW     (1u << 20)

/* Bytes of STDIN per command that may be unanswered. */
#define PROVIUM_STDIN_WINDOW     (256u << 10)

/* Of a program: buffers, bytes in all of them, calls, arguments and repetitions of a call. */
#define PROVIUM_MAX_BUFFERS      256u
#define PROVIUM_MAX_BUFFER_BYTES (8u << 20)
#define PROVIUM_MAX_CALLS        4096u
#define PROVIUM_MAX_ARGS         6
#define PROVIUM_MAX_REPEAT       1000000u

/* Milliseconds that a call has where nothing else was asked for. */
#define PROVIUM_DEADLINE_MS      10000u

/* Ranges of changed bytes that a result can tell of. */
#define PROVIUM_MAX_CHANGES      65536u

#endif
