#include "host/show/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/util.h"

/* To the line's start, and erase to its end (ECMA-48: EL). */
#define ERASE_LINE       "\r\x1b[K"

/* The longest line that is shown. */
#define LINE_MAX_COLUMNS 200

bool terminal_present(void)
{
	const char *type = getenv("TERM");

	return isatty(STDERR_FILENO) && type && *type && strcmp(type, "dumb") != 0;
}

int terminal_columns(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	/* The last column stays free: some terminals go to the next line with it. */
	return MIN(size.ws_col, LINE_MAX_COLUMNS) - 1;
}

static void put(const char *text)
{
	/* Nothing depends on it: what is shown next is shown over it. */
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

void terminal_show(const char *text)
{
	char line[sizeof(ERASE_LINE) + LINE_MAX_COLUMNS];

	if (tcgetpgrp(STDERR_FILENO) != getpgrp())
		return;
	snprintf(line, sizeof(line), ERASE_LINE "%.*s", terminal_columns(), text);
	put(line);
}

void terminal_erase(void)
{
	if (tcgetpgrp(STDERR_FILENO) == getpgrp())
		put(ERASE_LINE);
}
