#ifndef AGENT_ERRNO_NAME_H
#define AGENT_ERRNO_NAME_H

/* "ENOENT"; NULL for a number that is no errno. Static. */
const char *errno_name(int number);

#endif
