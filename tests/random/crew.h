/*
 * Fork workers that run random programs side by side, each with a thread of ours.
 *
 * A worker has a mount namespace of its own, with RANDOM_DIRECTORY on a file system of its own:
 * what its programs mount and write ends with it. One that a program ends is followed by another.
 * When all programs have run, every worker must have ended, been told of once, and be one that
 * was ended by a program or by us.
 */
#ifndef TESTS_RANDOM_CREW_H
#define TESTS_RANDOM_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "tests/random/tally.h"

/* Milliseconds for anything that a guest that is alive does in no time. */
#define CREW_SOON     60000

#define CREW_MOST     16
#define CREW_EMPLOYED 4096

struct crew {
	struct provium_vm *vm;
	/* To the main agent. */
	struct provium_connection *connection;
	char arch[32];
	uint64_t seed;
	unsigned int size;
	bool verbose;

	/* For what follows and the connection. */
	pthread_mutex_t lock;
	struct tally tally;
	struct {
		uint64_t number;
		/* A program has ended it. */
		bool lost;
		/* It is known how. */
		bool ended;
	} employed[CREW_EMPLOYED];
	unsigned int n_employed;
	_Atomic bool failed;
};

/* Runs the programs with these numbers. False: something was wrong, and has been told. */
bool crew_run(struct crew *crew, uint64_t from, uint64_t to);

/* Tells what is wrong, as an error has it; false. */
bool crew_fail(struct crew *crew, const char *what, const struct provium_error *error);

#endif
