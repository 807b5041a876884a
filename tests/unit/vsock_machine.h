/*
 * A machine for tests of the provium-vsock program, in place of QEMU: it starts the real program,
 * is its front end, and runs the guest of vsock_guest.h in its memory. One thread does it all, so
 * whatever waits does so in machine_run().
 */
#ifndef TESTS_VSOCK_MACHINE_H
#define TESTS_VSOCK_MACHINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vsock_guest.h"

struct machine {
	char directory[64];
	char vhost_path[80];
	char uds_path[80];
	pid_t pid;
	int status; /* of the program, once pid is 0 */
	int life;   /* the program ends with it */
	int log;    /* what the program said */

	/* The front end; -1 where there is none. */
	int socket;
	int channel;
	int kicks[2];
	int calls[2];
	int error;
	uint16_t bases[2];

	struct driver driver;
	struct guest guest;
};

/* A client on the host. */
struct client {
	int fd;
	uint64_t sent;
	uint64_t received;
	bool ended;  /* end of file */
	bool failed; /* an error instead */
};

/* Says where the program under test is: the tests' only argument. False if it is not there. */
bool machine_set_program(int argc, char **argv);

/* Starts the program with the usual options, and these; NULL-terminated, may be NULL. */
void machine_start(struct machine *machine, const char *const *arguments);

/* Makes everything but the program. */
void machine_prepare(struct machine *machine);

/*
 * Starts the program with no options but these; an fd that it inherits, or -1. Only after
 * machine_prepare().
 */
void machine_spawn(struct machine *machine, const char *const *arguments, int inherited);

/* Ends all that still is and checks that nothing is left behind. */
void machine_finish(struct machine *machine);

/* Connects as the front end, or takes a connected socket. */
void machine_connect(struct machine *machine);
void machine_adopt(struct machine *machine, int fd);

/* Makes a device on the connected socket and starts its driver, as device_add and a boot do. */
void machine_plug(struct machine *machine);

/* Stops the rings; continues with them as they were, or with a new driver. */
void machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);
void machine_restart_driver(struct machine *machine);

/* Stops the rings and takes the device away; the socket stays. */
void machine_unplug(struct machine *machine);

/* The front end vanishes. */
void machine_disconnect(struct machine *machine);

/* Lets the guest work until the condition holds; fails the test after a while. */
void machine_run(struct machine *machine, bool (*condition)(struct machine *machine, void *context),
		 void *context);

/* Lets the guest work for so long. */
void machine_idle(struct machine *machine, unsigned int milliseconds);

/* Waits for the program's end, and returns its exit status. */
int machine_wait(struct machine *machine);

/* True if the program has said that. */
bool machine_said(struct machine *machine, const char *text);

/* --- clients --- */

/* Connects to the guest's port; the answer is waited for. False if it was refused. */
bool client_open(struct client *client, struct machine *machine, uint32_t port);

/* Connects to the program's socket and says nothing yet. */
void client_dial(struct client *client, struct machine *machine);

/* Sends the pattern up to an offset, as far as it goes at once. */
void client_send(struct client *client, uint64_t end);

/* Reads and checks what has come, at most up to an offset. */
void client_receive(struct client *client, uint64_t end);

void client_close(struct client *client);

#endif
