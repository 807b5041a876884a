/* Building a program: the columns of its SYSCALL grow as buffers and calls are added. */
#include "program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "proto/limits.h"

enum arg_kind {
	ARG_VALUE,
	ARG_ADDRESS,
	ARG_RESULT,
	ARG_LOAD,
	ARG_LOAD_SIGNED,
};

/* The first one is kept: what comes after may only follow from it. */
__attribute__((format(printf, 3, 4))) static int
mistake(struct provium_program *program, enum provium_code code, const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (program->mistake.code == PROVIUM_OK) {
		va_start(arguments, format);
		vsnprintf(text, sizeof(text), format, arguments);
		va_end(arguments);
		error_set(&program->mistake, code, code == PROVIUM_HOST ? ENOMEM : 0, "program: %s",
			  text);
	}
	return -1;
}

/* Room for one more behind count elements. False: no memory, which is the program's mistake. */
static bool grow(struct provium_program *program, void *array, size_t count, size_t size)
{
	void *grown;

	if (count & (count - 1))
		return true;
	grown = reallocarray(*(void **)array, count ? 2 * count : 1, size);
	if (!grown) {
		mistake(program, PROVIUM_HOST, "no memory");
		return false;
	}
	*(void **)array = grown;
	return true;
}

/* Appends to a column (array and its count) of the body. The elements may be pointers. */
// NOLINTBEGIN(bugprone-sizeof-expression)
#define APPEND(program, message, column, element)                                                 \
	({                                                                                        \
		bool appended_ = grow(program, (void *)&(message)->column, (message)->n_##column, \
				      sizeof(*(message)->column));                                \
		if (appended_)                                                                    \
			(message)->column[(message)->n_##column++] = (element);                   \
		appended_;                                                                        \
	})
// NOLINTEND(bugprone-sizeof-expression)

struct provium_program *provium_program_new(void)
{
	struct provium_program *program = calloc(1, sizeof(*program));

	if (program)
		provium__v1__syscall__init(&program->body);
	return program;
}

static void free_buffer(Provium__V1__Buffer *buffer)
{
	free(buffer->input.data);
	free(buffer->pointer_offsets);
	free(buffer->pointer_targets);
	free(buffer->pointer_addends);
	free(buffer);
}

void provium_program_free(struct provium_program *program)
{
	if (!program)
		return;
	request_abandon(&program->request);
	program_forget_run(program);
	for (size_t i = 0; i < program->body.n_buffers; i++)
		free_buffer(program->body.buffers[i]);
	for (size_t i = 0; i < program->body.n_options; i++)
		free(program->body.options[i]);
	free(program->body.buffers);
	free(program->body.options);
	free(program->body.numbers);
	free(program->body.arg_counts);
	free(program->body.args);
	free(program->body.reference_args);
	free(program->body.reference_kinds);
	free(program->body.reference_indexes);
	free(program->body.reference_offsets);
	free(program->body.reference_widths);
	free(program);
}

/* ------------------------------------------------------------------------------------------- */
/* Buffers */

static bool fill_buffer(Provium__V1__Buffer *buffer, const struct provium_buffer_options *options)
{
	provium__v1__buffer__init(buffer);
	if (options->input_size > 0) {
		buffer->has_input = true;
		buffer->input.len = options->input_size;
		buffer->input.data = malloc(options->input_size);
		if (!buffer->input.data)
			return false;
		memcpy(buffer->input.data, options->input, options->input_size);
	}
	buffer->has_size = true;
	buffer->size = (uint32_t)(options->size ? options->size : options->input_size);
	buffer->has_output = options->output;
	buffer->output = options->output;
	buffer->has_placement = options->placement != PROVIUM_PLACE_END;
	buffer->placement = (Provium__V1__Placement)options->placement;
	buffer->has_report_changes = options->changes;
	buffer->report_changes = options->changes;
	buffer->has_fill_seed = options->fill_seed != 0;
	buffer->fill_seed = options->fill_seed;
	buffer->has_fill_complement = options->fill_complement;
	buffer->fill_complement = options->fill_complement;
	return true;
}

int provium_program_buffer(struct provium_program *program,
			   const struct provium_buffer_options *options)
{
	Provium__V1__Buffer *buffer;

	/* More would not fit in a frame, and its length not in the field. */
	if (MAX(options->size, options->input_size) > PROVIUM_MAX_BUFFER_BYTES)
		return mistake(program, PROVIUM_LIMIT, "buffer %zu: more than %u bytes",
			       program->body.n_buffers, PROVIUM_MAX_BUFFER_BYTES);
	buffer = malloc(sizeof(*buffer));
	if (!buffer)
		return mistake(program, PROVIUM_HOST, "no memory");
	if (!fill_buffer(buffer, options)) {
		free_buffer(buffer);
		return mistake(program, PROVIUM_HOST, "no memory");
	}
	if (!APPEND(program, &program->body, buffers, buffer)) {
		free_buffer(buffer);
		return -1;
	}
	return (int)program->body.n_buffers - 1;
}

int provium_program_input(struct provium_program *program, const void *data, size_t size)
{
	struct provium_buffer_options options = { .input = data, .input_size = size };

	return provium_program_buffer(program, &options);
}

int provium_program_string(struct provium_program *program, const char *text)
{
	return provium_program_input(program, text, strlen(text) + 1);
}

int provium_program_output(struct provium_program *program, size_t size)
{
	struct provium_buffer_options options = { .size = size, .output = true };

	return provium_program_buffer(program, &options);
}

static bool is_buffer(const struct provium_program *program, int buffer)
{
	return buffer >= 0 && (size_t)buffer < program->body.n_buffers;
}

void provium_program_pointer(struct provium_program *program, int in, size_t offset, int to,
			     int64_t addend)
{
	Provium__V1__Buffer *holder;

	if (!is_buffer(program, in) || !is_buffer(program, to) || offset > UINT32_MAX) {
		mistake(program, PROVIUM_INVALID, "a pointer in buffer %d to buffer %d", in, to);
		return;
	}
	holder = program->body.buffers[in];
	if (APPEND(program, holder, pointer_offsets, (uint32_t)offset) &&
	    APPEND(program, holder, pointer_targets, (uint32_t)to))
		(void)APPEND(program, holder, pointer_addends, addend);
}

/* ------------------------------------------------------------------------------------------- */
/* Calls */

struct provium_arg provium_value(uint64_t value)
{
	return (struct provium_arg){ .kind = ARG_VALUE, .value = value };
}

struct provium_arg provium_address(int buffer)
{
	return provium_address_at(buffer, 0);
}

struct provium_arg provium_address_at(int buffer, uint32_t offset)
{
	return (struct provium_arg){ .kind = ARG_ADDRESS, .index = buffer, .offset = offset };
}

struct provium_arg provium_result_of(int call)
{
	return provium_result_plus(call, 0);
}

struct provium_arg provium_result_plus(int call, uint32_t offset)
{
	return (struct provium_arg){ .kind = ARG_RESULT, .index = call, .offset = offset };
}

struct provium_arg provium_load(int buffer, uint32_t offset, uint32_t width)
{
	return (struct provium_arg){
		.kind = ARG_LOAD, .index = buffer, .offset = offset, .width = width
	};
}

struct provium_arg provium_load_signed(int buffer, uint32_t offset, uint32_t width)
{
	return (struct provium_arg){
		.kind = ARG_LOAD_SIGNED, .index = buffer, .offset = offset, .width = width
	};
}

static bool add_reference(struct provium_program *program, const struct provium_arg *arg)
{
	static const Provium__V1__ReferenceKind kinds[] = {
		[ARG_ADDRESS] = PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER,
		[ARG_RESULT] = PROVIUM__V1__REFERENCE_KIND__REFERENCE_RESULT,
		[ARG_LOAD] = PROVIUM__V1__REFERENCE_KIND__REFERENCE_LOAD,
		[ARG_LOAD_SIGNED] = PROVIUM__V1__REFERENCE_KIND__REFERENCE_LOAD_SIGNED,
	};
	Provium__V1__Syscall *body = &program->body;

	if (arg->kind < ARG_ADDRESS || arg->kind > ARG_LOAD_SIGNED || arg->index < 0) {
		mistake(program, PROVIUM_INVALID, "call %zu: an argument that does not exist",
			body->n_numbers);
		return false;
	}
	return APPEND(program, body, reference_args, (uint32_t)body->n_args) &&
	       APPEND(program, body, reference_kinds, kinds[arg->kind]) &&
	       APPEND(program, body, reference_indexes, (uint32_t)arg->index) &&
	       APPEND(program, body, reference_offsets, arg->offset) &&
	       APPEND(program, body, reference_widths, arg->width ? arg->width : 8);
}

int provium_program_call(struct provium_program *program, uint32_t number,
			 const struct provium_arg *args, size_t n_args)
{
	Provium__V1__Syscall *body = &program->body;

	if (n_args > PROVIUM_MAX_ARGS)
		return mistake(program, PROVIUM_INVALID, "call %zu: more than %d arguments",
			       body->n_numbers, PROVIUM_MAX_ARGS);
	for (size_t i = 0; i < n_args; i++) {
		if (args[i].kind != ARG_VALUE && !add_reference(program, &args[i]))
			return -1;
		if (!APPEND(program, body, args, args[i].value))
			return -1;
	}
	if (!APPEND(program, body, arg_counts, (uint32_t)n_args) ||
	    !APPEND(program, body, numbers, number))
		return -1;
	return (int)body->n_numbers - 1;
}

/* The options of a call, which are in the order of the calls. NULL: a mistake. */
static Provium__V1__CallOption *option_of(struct provium_program *program, int call)
{
	Provium__V1__Syscall *body = &program->body;
	Provium__V1__CallOption *option;
	size_t at = 0;

	if (call < 0 || (size_t)call >= body->n_numbers) {
		mistake(program, PROVIUM_INVALID, "there is no call %d", call);
		return NULL;
	}
	while (at < body->n_options && body->options[at]->call < (uint32_t)call)
		at++;
	if (at < body->n_options && body->options[at]->call == (uint32_t)call)
		return body->options[at];
	option = malloc(sizeof(*option));
	if (!option) {
		mistake(program, PROVIUM_HOST, "no memory");
		return NULL;
	}
	provium__v1__call_option__init(option);
	option->has_call = true;
	option->call = (uint32_t)call;
	if (!APPEND(program, body, options, option)) {
		free(option);
		return NULL;
	}
	memmove(&body->options[at + 1], &body->options[at],
		// NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
		(body->n_options - 1 - at) * sizeof(*body->options));
	body->options[at] = option;
	return option;
}

void provium_program_repeat(struct provium_program *program, int call, uint32_t times)
{
	Provium__V1__CallOption *option = option_of(program, call);

	if (option) {
		option->has_repeat = true;
		option->repeat = times;
	}
}

void provium_program_deadline(struct provium_program *program, uint32_t ms)
{
	program->body.has_deadline_ms = true;
	program->body.deadline_ms = ms;
}

void provium_program_deadline_of(struct provium_program *program, int call, uint32_t ms)
{
	Provium__V1__CallOption *option = option_of(program, call);

	if (option) {
		option->has_deadline_ms = true;
		option->deadline_ms = ms;
	}
}

void provium_program_trace(struct provium_program *program)
{
	program->body.has_trace = true;
	program->body.trace = true;
}

void provium_program_stop_on_error(struct provium_program *program)
{
	program->body.has_stop_on_error = true;
	program->body.stop_on_error = true;
}

void provium_program_stop_on_error_of(struct provium_program *program, int call)
{
	Provium__V1__CallOption *option = option_of(program, call);

	if (option) {
		option->has_stop_on_error = true;
		option->stop_on_error = true;
	}
}
