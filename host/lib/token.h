/* Tokens: how a connection shows that it may (AUTH of docs/protocol.md). */
#ifndef LIB_TOKEN_H
#define LIB_TOKEN_H

#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/address.h"

/* Where a VM of this library leaves its token beside its socket: "PATH.token". */
#define TOKEN_SUFFIX    ".token"
#define TOKEN_PATH_SIZE (sizeof(((struct address *)0)->path) + sizeof(TOKEN_SUFFIX))

/* Fills in a new one. */
int token_make(uint8_t token[PROVIUM_TOKEN_SIZE], struct provium_error *error);

/* Writes it to a new file that this user alone may read. */
int token_write(const char *path, const uint8_t token[PROVIUM_TOKEN_SIZE],
		struct provium_error *error);

/* What lies beside the socket of an address: 1, or 0 where nothing does. */
int token_find(const struct address *address, uint8_t token[PROVIUM_TOKEN_SIZE],
	       struct provium_error *error);

#endif
