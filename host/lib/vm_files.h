/* What a VM has on disk: a private directory for its console and its socket. */
#ifndef LIB_VM_FILES_H
#define LIB_VM_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

#include "host/include/provium.h"
#include "host/lib/token.h"

struct vm_files {
	/* Mode 0700, under TMPDIR; "" before it is made. */
	char directory[PATH_MAX];
	char console[PATH_MAX];
	/* At the caller's place: may be there before. */
	bool own_console;
	/* Where provium-vsock listens. */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	/* The caller's place; removed at the end too. */
	bool own_socket;
	/* Beside it, for other processes of this user; "" where there is none. */
	char token[TOKEN_PATH_SIZE];
};

/* Makes the directory. console, socket: the caller's places, or NULL. */
int vm_files_make(struct vm_files *files, const char *console, const char *socket,
		  struct provium_error *error);

/* Where the socket is at the caller's place: writes the token beside it. */
int vm_files_leave_token(struct vm_files *files, const uint8_t token[PROVIUM_TOKEN_SIZE],
			 struct provium_error *error);

/* Opens the console's file for writing, emptied, non-blocking. -1: *error. */
int vm_files_open_console(const struct vm_files *files, struct provium_error *error);

/* Removes all of it; the caller's console stays. Harmless before vm_files_make. */
void vm_files_remove(struct vm_files *files);

#endif
