/*
 * Each buffer has a mapping of its own, so that what is beside it is not mapped, and what becomes
 * of it (a test may unmap it, too) is its own matter.
 *
 *	PLACE_END, PLACE_READONLY      [ pages            content][guard]
 *	PLACE_START                    [guard][content            pages ]
 *	PLACE_STRADDLE                 [ page    cont][ent       page   ]
 *	PLACE_UNMAPPED                 nothing at all, as long as no call maps something there
 */
#include "agent/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "proto/limits.h"

#define PLACE(name) PROVIUM__V1__PLACEMENT__PLACE_##name

/* The pattern's 8 bytes with this number (splitmix64). Both are in docs/protocol.md. */
static uint64_t pattern(uint32_t seed, uint64_t number)
{
	uint64_t z = seed + (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void fill(struct program_buffer *buffer, const Provium__V1__Buffer *asked)
{
	uint8_t *at = buffer->address;
	uint64_t word = 0;

	for (uint32_t i = 0; i < buffer->size; i++) {
		if (i % 8 == 0) {
			word = pattern(asked->fill_seed, i / 8);
			if (asked->fill_complement)
				word = ~word;
		}
		at[i] = (uint8_t)(word >> i % 8 * 8);
	}
	if (asked->input.len > 0)
		memcpy(at, asked->input.data, asked->input.len);
}

static size_t round_up(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

static bool map(struct program_buffer *buffer, const Provium__V1__Buffer *asked)
{
	size_t page = getauxval(AT_PAGESZ);
	size_t half, offset, size;

	buffer->size = asked->has_size ? asked->size : (uint32_t)asked->input.len;
	half = buffer->size / 2;
	size = round_up(buffer->size, page);
	if (asked->placement == PLACE(STRADDLE))
		size += page;
	/* An empty one has an address, too. */
	buffer->pages_size = MAX(size, page);
	buffer->map_size = buffer->pages_size + page;
	buffer->map = mmap(NULL, buffer->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer->map == MAP_FAILED) {
		buffer->map = NULL;
		return false;
	}
	switch (asked->placement) {
	case PLACE(START):
		buffer->pages = page;
		offset = page;
		break;
	case PLACE(STRADDLE):
		/* Its middle is on a border. */
		offset = round_up(half, page) - half;
		break;
	default:
		offset = buffer->pages_size - buffer->size;
		break;
	}
	buffer->address = (uint8_t *)buffer->map + offset;
	return true;
}

static uint8_t *pages_of(const struct program_buffer *buffer)
{
	return (uint8_t *)buffer->map + buffer->pages;
}

static bool prepare(struct program_buffer *buffer, const Provium__V1__Buffer *asked)
{
	if (asked->placement == PLACE(UNMAPPED))
		return true;
	if (mprotect(pages_of(buffer), buffer->pages_size, PROT_READ | PROT_WRITE) < 0)
		return false;
	fill(buffer, asked);
	return true;
}

/* Once every address is known. */
static bool complete(struct program *program, unsigned int index)
{
	const Provium__V1__Buffer *asked = program->request->buffers[index];
	struct program_buffer *buffer = &program->buffers[index];

	for (size_t i = 0; i < asked->n_pointer_offsets; i++) {
		uint64_t value =
			(uintptr_t)program->buffers[asked->pointer_targets[i]].address +
			(uint64_t)(asked->n_pointer_addends ? asked->pointer_addends[i] : 0);

		memcpy(buffer->address + asked->pointer_offsets[i], &value, sizeof(value));
	}
	if (asked->report_changes) {
		buffer->before = malloc((size_t)buffer->size + 1);
		if (!buffer->before)
			return false;
		memcpy(buffer->before, buffer->address, buffer->size);
	}
	switch (asked->placement) {
	case PLACE(READONLY):
		return mprotect(pages_of(buffer), buffer->pages_size, PROT_READ) == 0;
	case PLACE(UNMAPPED):
		munmap(buffer->map, buffer->map_size);
		buffer->map = NULL;
		return true;
	default:
		return true;
	}
}

bool program_map(struct program *program, const Provium__V1__Syscall *request)
{
	memset(program, 0, sizeof(*program));
	program->request = request;
	program->failed = "malloc";
	program->results = calloc(request->n_numbers, sizeof(*program->results));
	program->durations = calloc(request->n_numbers, sizeof(*program->durations));
	program->buffers = calloc(request->n_buffers + 1, sizeof(*program->buffers));
	if (!program->results || !program->durations || !program->buffers)
		return false;
	program->failed = "mmap";
	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (!map(&program->buffers[i], request->buffers[i]) ||
		    !prepare(&program->buffers[i], request->buffers[i]))
			return false;
	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (!complete(program, i))
			return false;
	return true;
}

void program_finish(struct program *program)
{
	for (unsigned int i = 0; program->buffers && i < program->request->n_buffers; i++) {
		struct program_buffer *buffer = &program->buffers[i];

		if (buffer->map)
			munmap(buffer->map, buffer->map_size);
		free(buffer->before);
	}
	free(program->buffers);
	free(program->results);
	free(program->durations);
	for (size_t i = 0; i < program->n_interruptions; i++)
		free(program->interruptions[i].diagnosis);
	free(program->interruptions);
	free(program->events);
	free(program->room);
	free(program->data);
	free(program->changes);
}
