/*
 * A program's columns only have a meaning together (proto/provium.proto, Syscall): a byte that is
 * changed in one of them makes nonsense of the others, and the request is refused as a whole. So it
 * is taken apart into calls and buffers, these are changed, what then refers to nothing is mended
 * most of the time, and it is put together again.
 */
#include "tests/fuzz/mutate.h"

#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/util.h"
#include "proto/codec.h"
#include "proto/limits.h"

/* What is beyond is left out: small programs show as much. */
#define MAX_CALLS    16
#define MAX_BUFFERS  8
#define MAX_POINTERS 4

/* Two pages and more. Larger ones take longer and show nothing new. */
#define MAX_SIZE     10000u

#define POINTER_SIZE 8

#define KIND(name)   PROVIUM__V1__REFERENCE_KIND__REFERENCE_##name

struct argument {
	uint64_t value;
	bool refers;
	Provium__V1__ReferenceKind kind;
	uint32_t index;
	uint32_t offset;
	uint32_t width;
};

struct call {
	uint32_t number;
	uint32_t count;
	struct argument args[PROVIUM_MAX_ARGS];
	bool has_option;
	Provium__V1__CallOption option;
};

struct buffer {
	/* Its input is the message's. */
	Provium__V1__Buffer fields;
	uint32_t offsets[MAX_POINTERS];
	uint32_t targets[MAX_POINTERS];
	int64_t addends[MAX_POINTERS];
};

struct program {
	size_t n_calls;
	struct call calls[MAX_CALLS];
	size_t n_buffers;
	struct buffer buffers[MAX_BUFFERS];
};

struct columns {
	uint32_t numbers[MAX_CALLS];
	uint32_t counts[MAX_CALLS];
	uint64_t args[MAX_CALLS * PROVIUM_MAX_ARGS];
	uint32_t replaced[MAX_CALLS * PROVIUM_MAX_ARGS];
	Provium__V1__ReferenceKind kinds[MAX_CALLS * PROVIUM_MAX_ARGS];
	uint32_t indexes[MAX_CALLS * PROVIUM_MAX_ARGS];
	uint32_t offsets[MAX_CALLS * PROVIUM_MAX_ARGS];
	uint32_t widths[MAX_CALLS * PROVIUM_MAX_ARGS];
	Provium__V1__CallOption *options[MAX_CALLS];
	Provium__V1__Buffer *buffers[MAX_BUFFERS];
};

static bool chance(unsigned int *seed, uint32_t of)
{
	return mutate_random(seed) % of == 0;
}

static void read_reference(const Provium__V1__Syscall *request, size_t i, struct argument *to)
{
	if (i >= request->n_reference_kinds || i >= request->n_reference_indexes)
		return;
	to->refers = true;
	to->kind = request->reference_kinds[i];
	to->index = request->reference_indexes[i];
	if (i < request->n_reference_offsets)
		to->offset = request->reference_offsets[i];
	if (i < request->n_reference_widths)
		to->width = request->reference_widths[i];
}

/* As far as the columns go: where they fit together, all of it. */
static void read_calls(const Provium__V1__Syscall *request, struct program *program)
{
	size_t arg = 0, reference = 0;

	program->n_calls = MIN(request->n_numbers, (size_t)MAX_CALLS);
	for (size_t i = 0; i < program->n_calls; i++) {
		struct call *call = &program->calls[i];

		call->number = request->numbers[i];
		if (i < request->n_arg_counts)
			call->count = MIN(request->arg_counts[i], (uint32_t)PROVIUM_MAX_ARGS);
		if (call->count > request->n_args - arg)
			call->count = 0;
		for (size_t k = 0; k < call->count; k++, arg++) {
			call->args[k].value = request->args[arg];
			call->args[k].width = POINTER_SIZE;
			if (reference < request->n_reference_args &&
			    request->reference_args[reference] == arg)
				read_reference(request, reference++, &call->args[k]);
		}
	}
	for (size_t i = 0; i < request->n_options; i++) {
		struct call *call = &program->calls[request->options[i]->call % MAX_CALLS];

		call->has_option = true;
		call->option = *request->options[i];
	}
}

static void read_buffers(const Provium__V1__Syscall *request, struct program *program)
{
	program->n_buffers = MIN(request->n_buffers, (size_t)MAX_BUFFERS);
	for (size_t i = 0; i < program->n_buffers; i++) {
		struct buffer *buffer = &program->buffers[i];
		Provium__V1__Buffer *fields = &buffer->fields;

		*fields = *request->buffers[i];
		fields->n_pointer_offsets = MIN(fields->n_pointer_offsets, (size_t)MAX_POINTERS);
		if (fields->n_pointer_targets < fields->n_pointer_offsets)
			fields->n_pointer_offsets = 0;
		for (size_t k = 0; k < fields->n_pointer_offsets; k++) {
			buffer->offsets[k] = fields->pointer_offsets[k];
			buffer->targets[k] = fields->pointer_targets[k];
			if (k < fields->n_pointer_addends)
				buffer->addends[k] = fields->pointer_addends[k];
		}
	}
}

