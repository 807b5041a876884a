/*
 * Mutations that keep the form of what is mutated: of a protobuf message its tags and the lengths
 * of what is nested, of a stream of frames their lengths. A fuzzer that flips bytes spends its time
 * on messages that are refused as a whole.
 */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * As LLVMFuzzerCustomMutator: changes data, which has room for max_size bytes, and returns its new
 * size. Of a message, and of a sequence of frames with a message in each.
 */
size_t mutate_message(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t mutate_frames(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/*
 * Of a message with a SYSCALL, whose parts go on fitting together most of the time. Returns 0 where
 * it is none, or what has become of it has no room; then nothing is changed.
 */
size_t mutate_program(uint8_t *data, size_t size, size_t max_size, unsigned int *seed);

uint32_t mutate_random(unsigned int *seed);

/* A number that is at a border, or near this one. */
uint64_t mutate_number(uint64_t value, unsigned int *seed);

#endif
