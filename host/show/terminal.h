/* A line on the terminal that is written over: on standard error, where that is a terminal. */
#ifndef SHOW_TERMINAL_H
#define SHOW_TERMINAL_H

#include <stdbool.h>

/* Whether standard error is a terminal that can erase a line. */
bool terminal_present(void);

/* How much of a line is shown: columns. */
int terminal_columns(void);

/*
 * Shows text, cut to the terminal's width, in place of the line that was shown before. Nothing
 * happens while another process group has the terminal, whose line that would disturb.
 */
void terminal_show(const char *text);

/* Erases the line. */
void terminal_erase(void);

#endif
