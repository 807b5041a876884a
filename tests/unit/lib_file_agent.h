/*
 * A fake agent (lib_fake.h) that serves files, in the order asked: paths are this machine's, so a
 * test's directory stands for the guest's.
 */
#ifndef TESTS_LIB_FILE_AGENT_H
#define TESTS_LIB_FILE_AGENT_H

#include "lib_fake.h"

/* READY with all requests of files. */
void file_agent_ready(struct fake *agent);

/*
 * A script: serves until the host closes. agent->number: so many messages are received, then the
 * connection is closed; 0: all. A file that is written keeps to WRITE_FILE's atomic.
 */
void file_agent_script(struct fake *agent);

/* Answers one message. */
void file_agent_serve(struct fake *agent, const Provium__V1__Message *message);

/* Replies that scripts make by themselves; id 0: to the last message received. */
void file_agent_status(struct fake *agent, uint32_t id, uint32_t mode, uint64_t size);
void file_agent_entries(struct fake *agent, uint32_t id, const char *const *names, size_t count,
			uint32_t type);
void file_agent_link(struct fake *agent, uint32_t id, const void *target, size_t size);

/* FILE_DATA with a hole. */
void file_agent_hole(struct fake *agent, uint32_t id, uint64_t offset, uint64_t size);

#endif