/* Small, since each byte takes time, now and then around a page's, or any. */
static uint32_t random_size(unsigned int *seed)
{
	switch (mutate_random(seed) % 32) {
	case 0:
		return 4088 + mutate_random(seed) % 16;
	case 1:
		return (uint32_t)mutate_number(8192, seed);
	default:
		return mutate_random(seed) % 64;
	}
}

static void refer(struct program *program, struct argument *argument, unsigned int *seed)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };

	argument->refers = true;
	argument->kind = (Provium__V1__ReferenceKind)(chance(seed, 2) ? KIND(BUFFER)
								      : mutate_random(seed) % 4);
	argument->index =
		mutate_random(seed) % (uint32_t)(MAX(program->n_calls, program->n_buffers) + 1);
	argument->offset = chance(seed, 2) ? 0 : random_size(seed);
	argument->width = widths[mutate_random(seed) % ARRAY_SIZE(widths)];
}

static void change_option(struct call *call, unsigned int *seed)
{
	Provium__V1__CallOption *option = &call->option;

	if (!call->has_option)
		provium__v1__call_option__init(option);
	call->has_option = !chance(seed, 4);
	switch (mutate_random(seed) % 3) {
	case 0:
		option->has_repeat = !option->has_repeat;
		/* Many take so long that other requests, or the end, come between. */
		option->repeat = chance(seed, 32) ? 20000 : 1 + mutate_random(seed) % 4;
		break;
	case 1:
		option->has_stop_on_error = !option->has_stop_on_error;
		option->stop_on_error = chance(seed, 2);
		break;
	default:
		option->has_deadline_ms = !option->has_deadline_ms;
		option->deadline_ms = mutate_random(seed) % 3;
		break;
	}
}

/* Those of which a program's run makes something of its own; of the others what the target does. */
static uint32_t random_call_number(unsigned int *seed)
{
	static const uint32_t numbers[] = { SYS_clone, SYS_clone3, SYS_exit, SYS_seccomp, SYS_prctl,
#ifdef SYS_fork
					    SYS_fork,  SYS_vfork
#endif
	};

	return chance(seed, 4) ? numbers[mutate_random(seed) % ARRAY_SIZE(numbers)]
			       : mutate_random(seed) % 16;
}

static void change_call(struct program *program, struct call *call, unsigned int *seed)
{
	uint32_t which = mutate_random(seed) % PROVIUM_MAX_ARGS;
	struct argument *argument;

	/* One behind the last is a new one. */
	if (which >= call->count)
		which = call->count++;
	argument = &call->args[which];
	switch (mutate_random(seed) % 8) {
	case 0:
		call->number = random_call_number(seed);
		break;
	case 1:
		call->count = mutate_random(seed) % (PROVIUM_MAX_ARGS + 1);
		break;
	case 2:
		change_option(call, seed);
		break;
	case 3:
	case 4:
		argument->refers = false;
		argument->value = mutate_number(argument->value, seed);
		break;
	default:
		refer(program, argument, seed);
		break;
	}
}

static void add_pointer(struct program *program, struct buffer *buffer, unsigned int *seed)
{
	Provium__V1__Buffer *fields = &buffer->fields;
	size_t at = fields->n_pointer_offsets;

	if (at == MAX_POINTERS)
		at = mutate_random(seed) % MAX_POINTERS;
	else
		fields->n_pointer_offsets++;
	buffer->offsets[at] = chance(seed, 2) ? 0 : random_size(seed);
	buffer->targets[at] = mutate_random(seed) % (uint32_t)(program->n_buffers + 1);
	buffer->addends[at] = chance(seed, 2) ? 0 : (int64_t)mutate_number(0, seed);
}

static void change_buffer(struct program *program, struct buffer *buffer, unsigned int *seed)
{
	Provium__V1__Buffer *fields = &buffer->fields;

	switch (mutate_random(seed) % 8) {
	case 0:
		fields->has_size = !chance(seed, 8);
		fields->size = random_size(seed);
		break;
	case 1:
		fields->has_output = true;
		fields->output = !fields->output;
		break;
	case 2:
		fields->has_report_changes = true;
		fields->report_changes = !fields->report_changes;
		break;
	case 3:
		fields->has_placement = true;
		fields->placement = (Provium__V1__Placement)(mutate_random(seed) % 5);
		break;
	case 4:
		fields->has_input = !fields->has_input && fields->input.data;
		if (!fields->has_input)
			fields->input.len = 0;
		break;
	case 5:
		fields->has_fill_seed = fields->has_fill_complement = true;
		fields->fill_seed = mutate_random(seed) % 4;
		fields->fill_complement = chance(seed, 2);
		break;
	default:
		add_pointer(program, buffer, seed);
		break;
	}
}

