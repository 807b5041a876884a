#include "agent/program.h"

#include "proto/limits.h"

#define BUFFER       Provium__V1__Buffer
#define PROGRAM      Provium__V1__Syscall

#define POINTER_SIZE 8

static bool check_size(const BUFFER *buffer, unsigned int index, uint64_t *total,
		       struct check_failure *failure)
{
	uint64_t size = buffer->has_size ? buffer->size : buffer->input.len;

	if (buffer->input.len > size)
		return check_fail(failure, ERROR_INVALID,
				  "buffers: %u: size: %u is less than its input", index,
				  (unsigned int)size);
	*total += size;
	if (*total > PROVIUM_MAX_BUFFER_BYTES)
		return check_fail(failure, ERROR_LIMIT, "buffers: more than %u bytes in all",
				  PROVIUM_MAX_BUFFER_BYTES);
	return true;
}

static uint32_t size_of(const BUFFER *buffer)
{
	return buffer->has_size ? buffer->size : (uint32_t)buffer->input.len;
}

static bool is_unmapped(const BUFFER *buffer)
{
	return buffer->placement == PROVIUM__V1__PLACEMENT__PLACE_UNMAPPED;
}

/* width bytes at offset lie in the buffer. */
static bool is_within(const BUFFER *buffer, uint32_t offset, unsigned int width)
{
	uint32_t size = size_of(buffer);

	return !is_unmapped(buffer) && offset <= size && size - offset >= width;
}

/* A column is as long as another, or not there at all. */
static bool is_column(size_t count, size_t expected)
{
	return count == 0 || count == expected;
}

static bool check_buffer(const PROGRAM *request, unsigned int index, struct check_failure *failure)
{
	const BUFFER *buffer = request->buffers[index];

	if (is_unmapped(buffer) && (buffer->has_input || buffer->output || buffer->report_changes))
		return check_fail(failure, ERROR_INVALID,
				  "buffers: %u: one that is not mapped has no content", index);
	if (buffer->n_pointer_targets != buffer->n_pointer_offsets ||
	    !is_column(buffer->n_pointer_addends, buffer->n_pointer_offsets))
		return check_fail(failure, ERROR_INVALID,
				  "buffers: %u: pointers: columns of unequal length", index);
	for (size_t i = 0; i < buffer->n_pointer_offsets; i++) {
		if (!is_within(buffer, buffer->pointer_offsets[i], POINTER_SIZE) ||
		    buffer->pointer_targets[i] >= request->n_buffers)
			return check_fail(failure, ERROR_INVALID,
					  "buffers: %u: pointers: %zu: out of range", index, i);
	}
	return true;
}

static bool check_buffers(const PROGRAM *request, struct check_failure *failure)
{
	uint64_t total = 0;

	if (request->n_buffers > PROVIUM_MAX_BUFFERS)
		return check_fail(failure, ERROR_LIMIT, "buffers: at most %u are allowed",
				  PROVIUM_MAX_BUFFERS);
	for (unsigned int i = 0; i < request->n_buffers; i++)
		if (!check_size(request->buffers[i], i, &total, failure) ||
		    !check_buffer(request, i, failure))
			return false;
	return true;
}

static bool check_reference(const PROGRAM *request, size_t i, uint32_t call,
			    struct check_failure *failure)
{
	uint32_t index = request->reference_indexes[i];
	uint32_t offset = request->n_reference_offsets ? request->reference_offsets[i] : 0;
	uint32_t width = request->n_reference_widths ? request->reference_widths[i] : POINTER_SIZE;
	bool fine = false;

	switch (request->reference_kinds[i]) {
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER:
		fine = index < request->n_buffers;
		break;
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_RESULT:
		fine = index < call;
		break;
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_LOAD:
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_LOAD_SIGNED:
		fine = (width == 1 || width == 2 || width == 4 || width == 8) &&
		       index < request->n_buffers &&
		       is_within(request->buffers[index], offset, width);
		break;
	default:
		break;
	}
	return fine ? true : check_fail(failure, ERROR_INVALID, "references: %zu: out of range", i);
}

/* Calls, arguments and references go along side by side. */
static bool check_calls(const PROGRAM *request, struct check_failure *failure)
{
	size_t arg = 0, reference = 0;

	for (uint32_t call = 0; call < request->n_numbers; call++) {
		uint32_t count = request->n_arg_counts ? request->arg_counts[call] : 0;

		if (count > PROVIUM_MAX_ARGS)
			return check_fail(failure, ERROR_INVALID,
					  "arg_counts: %u: at most %d are allowed", call,
					  PROVIUM_MAX_ARGS);
		arg += count;
		for (; reference < request->n_reference_args; reference++) {
			if (request->reference_args[reference] >= arg)
				break;
			if (reference > 0 && request->reference_args[reference] <=
						     request->reference_args[reference - 1])
				return check_fail(failure, ERROR_INVALID,
						  "reference_args: %zu: not in ascending order",
						  reference);
			if (!check_reference(request, reference, call, failure))
				return false;
		}
	}
	if (arg != request->n_args)
		return check_fail(failure, ERROR_INVALID, "args: there are %zu, arg_counts say %zu",
				  request->n_args, arg);
	if (reference < request->n_reference_args)
		return check_fail(failure, ERROR_INVALID, "references: %zu: out of range",
				  reference);
	return true;
}

static bool check_options(const PROGRAM *request, struct check_failure *failure)
{
	for (size_t i = 0; i < request->n_options; i++) {
		const Provium__V1__CallOption *option = request->options[i];

		if (option->call >= request->n_numbers ||
		    (i > 0 && option->call <= request->options[i - 1]->call))
			return check_fail(failure, ERROR_INVALID,
					  "options: %zu: call: out of range or order", i);
	}
	return true;
}

bool program_check(const PROGRAM *request, struct check_failure *failure)
{
	size_t references = request->n_reference_args;

	if (!is_column(request->n_arg_counts, request->n_numbers) ||
	    request->n_reference_kinds != references ||
	    request->n_reference_indexes != references ||
	    !is_column(request->n_reference_offsets, references) ||
	    !is_column(request->n_reference_widths, references))
		return check_fail(failure, ERROR_INVALID, "columns of unequal length");
	return check_buffers(request, failure) && check_calls(request, failure) &&
	       check_options(request, failure);
}
