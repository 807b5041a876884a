/* Running a program, and what it has told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lib/program.h"

static struct provium_program *program_of(struct request *request)
{
	return container_of(request, struct provium_program, request);
}

static void free_contents(struct program_content *contents, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(contents[i].data);
		free(contents[i].changes);
	}
	free(contents);
}

void program_forget_run(struct provium_program *program)
{
	for (size_t i = 0; i < program->n_details; i++) {
		free((char *)program->details[i].where.syscall);
		free((char *)program->details[i].where.wchan);
		free((char *)program->details[i].where.stack);
		free((char *)program->details[i].where.status);
	}
	free(program->details);
	program->details = NULL;
	program->n_details = 0;
	free_contents(program->contents, program->n_contents);
	free(program->results);
	free(program->durations);
	program->contents = NULL;
	program->results = NULL;
	program->durations = NULL;
	program->n_contents = 0;
	program->made = 0;
}

/* The agent is not trusted: every range lies in the buffer, behind the one before. */
static bool check_changes(const Provium__V1__BufferResult *result, uint32_t size)
{
	uint64_t end = 0;

	if (result->n_changes % 2)
		return false;
	for (size_t i = 0; i < result->n_changes; i += 2) {
		if (result->changes[i] < end || result->changes[i + 1] == 0)
			return false;
		end = (uint64_t)result->changes[i] + result->changes[i + 1];
		if (end > size)
			return false;
	}
	return true;
}

static bool take_changes(struct program_content *content, const Provium__V1__BufferResult *result)
{
	content->n_changes = result->n_changes / 2;
	content->cut = result->changes_cut;
	content->changes = calloc(content->n_changes + 1, sizeof(*content->changes));
	for (size_t i = 0; content->changes && i < content->n_changes; i++)
		content->changes[i] = (struct provium_range){
			.offset = result->changes[2 * i],
			.size = result->changes[2 * i + 1],
		};
	return content->changes != NULL;
}

static enum request_verdict no_memory(struct request *request)
{
	error_set(request->error, PROVIUM_HOST, ENOMEM, "%s: result", request->what);
	return REQUEST_GIVE_UP;
}

static enum request_verdict take_buffer(struct provium_program *program,
					const Provium__V1__BufferResult *result)
{
	const Provium__V1__Buffer *buffer;
	struct program_content *content;

	if (result->buffer >= program->body.n_buffers)
		return request_broken(&program->request, "buffer %u", result->buffer);
	buffer = program->body.buffers[result->buffer];
	content = &program->contents[result->buffer];
	if (content->changes ||
	    (result->has_data && (!buffer->output || result->data.len != buffer->size)) ||
	    (result->n_changes > 0 && !buffer->report_changes) ||
	    !check_changes(result, buffer->size))
		return request_broken(&program->request, "content of buffer %u", result->buffer);
	if (result->has_data) {
		content->data = malloc(result->data.len + 1);
		if (!content->data)
			return no_memory(&program->request);
		memcpy(content->data, result->data.data, result->data.len);
	}
	return take_changes(content, result) ? REQUEST_MORE : no_memory(&program->request);
}

static char *copy_text(const char *text)
{
	return strdup(text ? text : "");
}

static enum request_verdict take_details(struct provium_program *program,
					 const Provium__V1__SyscallResult *result)
{
	program->details = calloc(result->n_details + 1, sizeof(*program->details));
	if (!program->details)
		return no_memory(&program->request);
	for (size_t i = 0; i < result->n_details; i++) {
		const Provium__V1__CallDetail *detail = result->details[i];
		struct program_detail *to = &program->details[program->n_details];

		if (detail->call >= result->n_results ||
		    (program->n_details > 0 && detail->call <= to[-1].call))
			return request_broken(&program->request, "detail of call %u", detail->call);
		to->call = detail->call;
		to->interrupted = detail->interrupted;
		to->n_kernel_events = MIN(detail->n_kernel_events, ARRAY_SIZE(to->kernel_events));
		for (size_t j = 0; j < to->n_kernel_events; j++)
			to->kernel_events[j] = detail->kernel_events[j];
		to->where.syscall = copy_text(detail->syscall);
		to->where.wchan = copy_text(detail->wchan);
		to->where.stack = copy_text(detail->stack);
		to->where.status = copy_text(detail->status);
		program->n_details++;
		if (!to->where.syscall || !to->where.wchan || !to->where.stack || !to->where.status)
			return no_memory(&program->request);
	}
	return REQUEST_MORE;
}

/* The agent will make this call next. */
static enum request_verdict take_started(struct request *request, uint32_t call)
{
	const struct provium_program *program = program_of(request);

	if (!program->body.trace || call >= program->body.n_numbers || call < request->calls_told)
		return request_broken(request, "the start of call %u", call);
	request->calls_told = call + 1;
	return REQUEST_MORE;
}

static enum request_verdict on_result(struct request *request, const Provium__V1__Message *message)
{
	struct provium_program *program = program_of(request);
	const Provium__V1__SyscallResult *result = message->syscall_result;
	enum request_verdict verdict;