/* Where another is put, those behind it move; with none it is a new one. */
static void add_call(struct program *program, unsigned int *seed)
{
	size_t at = mutate_random(seed) % (program->n_calls + 1);
	struct call call = { .number = random_call_number(seed) };

	if (program->n_calls == MAX_CALLS)
		return;
	if (program->n_calls > 0 && chance(seed, 2))
		call = program->calls[mutate_random(seed) % program->n_calls];
	memmove(&program->calls[at + 1], &program->calls[at],
		(program->n_calls - at) * sizeof(call));
	program->calls[at] = call;
	program->n_calls++;
}

static void drop_call(struct program *program, unsigned int *seed)
{
	size_t at = mutate_random(seed) % program->n_calls--;

	memmove(&program->calls[at], &program->calls[at + 1],
		(program->n_calls - at) * sizeof(program->calls[0]));
}

static void add_buffer(struct program *program, unsigned int *seed)
{
	struct buffer *buffer = &program->buffers[program->n_buffers];

	if (program->n_buffers == MAX_BUFFERS)
		return;
	if (program->n_buffers > 0 && chance(seed, 2)) {
		*buffer = program->buffers[mutate_random(seed) % program->n_buffers];
	} else {
		memset(buffer, 0, sizeof(*buffer));
		provium__v1__buffer__init(&buffer->fields);
		buffer->fields.has_size = true;
		buffer->fields.size = random_size(seed);
		buffer->fields.has_output = buffer->fields.output = chance(seed, 2);
		buffer->fields.has_report_changes = buffer->fields.report_changes = chance(seed, 2);
	}
	program->n_buffers++;
}

static void drop_buffer(struct program *program, unsigned int *seed)
{
	size_t at = mutate_random(seed) % program->n_buffers--;

	memmove(&program->buffers[at], &program->buffers[at + 1],
		(program->n_buffers - at) * sizeof(program->buffers[0]));
}

/* What has the target wait, for a thread or a moment before each call, is rare. */
static void change_request(Provium__V1__Syscall *request, unsigned int *seed)
{
	switch (mutate_random(seed) % 4) {
	case 0:
		request->has_stop_on_error = true;
		request->stop_on_error = !request->stop_on_error;
		break;
	case 1:
		request->has_background = true;
		request->background = !request->background && chance(seed, 8);
		break;
	case 2:
		request->has_trace = true;
		request->trace = !request->trace && chance(seed, 8);
		break;
	default:
		request->has_deadline_ms = true;
		request->deadline_ms = mutate_random(seed) % 3;
		break;
	}
}

static void change_program(Provium__V1__Syscall *request, struct program *program,
			   unsigned int *seed)
{
	uint32_t what = mutate_random(seed) % 16;

	if (what == 0)
		change_request(request, seed);
	else if (what <= 2)
		add_buffer(program, seed);
	else if (what == 3 && program->n_buffers > 0)
		drop_buffer(program, seed);
	else if (what == 4 && program->n_calls > 1)
		drop_call(program, seed);
	else if (what <= 8 && program->n_buffers > 0)
		change_buffer(program, &program->buffers[mutate_random(seed) % program->n_buffers],
			      seed);
	else if (what <= 10 || program->n_calls == 0)
		add_call(program, seed);
	else
		change_call(program, &program->calls[mutate_random(seed) % program->n_calls], seed);
}

static uint32_t size_of(const Provium__V1__Buffer *buffer)
{
	return buffer->has_size ? buffer->size : (uint32_t)buffer->input.len;
}

static void mend_buffer(struct program *program, struct buffer *buffer)
{
	Provium__V1__Buffer *fields = &buffer->fields;

	if (fields->has_size)
		fields->size = MAX(MIN(fields->size, MAX_SIZE), (uint32_t)fields->input.len);
	if (fields->placement == PROVIUM__V1__PLACEMENT__PLACE_UNMAPPED) {
		fields->has_input = fields->output = fields->report_changes = false;
		fields->input.len = 0;
	}
	if (size_of(fields) < POINTER_SIZE ||
	    fields->placement == PROVIUM__V1__PLACEMENT__PLACE_UNMAPPED)
		fields->n_pointer_offsets = 0;
	for (size_t i = 0; i < fields->n_pointer_offsets; i++) {
		buffer->offsets[i] %= size_of(fields) - POINTER_SIZE + 1;
		buffer->targets[i] %= program->n_buffers;
	}
}

