/*
 * What a person types into a guest's terminal. All of it goes to the guest, Ctrl-C as well, but for
 * what stands behind a '~' at the beginning of a line: the only way out of a guest that hangs.
 */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <stddef.h>

enum escape_action {
	ESCAPE_NONE,
	/* "~.": end the session. */
	ESCAPE_END,
	/* "~^Z": stop this program, as Ctrl-Z stops others. */
	ESCAPE_SUSPEND,
	/* "~?": tell of these. */
	ESCAPE_HELP,
};

/* Zeroed: at the beginning of a line. */
struct escape {
	enum {
		ESCAPE_AT_LINE_START,
		/* Behind a '~' there, which is held back until what follows it is known. */
		ESCAPE_BEHIND_TILDE,
		ESCAPE_WITHIN_LINE,
	} state;
};

/*
 * Appends to *to, which holds *count bytes, what the guest is to have of size bytes that were
 * typed: at most size + 1. Stops behind an escape, which *action then tells. Returns how many of
 * the bytes were used.
 */
size_t escape_filter(struct escape *escape, const char *from, size_t size, char *to, size_t *count,
		     enum escape_action *action);

#endif