	if (message->body_case == PROVIUM__V1__MESSAGE__BODY_CALL_STARTED)
		return take_started(request, message->call_started->call);
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_SYSCALL_RESULT)
		return request_unexpected(request, message);
	if (result->n_results > program->body.n_numbers ||
	    result->n_durations_ns != result->n_results)
		return request_broken(request, "results of %zu calls", result->n_results);
	program->contents = calloc(program->body.n_buffers + 1, sizeof(*program->contents));
	program->results = calloc(program->body.n_numbers + 1, sizeof(*program->results));
	program->durations = calloc(program->body.n_numbers + 1, sizeof(*program->durations));
	if (!program->contents || !program->results || !program->durations)
		return no_memory(request);
	program->n_contents = program->body.n_buffers;
	program->made = (unsigned int)result->n_results;
	for (size_t i = 0; i < result->n_results; i++) {
		program->results[i] = result->results[i];
		program->durations[i] = result->durations_ns[i];
	}
	verdict = take_details(program, result);
	for (size_t i = 0; i < result->n_buffers && verdict == REQUEST_MORE; i++)
		verdict = take_buffer(program, result->buffers[i]);
	return verdict == REQUEST_MORE ? REQUEST_FINAL : verdict;
}

static void name_call(const struct provium_program *program, unsigned int call, char *name,
		      size_t size)
{
	uint32_t number = program->body.numbers[call];
	const char *known = provium_syscall_name(program->arch, number);

	if (known)
		snprintf(name, size, "%s", known);
	else
		snprintf(name, size, "system call %u", number);
}

static bool name_call_of(const struct request *request, unsigned int call, char *name, size_t size)
{
	const struct provium_program *program =
		container_of(request, const struct provium_program, request);

	if (call >= program->body.n_numbers)
		return false;
	name_call(program, call, name, size);
	return true;
}

/* What a run needs, before it is sent. */
static int prepare(struct provium_connection *connection, struct provium_program *program,
		   Provium__V1__Message *message, struct provium_error *error)
{
	if (program->request.state == REQUEST_IN_FLIGHT)
		return error_set(error, PROVIUM_BUSY, 0, "the program is running");
	program_forget_run(program);
	if (program->mistake.code != PROVIUM_OK)
		return error_copy(error, &program->mistake);
	snprintf(program->arch, sizeof(program->arch), "%s", connection->agent_text.arch);
	program->request = (struct request){
		.what = "system calls",
		.on_message = on_result,
		.name_call = name_call_of,
		.error = &program->failure,
	};
	provium__v1__message__init(message);
	message->body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL;
	message->syscall = &program->body;
	return 0;
}

static int run(struct provium_connection *connection, struct provium_program *program,
	       const struct deadline *deadline, struct provium_error *error)
{
	Provium__V1__Message message;
	int result;

	if (prepare(connection, program, &message, error) < 0)
		return -1;
	result = request_call(connection, &program->request, &message, deadline, error);
	if (result < 0)
		program_forget_run(program);
	return result;
}

int provium_program_run(struct provium_connection *connection, struct provium_program *program,
			int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return run(connection, program, &deadline, error);
}

int provium_program_start(struct provium_connection *connection, struct provium_program *program,
			  struct provium_error *error)
{
	Provium__V1__Message message;
	int result;

	if (prepare(connection, program, &message, error) < 0)
		return -1;
	program->body.has_background = true;
	program->body.background = true;
	result = request_send(connection, &program->request, &message, error);
	program->body.has_background = false;
	program->body.background = false;
	return result;
}

int provium_program_wait(struct provium_program *program, int timeout_ms,
			 struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	if (program->request.state == REQUEST_IDLE)
		return error_set(error, PROVIUM_INVALID, 0, "the program was not started");
	if (request_wait(&program->request, &deadline, error) == 0)
		return 0;
	if (program->request.state == REQUEST_IN_FLIGHT)
		return -1;
	program_forget_run(program);
	return error_copy(error, &program->failure);
}

int provium_program_cancel(struct provium_program *program, struct provium_error *error)
{
	if (program->request.state != REQUEST_IN_FLIGHT)
		return error_set(error, PROVIUM_NOT_FOUND, 0, "the program is not running");
	return request_cancel(&program->request, error);
}

int provium_program_last_started(const struct provium_program *program)
{
	return (int)program->request.calls_told - 1;
}

/* ------------------------------------------------------------------------------------------- */
/* Twice */

/* Appends a range to those that end where it begins, or before. */
static void add_range(struct provium_range *ranges, size_t *count, struct provium_range range)
{
	struct provium_range *last = *count > 0 ? &ranges[*count - 1] : NULL;

	if (last && range.offset <= last->offset + last->size)
		last->size = MAX(last->size, range.offset + range.size - last->offset);
	else
		ranges[(*count)++] = range;
}

