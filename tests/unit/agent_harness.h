/*
 * The real server in a thread of the test, and the host's side of its connections.
 *
 * Every wait has a limit, after which the test fails. Messages are built on the stack with the INIT
 * macros of the schema; what agent_receive returns lives until the next call for that client.
 */
#ifndef TESTS_AGENT_HARNESS_H
#define TESTS_AGENT_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/server.h"
#include "proto/codec.h"
#include "proto/frame.h"

#define BODY(name)  PROVIUM__V1__MESSAGE__BODY_##name
#define CODE(name)  PROVIUM__V1__ERROR_CODE__ERROR_##name

/* Bytes of a string constant, and of a string. */
#define BYTES(text) ((ProtobufCBinaryData){ sizeof(text) - 1, (uint8_t *)(uintptr_t)(text) })
ProtobufCBinaryData bytes_of(const char *text);

struct client {
	int fd;
	struct frame_reader reader;
	struct decoder decoder;
	uint32_t last_id;
};

/* What the next server gets; reset to the usual by agent_stop. */
extern struct server_config agent_config;

/* A server on a Unix socket of its own; its end is waited for, and must be a clean one. */
void agent_start(void);
void agent_stop(void);

/* This process, and the agent in it, is nobody in particular until agent_stop. Needs root. */
void agent_drop_user(void);

/* As agent_start and agent_stop, with one connected client. */
extern struct client client;
void agent_start_connected(void);
void agent_stop_connected(void);

/* Connects and takes READY. */
void client_connect(struct client *client);
/* Connects and takes nothing. */
void client_connect_silent(struct client *client);
/* Takes a connected socket over. */
void client_adopt(struct client *client, int fd);
void client_close(struct client *client);

/* Waits for a message. NULL: the agent has closed the connection in an orderly way. */
const Provium__V1__Message *client_receive(struct client *client);
/* The same; it must have this body. */
const Provium__V1__Message *client_expect(struct client *client, int body);
/* The agent must close the connection, with nothing before. */
void client_expect_end(struct client *client);
/* Whether anything comes within so many milliseconds. */
bool client_is_readable(struct client *client, int timeout_ms);

/* Sends the message; where its id is 0 it gets the next one. Returns the id. */
uint32_t client_send(struct client *client, Provium__V1__Message *message);
void client_send_bytes(struct client *client, const void *data, size_t size);

/* An ERROR for this id, whose text holds this. */
void client_expect_error(struct client *client, uint32_t id, int code, const char *text);
/* An ERROR/OS with this errno. */
void client_expect_os_error(struct client *client, uint32_t id, int os_errno, const char *text);
void client_expect_ok(struct client *client, uint32_t id);

/* Sends a PING and waits for its PONG: the agent serves. */
void client_ping(struct client *client);
/* The counters of INFO. */
Provium__V1__InfoResult client_info(struct client *client);

/* Sends one of these and returns its id. */
uint32_t client_exec(struct client *client, const Provium__V1__Exec *exec);
uint32_t client_shell(struct client *client, const char *command);
uint32_t client_cancel(struct client *client, uint32_t request);
uint32_t client_stdin(struct client *client, uint32_t request, const void *data, size_t size,
		      bool eof);

/* What a command has written and how it ended. */
struct outcome {
	uint8_t *output[2];
	size_t size[2];
	size_t capacity[2];
	/* Without pointers. */
	Provium__V1__ExecResult result;
};

/*
 * Collects OUTPUT up to the EXEC_RESULT of this id; each chunk must begin where the last one ended.
 * Nothing else may come.
 */
void client_collect(struct client *client, uint32_t id, struct outcome *outcome);
/* Puts an OUTPUT there. */
void outcome_add(struct outcome *outcome, const Provium__V1__Output *output);
void outcome_free(struct outcome *outcome);

/* Runs a shell command to its end. */
void client_run(struct client *client, const char *command, struct outcome *outcome);

/* The outcome's output is this text. */
void outcome_expect(const struct outcome *outcome, const char *standard_output,
		    const char *standard_error);
void outcome_expect_exit(const struct outcome *outcome, unsigned int code);

/*
 * The output is lines that count from first to last, so that what is lost or doubled shows. Returns
 * where they end.
 */
const char *expect_lines(const uint8_t *output, unsigned long first, unsigned long last);

/* The next message, an OUTPUT, as a string (static). */
const char *expect_output(struct client *from);

/* Waits until the condition holds; the test fails where that takes more than 10 s. */
#define eventually(condition)                                                    \
	do {                                                                     \
		unsigned int tries_ = 0;                                         \
		while (!(condition)) {                                           \
			ck_assert_msg(tries_++ < 2000, "never: %s", #condition); \
			usleep(5000);                                            \
		}                                                                \
	} while (0)

/* A directory for this test, removed by agent_stop; and the path of something in it (static). */
const char *test_path(const char *name);

/* Resident bytes of this process. */
size_t resident_bytes(void);

/* Whether the tests run under the address sanitizer, whose quarantine keeps what was freed. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef WITH_ADDRESS_SANITIZER
#define WITH_ADDRESS_SANITIZER 0
#endif

#endif