/* Of an integer, a buffer that has it. */
static void mend_load(const struct program *program, struct argument *argument)
{
	const Provium__V1__Buffer *buffer = &program->buffers[argument->index].fields;

	if (buffer->placement == PROVIUM__V1__PLACEMENT__PLACE_UNMAPPED ||
	    size_of(buffer) < argument->width)
		argument->kind = KIND(BUFFER);
	else
		argument->offset %= size_of(buffer) - argument->width + 1;
}

static void mend_argument(const struct program *program, size_t call, struct argument *argument)
{
	size_t there = argument->kind == KIND(RESULT) ? call : program->n_buffers;

	if (!argument->refers)
		return;
	argument->refers = there > 0;
	if (!argument->refers)
		return;
	argument->index %= (uint32_t)there;
	if (argument->kind == KIND(LOAD) || argument->kind == KIND(LOAD_SIGNED))
		mend_load(program, argument);
}

static void mend(struct program *program)
{
	for (size_t i = 0; i < program->n_buffers; i++)
		mend_buffer(program, &program->buffers[i]);
	for (size_t i = 0; i < program->n_calls; i++)
		for (size_t k = 0; k < program->calls[i].count; k++)
			mend_argument(program, i, &program->calls[i].args[k]);
}

static void write_calls(struct program *program, struct columns *columns,
			Provium__V1__Syscall *request)
{
	size_t arg = 0, reference = 0, option = 0;

	for (size_t i = 0; i < program->n_calls; i++) {
		struct call *call = &program->calls[i];

		columns->numbers[i] = call->number;
		columns->counts[i] = call->count;
		for (size_t k = 0; k < call->count; k++, arg++) {
			const struct argument *from = &call->args[k];

			columns->args[arg] = from->refers ? 0 : from->value;
			if (!from->refers)
				continue;
			columns->replaced[reference] = (uint32_t)arg;
			columns->kinds[reference] = from->kind;
			columns->indexes[reference] = from->index;
			columns->offsets[reference] = from->offset;
			columns->widths[reference++] = from->width;
		}
		if (call->has_option) {
			call->option.has_call = true;
			call->option.call = (uint32_t)i;
			columns->options[option++] = &call->option;
		}
	}
	request->numbers = columns->numbers;
	request->arg_counts = columns->counts;
	request->n_numbers = request->n_arg_counts = program->n_calls;
	request->args = columns->args;
	request->n_args = arg;
	request->reference_args = columns->replaced;
	request->reference_kinds = columns->kinds;
	request->reference_indexes = columns->indexes;
	request->reference_offsets = columns->offsets;
	request->reference_widths = columns->widths;
	request->n_reference_args = request->n_reference_kinds = request->n_reference_indexes =
		request->n_reference_offsets = request->n_reference_widths = reference;
	request->options = columns->options;
	request->n_options = option;
}

static void write_buffers(struct program *program, struct columns *columns,
			  Provium__V1__Syscall *request)
{
	for (size_t i = 0; i < program->n_buffers; i++) {
		struct buffer *buffer = &program->buffers[i];
		Provium__V1__Buffer *fields = &buffer->fields;

		fields->pointer_offsets = buffer->offsets;
		fields->pointer_targets = buffer->targets;
		fields->pointer_addends = buffer->addends;
		fields->n_pointer_targets = fields->n_pointer_addends = fields->n_pointer_offsets;
		columns->buffers[i] = fields;
	}
	request->buffers = columns->buffers;
	request->n_buffers = program->n_buffers;
}

size_t mutate_program(uint8_t *data, size_t size, size_t max_size, unsigned int *seed)
{
	Provium__V1__Message *message = provium__v1__message__unpack(NULL, size, data);
	struct program program = { 0 };
	Provium__V1__Message changed;
	Provium__V1__Syscall request;
	struct columns columns;
	size_t grown = 0;

	if (message && message->body_case == PROVIUM__V1__MESSAGE__BODY_SYSCALL) {
		changed = *message;
		request = *message->syscall;
		changed.syscall = &request;
		read_calls(&request, &program);
		read_buffers(&request, &program);
		do
			change_program(&request, &program, seed);
		while (chance(seed, 2));
		if (!chance(seed, 16))
			mend(&program);
		write_calls(&program, &columns, &request);
		write_buffers(&program, &columns, &request);
		if (provium__v1__message__get_packed_size(&changed) <= max_size)
			grown = provium__v1__message__pack(&changed, data);
	}
	provium__v1__message__free_unpacked(message, NULL);
	return grown;
}
