#include "host/cli/session/escape.h"

#define CTRL_Z '\x1a'

/* What "~C" asks for. */
static enum escape_action action_of(char c)
{
	switch (c) {
	case '.':
		return ESCAPE_END;
	case CTRL_Z:
		return ESCAPE_SUSPEND;
	case '?':
		return ESCAPE_HELP;
	default:
		return ESCAPE_NONE;
	}
}

size_t escape_filter(struct escape *escape, const char *from, size_t size, char *to, size_t *count,
		     enum escape_action *action)
{
	*action = ESCAPE_NONE;
	for (size_t i = 0; i < size; i++) {
		char c = from[i];

		if (escape->state == ESCAPE_AT_LINE_START && c == '~') {
			escape->state = ESCAPE_BEHIND_TILDE;
			continue;
		}
		if (escape->state == ESCAPE_BEHIND_TILDE) {
			*action = action_of(c);
			if (*action != ESCAPE_NONE) {
				escape->state = ESCAPE_AT_LINE_START;
				return i + 1;
			}
			/* "~~" is one; before anything else it stands for itself. */
			if (c != '~')
				to[(*count)++] = '~';
		}
		to[(*count)++] = c;
		escape->state = c == '\r' || c == '\n' ? ESCAPE_AT_LINE_START : ESCAPE_WITHIN_LINE;
	}
	return size;
}
