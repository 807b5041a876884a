/* Text that goes into messages for people. */
#ifndef AGENT_TEXT_H
#define AGENT_TEXT_H

/*
 * Makes text valid UTF-8 without control characters, in place: every other byte becomes '?'. What
 * the schema calls a string must be UTF-8, and paths need not be.
 */
void text_make_utf8(char *text);

#endif
