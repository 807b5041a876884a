/* What has become of the programs of a campaign. */
#ifndef TESTS_RANDOM_TALLY_H
#define TESTS_RANDOM_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/include/provium.h"

#define TALLY_NUMBERS     512
#define TALLY_REASONS     64
#define TALLY_REASON_SIZE 96

struct tally {
	uint64_t programs;
	uint64_t calls;
	uint64_t successes;
	uint64_t interrupted;
	/* Programs that their worker had no memory to run. */
	uint64_t without_means;
	/* Workers that were made; those that programs have ended, and how. */
	uint64_t workers;
	uint64_t lost;
	struct {
		char text[TALLY_REASON_SIZE];
		uint64_t count;
	} reasons[TALLY_REASONS];
	size_t n_reasons;
	uint64_t splats;

	/* By the number of a system call. */
	unsigned int made[TALLY_NUMBERS];
	unsigned int succeeded[TALLY_NUMBERS];
	uint64_t spent_ns[TALLY_NUMBERS];
	/* monotonic_ns() */
	uint64_t start_ns;
};

/* A program that has run. */
void tally_program(struct tally *tally, const struct provium_program *program);

/* A worker that a program has ended. */
void tally_loss(struct tally *tally, const struct provium_worker_end *end);

/* A line, a paragraph, and where the time went. */
void tally_tell_progress(const struct tally *tally, FILE *file);
void tally_tell_figures(const struct tally *tally, FILE *file);
void tally_tell_times(const struct tally *tally, const char *arch, FILE *file);

#endif