/* content gets the ranges of other as well. Both are in ascending order. */
static bool unite(struct program_content *content, const struct program_content *other)
{
	size_t total = content->n_changes + other->n_changes, count = 0, i = 0, j = 0;
	struct provium_range *ranges = calloc(total + 1, sizeof(*ranges));

	if (!ranges)
		return false;
	while (i < content->n_changes || j < other->n_changes) {
		bool first = j == other->n_changes ||
			     (i < content->n_changes &&
			      content->changes[i].offset <= other->changes[j].offset);

		add_range(ranges, &count, first ? content->changes[i++] : other->changes[j++]);
	}
	free(content->changes);
	content->changes = ranges;
	content->n_changes = count;
	content->cut |= other->cut;
	return true;
}

static void turn_patterns(struct provium_program *program)
{
	for (size_t i = 0; i < program->body.n_buffers; i++) {
		Provium__V1__Buffer *buffer = program->body.buffers[i];

		buffer->has_fill_complement = true;
		buffer->fill_complement = !buffer->fill_complement;
	}
}

int provium_written(struct provium_connection *connection, struct provium_program *program,
		    int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct program_content *first;
	size_t count;
	int result;

	if (run(connection, program, &deadline, error) < 0)
		return -1;
	first = program->contents;
	count = program->n_contents;
	program->contents = NULL;
	program->n_contents = 0;
	turn_patterns(program);
	result = run(connection, program, &deadline, error);
	turn_patterns(program);
	for (size_t i = 0; result == 0 && program->contents && i < count; i++)
		if (!unite(&program->contents[i], &first[i]))
			result = error_set(error, PROVIUM_HOST, ENOMEM, "system calls: result");
	free_contents(first, count);
	if (result < 0)
		program_forget_run(program);
	return result;
}

/* ------------------------------------------------------------------------------------------- */
/* What it has told */

static const struct program_content *content_of(const struct provium_program *program, int buffer)
{
	static const struct program_content nothing;

	if (buffer < 0 || (size_t)buffer >= program->n_contents)
		return &nothing;
	return &program->contents[buffer];
}

unsigned int provium_program_made(const struct provium_program *program)
{
	return program->made;
}

int64_t provium_program_result(const struct provium_program *program, int call)
{
	return call >= 0 && (unsigned int)call < program->made ? program->results[call] : 0;
}

uint64_t provium_program_duration_ns(const struct provium_program *program, int call)
{
	return call >= 0 && (unsigned int)call < program->made ? program->durations[call] : 0;
}

const void *provium_program_data(const struct provium_program *program, int buffer)
{
	return content_of(program, buffer)->data;
}

const struct provium_range *provium_program_changes(const struct provium_program *program,
						    int buffer, size_t *count, bool *cut)
{
	const struct program_content *content = content_of(program, buffer);

	*count = content->n_changes;
	if (cut)
		*cut = content->cut;
	return content->changes;
}

/* NULL: there is nothing to say of it. */
static const struct program_detail *detail_of(const struct provium_program *program, int call)
{
	for (size_t i = 0; i < program->n_details; i++)
		if (call >= 0 && program->details[i].call == (uint32_t)call)
			return &program->details[i];
	return NULL;
}

const struct provium_interruption *
provium_program_interrupted(const struct provium_program *program, int call)
{
	const struct program_detail *detail = detail_of(program, call);

	return detail && detail->interrupted ? &detail->where : NULL;
}

const uint64_t *provium_program_kernel_events(const struct provium_program *program, int call,
					      size_t *count)
{
	const struct program_detail *detail = detail_of(program, call);

	*count = detail ? detail->n_kernel_events : 0;
	return detail ? detail->kernel_events : NULL;
}

/* ------------------------------------------------------------------------------------------- */
/* In words */

/* What the kernel returns are -1 to -4095 where it has failed (syscall(2)). */
static bool has_failed(int64_t result)
{
	return result < 0 && result >= -4095;
}

int provium_program_check_call(const struct provium_program *program, int call,
			       struct provium_error *error)
{
	const struct provium_interruption *where = provium_program_interrupted(program, call);
	int64_t result = provium_program_result(program, call);
	char name[PROVIUM_OPERATION_SIZE], number[32], place[64 + sizeof(" in ")] = "";
	const char *text = provium_errno_name((int)-result);

	if (call < 0 || (unsigned int)call >= program->made)
		return error_set(error, PROVIUM_INVALID, 0, "call %d was not made", call);
	if (!has_failed(result))
		return 0;
	name_call(program, (unsigned int)call, name, sizeof(name));
	snprintf(number, sizeof(number), "errno %d", (int)-result);
	/* The kernel's word for a thread that waits for nothing is 0 (proc_pid_wchan(5)). */
	if (where && where->wchan[0] && strcmp(where->wchan, "0") != 0)
		snprintf(place, sizeof(place), " in %s", where->wchan);
	error_set(error, PROVIUM_GUEST, (int)-result, "call %d: %s: %s%s%s", call, name,
		  text ? text : number, where ? ", interrupted at its deadline" : "", place);
	if (error)
		memcpy(error->operation, name, sizeof(name));
	return -1;
}

int provium_program_check(const struct provium_program *program, struct provium_error *error)
{
	for (unsigned int i = 0; i < program->made; i++)
		if (provium_program_check_call(program, (int)i, error) < 0)
			return -1;
	return 0;
}
