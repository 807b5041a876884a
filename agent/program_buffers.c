/*
 * Each buffer has pages of its own between guards, which cannot be accessed. All lie in one
 * mapping: to map and to unmap is what costs most, several times as much as a short call.
 *
 *	PLACE_END, PLACE_READONLY      [guard][ pages            content][guard]
 *	PLACE_START                    [guard][content            pages ][guard]
 *	PLACE_STRADDLE                 [guard][ page    cont][ent  page ][guard]
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

/* Where its content lies in its pages, whose size is set. */
static size_t lay_out(struct program_buffer *buffer, const Provium__V1__Buffer *asked, size_t page)
{
	size_t half;

	buffer->size = asked->has_size ? asked->size : (uint32_t)asked->input.len;
	/* An empty one has an address, too. */
	buffer->pages_size = MAX(round_up(buffer->size, page), page);
	switch (asked->placement) {
	case PLACE(START):
		return 0;
	case PLACE(STRADDLE):
		/* Its middle is on a border. */
		half = buffer->size / 2;
		buffer->pages_size = round_up(buffer->size, page) + page;
		return round_up(half, page) - half;
	default:
		return buffer->pages_size - buffer->size;
	}
}

/* Every buffer has its address, and none can be accessed. */
static bool map(struct program *program)
{
	const Provium__V1__Syscall *request = program->request;
	size_t page = getauxval(AT_PAGESZ), size = page;
	void *start;

	if (request->n_buffers == 0)
		return true;
	for (unsigned int i = 0; i < request->n_buffers; i++) {
		lay_out(&program->buffers[i], request->buffers[i], page);
		size += program->buffers[i].pages_size + page;
	}
	start = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return false;
	program->map = start;
	program->map_size = size;
	size = page;
	for (unsigned int i = 0; i < request->n_buffers; i++) {
		struct program_buffer *buffer = &program->buffers[i];

		buffer->pages = program->map + size;
		buffer->address = buffer->pages + lay_out(buffer, request->buffers[i], page);
		size += buffer->pages_size + page;
	}
	return true;
}

static bool prepare(struct program_buffer *buffer, const Provium__V1__Buffer *asked)
{
	if (asked->placement == PLACE(UNMAPPED))
		return true;
	if (mprotect(buffer->pages, buffer->pages_size, PROT_READ | PROT_WRITE) < 0)
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
		return mprotect(buffer->pages, buffer->pages_size, PROT_READ) == 0;
	case PLACE(UNMAPPED):
		buffer->unmapped = munmap(buffer->pages, buffer->pages_size) == 0;
		return buffer->unmapped;
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
	if (!map(program))
		return false;
	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (!prepare(&program->buffers[i], request->buffers[i]))
			return false;
	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (!complete(program, i))
			return false;
	return true;
}

/* What the calls have mapped where PLACE_UNMAPPED left room stays. */
static void unmap(const struct program *program)
{
	uint8_t *from = program->map;

	for (unsigned int i = 0; i < program->request->n_buffers; i++) {
		const struct program_buffer *buffer = &program->buffers[i];

		if (!buffer->unmapped)
			continue;
		munmap(from, (size_t)(buffer->pages - from));
		from = buffer->pages + buffer->pages_size;
	}
	munmap(from, (size_t)(program->map + program->map_size - from));
}

void program_finish(struct program *program)
{
	if (program->map)
		unmap(program);
	for (unsigned int i = 0; program->buffers && i < program->request->n_buffers; i++)
		free(program->buffers[i].before);
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
