/* What exec.c, exec_stdin.c and exec_run.c share. */
#ifndef LIB_EXEC_H
#define LIB_EXEC_H

#include "host/lib/request.h"

/* STDIN requests per command that may be unanswered, and the longest of them. */
#define STDIN_PIECES 16
#define STDIN_PIECE  KIB(64)

struct stdin_piece {
	struct request request;
	size_t size;
};

struct provium_exec {
	/* EXEC, until its EXEC_RESULT. */
	struct request request;
	struct provium_error error;
	/* The program's name or the beginning of the shell's line, for messages. */
	char subject[128];
	provium_output_fn on_output;
	void *user;
	/* Bytes that have come of standard output and error. */
	uint64_t received[2];
	struct provium_exec_result result;

	bool has_stdin;
	bool stdin_closed;
	struct stdin_piece pieces[STDIN_PIECES];
	/* The end of file, which must not wait for a free piece. */
	struct stdin_piece end;
	/* Why a piece has failed. */
	struct provium_error stdin_error;
};

int exec_wait(struct provium_exec *exec, const struct deadline *deadline,
	      struct provium_exec_result *result, struct provium_error *error);

int exec_write(struct provium_exec *exec, const void *data, size_t size,
	       const struct deadline *deadline, struct provium_error *error);

/* Takes the pieces out of the connection's table. */
void exec_forget_stdin(struct provium_exec *exec);

#endif
