/* What the tests of the agent's file operations share. */
#ifndef TESTS_AGENT_FILES_H
#define TESTS_AGENT_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent_harness.h"

/* A file of this test, which is not there at first. */
extern char file_path[256];

/* As agent_start_connected; ends with agent_stop_connected. */
void files_start(void);

/* Files whose bytes tell their place. */
void make_file(const char *name, uint64_t size, mode_t mode);
bool is_pattern(const uint8_t *data, uint64_t offset, size_t size);
/* From offset on the file holds so many bytes of it, and no more. */
bool holds_pattern(const char *name, uint64_t offset, uint64_t size);

mode_t mode_of(const char *name);
/* Names in the test's folder, with ".", ".." and the server's socket. */
unsigned int count_files(void);

/* Requests without options. */
extern const Provium__V1__ReadFile plain_read;
extern const Provium__V1__WriteFile plain_write;

/* Sets an optional field of a body. */
#define SET(body, field, to) ((body).has_##field = true, (body).field = (to))

/* Sends a request with this body. */
uint32_t send_body(struct client *to, int code, const void *body);

/* The same to `client`, and OK or this errno must be the answer. */
void expect_done(int code, const void *body);
void expect_refused(int code, const void *body, int os_errno);

/*
 * As files_start, with mounts of the test's own, and at test_path("mount") a tmpfs of 256 KiB,
 * which files_stop_mounted takes away. False from is_mounted: it is not permitted.
 */
void files_start_mounted(void);
void files_stop_mounted(void);
bool is_mounted(void);
/* The same; false: the test is told as skipped. */
bool can_mount(void);

uint32_t send_read(struct client *to, const char *name, const Provium__V1__ReadFile *options);

/* FILE_DATA that holds the pattern, from this offset on, and then OK. Returns how much it was. */
uint64_t expect_pattern(struct client *from, uint32_t id, uint64_t offset);

/* TAIL of what is appended from now on. */
uint32_t tail_from_end(struct client *to, const char *name);

/* FILE_DATA with this text, from this offset on, in as many pieces as it may come. */
void expect_text(struct client *from, uint32_t id, uint64_t offset, const char *text);

/* To and from `client`. */
uint32_t send_write(const char *name, const Provium__V1__WriteFile *options);
void send_data(uint32_t id, const void *data, size_t size, bool last);
void send_hole(uint32_t id, uint64_t hole, const void *data, size_t size, bool last);
/* Sends the pattern as a host does: no more than the window beyond what has been acknowledged. */
void send_pattern(uint32_t id, uint64_t offset, uint64_t size, size_t piece);
/* WRITE_ACKs, then OK with so many bytes. */
void expect_written(uint32_t id, uint64_t size);

#endif
