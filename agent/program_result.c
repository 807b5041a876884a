/* What goes back of a program: results, what its buffers hold now, and what there is to say of
 * calls. */
#include <stdlib.h>
#include <string.h>

#include "agent/memory.h"
#include "agent/program.h"
#include "agent/text.h"
#include "agent/watch_page.h"
#include "proto/limits.h"

/* What a result's message is made of, behind this, in one piece that is no larger than it must be.
 */
struct program_room {
	Provium__V1__BufferResult **buffers;
	Provium__V1__CallDetail **details;
	Provium__V1__BufferResult *buffer_results;
	Provium__V1__CallDetail *call_details;
};

static struct program_room *make_room(size_t buffers, size_t details)
{
	struct program_room *room =
		malloc(sizeof(*room) + buffers * (sizeof(void *) + sizeof(*room->buffer_results)) +
		       details * (sizeof(void *) + sizeof(*room->call_details)));

	if (!room)
		return NULL;
	room->buffers = (void *)(room + 1);
	room->details = (void *)(room->buffers + buffers);
	room->buffer_results = (void *)(room->details + details);
	room->call_details = (void *)(room->buffer_results + buffers);
	return room;
}

static char *text_or_null(char *text)
{
	text_make_utf8(text, true);
	return text[0] ? text : NULL;
}

static void tell_interruption(const struct program_interruption *interruption,
			      Provium__V1__CallDetail *detail)
{
	struct watch_diagnosis *diagnosis = interruption->diagnosis;

	detail->has_interrupted = detail->interrupted = true;
	if (!diagnosis)
		return;
	detail->syscall = text_or_null(diagnosis->syscall);
	detail->wchan = text_or_null(diagnosis->wchan);
	detail->stack = text_or_null(diagnosis->stack);
	detail->status = text_or_null(diagnosis->status);
}

/* Both lists are in the order of the calls; of a call that is in both there is one detail. */
static void tell_details(struct program *program, Provium__V1__SyscallResult *result)
{
	size_t count = 0, interruption = 0, events = 0;

	for (uint32_t call = 0; call < program->made; call++) {
		Provium__V1__CallDetail *detail = &program->room->call_details[count];
		bool interrupted = interruption < program->n_interruptions &&
				   program->interruptions[interruption].call == call;
		bool noticed = events < program->n_events && program->events[events].call == call;

		if (!interrupted && !noticed)
			continue;
		*detail = (Provium__V1__CallDetail)PROVIUM__V1__CALL_DETAIL__INIT;
		detail->call = call;
		if (interrupted)
			tell_interruption(&program->interruptions[interruption++], detail);
		if (noticed) {
			detail->kernel_events = program->events[events].numbers;
			detail->n_kernel_events = program->events[events++].count;
		}
		program->room->details[count++] = detail;
	}
	result->details = program->room->details;
	result->n_details = count;
}

/* Appends a range to the program's; false: no memory. */
static bool add_change(struct program *program, uint32_t offset, uint32_t length)
{
	if (program->n_changes % 1024 == 0) {
		uint32_t *grown = realloc(program->changes,
					  (program->n_changes + 1024) * sizeof(*program->changes));

		if (!grown)
			return false;
		program->changes = grown;
	}
	program->changes[program->n_changes++] = offset;
	program->changes[program->n_changes++] = length;
	return true;
}

static bool compare(struct program *program, const struct program_buffer *buffer,
		    const uint8_t *now, Provium__V1__BufferResult *result)
{
	uint32_t from, i = 0;

	while (i < buffer->size) {
		if (now[i] == buffer->before[i]) {
			i++;
			continue;
		}
		if (program->n_changes == (size_t)2 * PROVIUM_MAX_CHANGES) {
			result->has_changes_cut = true;
			result->changes_cut = true;
			return true;
		}
		for (from = i; i < buffer->size && now[i] != buffer->before[i]; i++)
			;
		if (!add_change(program, from, i - from))
			return false;
	}
	return true;
}

/* A buffer that a call has unmapped has no content any more: its result says nothing of it. */
static bool look(struct program *program, unsigned int index, uint8_t *data,
		 Provium__V1__BufferResult *result)
{
	const Provium__V1__Buffer *asked = program->request->buffers[index];
	const struct program_buffer *buffer = &program->buffers[index];
	size_t before = program->n_changes;

	*result = (Provium__V1__BufferResult)PROVIUM__V1__BUFFER_RESULT__INIT;
	result->buffer = index;
	if (!memory_copy(data, (uintptr_t)buffer->address, buffer->size))
		return true;
	if (asked->output) {
		result->has_data = true;
		result->data = (ProtobufCBinaryData){ buffer->size, data };
	}
	if (buffer->before && !compare(program, buffer, data, result))
		return false;
	result->n_changes = program->n_changes - before;
	return true;
}

bool program_result(struct program *program, Provium__V1__SyscallResult *result)
{
	const Provium__V1__Syscall *request = program->request;
	size_t count = 0, size = 0, changes = 0;

	*result = (Provium__V1__SyscallResult)PROVIUM__V1__SYSCALL_RESULT__INIT;
	result->n_results = result->n_durations_ns = program->made;
	result->results = program->results;
	result->durations_ns = program->durations;

	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (request->buffers[i]->output || program->buffers[i].before)
			size += program->buffers[i].size;
	program->room = make_room(request->n_buffers, program->n_interruptions + program->n_events);
	program->data = malloc(size + 1);
	if (!program->room || !program->data)
		return false;
	size = 0;
	for (unsigned int i = 0; i < request->n_buffers; i++) {
		if (!request->buffers[i]->output && !program->buffers[i].before)
			continue;
		if (!look(program, i, program->data + size, &program->room->buffer_results[count]))
			return false;
		size += program->buffers[i].size;
		program->room->buffers[count] = &program->room->buffer_results[count];
		count++;
	}
	/* Only now they stay where they are. */
	for (size_t i = 0; i < count; i++) {
		if (program->room->buffer_results[i].n_changes == 0)
			continue;
		program->room->buffer_results[i].changes = program->changes + changes;
		changes += program->room->buffer_results[i].n_changes;
	}
	result->buffers = program->room->buffers;
	result->n_buffers = count;
	tell_details(program, result);
	return true;
}
