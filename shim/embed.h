/* The guest's programs, stripped, as they were built beside this library; the agent is packed. */
#ifndef SHIM_EMBED_H
#define SHIM_EMBED_H

extern const unsigned char embed_agent[] __attribute__((visibility("hidden")));
extern const unsigned char embed_agent_end[] __attribute__((visibility("hidden")));
extern const unsigned char embed_wrapper[] __attribute__((visibility("hidden")));
extern const unsigned char embed_wrapper_end[] __attribute__((visibility("hidden")));

#endif
