/* One system call with the caller's own buffers: a program of one call. */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/program.h"
#include "proto/limits.h"

static void free_program(struct provium_program **program)
{
	provium_program_free(*program);
}

#define cleanup_program cleanup(free_program)

static struct provium_program *begin(struct provium_error *error)
{
	struct provium_program *program = provium_program_new();

	if (!program)
		error_set(error, PROVIUM_HOST, ENOMEM, "program");
	return program;
}

/* Each goes in, and comes back. */
static void add_buffers(struct provium_program *program, const struct provium_call_buffer *buffers,
			size_t n_buffers)
{
	for (size_t i = 0; i < n_buffers; i++) {
		struct provium_buffer_options options = {
			.input = buffers[i].data,
			.input_size = buffers[i].size,
			.output = true,
		};

		provium_program_buffer(program, &options);
	}
}

static int take_buffers(const struct provium_program *program,
			const struct provium_call_buffer *buffers, size_t n_buffers,
			struct provium_error *error)
{
	for (size_t i = 0; i < n_buffers; i++) {
		const void *data = provium_program_data(program, (int)i);

		if (!data)
			return error_set(error, PROVIUM_GUEST, 0,
					 "system call: it has unmapped buffer %zu", i);
		memcpy(buffers[i].data, data, buffers[i].size);
	}
	return 0;
}

int provium_syscall_ptr(struct provium_connection *connection, uint32_t number,
			const uint64_t *args, size_t n_args, struct provium_call_buffer *buffers,
			size_t n_buffers, const struct provium_call_pointer *pointers,
			size_t n_pointers, int timeout_ms, int64_t *result,
			struct provium_error *error)
{
	cleanup_program struct provium_program *program = begin(error);
	struct provium_arg list[PROVIUM_MAX_ARGS];

	if (!program)
		return -1;
	if (n_args > PROVIUM_MAX_ARGS)
		return error_set(error, PROVIUM_INVALID, 0, "system call: more than %d arguments",
				 PROVIUM_MAX_ARGS);
	add_buffers(program, buffers, n_buffers);
	for (size_t i = 0; i < n_args; i++)
		list[i] = provium_value(args[i]);
	for (size_t i = 0; i < n_buffers; i++) {
		if (buffers[i].arg < -1 ||
		    (buffers[i].arg >= 0 && (size_t)buffers[i].arg >= n_args))
			return error_set(error, PROVIUM_INVALID, 0,
					 "system call: buffer %zu is argument %d of %zu", i,
					 buffers[i].arg, n_args);
		if (buffers[i].arg >= 0)
			list[buffers[i].arg] = provium_address((int)i);
	}
	for (size_t i = 0; i < n_pointers; i++)
		provium_program_pointer(program, (int)pointers[i].in, pointers[i].offset,
					(int)pointers[i].to, 0);
	provium_program_call(program, number, list, n_args);
	if (provium_program_run(connection, program, timeout_ms, error) < 0)
		return -1;
	*result = provium_program_result(program, 0);
	return take_buffers(program, buffers, n_buffers, error);
}

int provium_syscall_bufs(struct provium_connection *connection, uint32_t number,
			 const uint64_t *args, size_t n_args, struct provium_call_buffer *buffers,
			 size_t n_buffers, int timeout_ms, int64_t *result,
			 struct provium_error *error)
{
	return provium_syscall_ptr(connection, number, args, n_args, buffers, n_buffers, NULL, 0,
				   timeout_ms, result, error);
}

int provium_syscall_buf(struct provium_connection *connection, uint32_t number,
			const uint64_t *args, size_t n_args, struct provium_call_buffer *buffer,
			int timeout_ms, int64_t *result, struct provium_error *error)
{
	return provium_syscall_bufs(connection, number, args, n_args, buffer, 1, timeout_ms, result,
				    error);
}

int provium_syscall(struct provium_connection *connection, uint32_t number, const uint64_t *args,
		    size_t n_args, int timeout_ms, int64_t *result, struct provium_error *error)
{
	return provium_syscall_bufs(connection, number, args, n_args, NULL, 0, timeout_ms, result,
				    error);
}

/* ------------------------------------------------------------------------------------------- */
/* IOCTL */

/* The number of ioctl(2) is the guest's matter: a message of its own. */
struct ioctl_request {
	struct request request;
	void *data;
	size_t size;
	int64_t result;
};

static enum request_verdict on_ioctl(struct request *request, const Provium__V1__Message *message)
{
	struct ioctl_request *ioctl = container_of(request, struct ioctl_request, request);
	const Provium__V1__SyscallResult *result = message->syscall_result;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_SYSCALL_RESULT)
		return request_unexpected(request, message);
	if (result->n_results != 1 || result->n_buffers != (ioctl->data != NULL))
		return request_broken(request, "results of %zu calls", result->n_results);
	ioctl->result = result->results[0];
	if (!ioctl->data)
		return REQUEST_FINAL;
	if (!result->buffers[0]->has_data || result->buffers[0]->data.len != ioctl->size)
		return request_broken(request, "content of the buffer");
	memcpy(ioctl->data, result->buffers[0]->data.data, ioctl->size);
	return REQUEST_FINAL;
}

static int call_ioctl(struct provium_connection *connection, int fd, uint64_t command, uint64_t arg,
		      void *data, size_t size, int timeout_ms, int64_t *result,
		      struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct ioctl_request ioctl = {
		.request = { .what = "ioctl", .on_message = on_ioctl },
		.data = data,
		.size = size,
	};
	Provium__V1__Buffer buffer = PROVIUM__V1__BUFFER__INIT, *buffers = &buffer;
	Provium__V1__Ioctl body = PROVIUM__V1__IOCTL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_fd = true;
	body.fd = fd;
	body.has_command = true;
	body.command = command;
	body.has_arg = !data;
	body.arg = arg;
	buffer.has_input = true;
	buffer.input = (ProtobufCBinaryData){ size, data };
	buffer.has_output = true;
	buffer.output = true;
	body.buffers = &buffers;
	body.n_buffers = data != NULL;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_IOCTL;
	message.ioctl = &body;
	if (request_call(connection, &ioctl.request, &message, &deadline, error) < 0)
		return -1;
	*result = ioctl.result;
	return 0;
}

int provium_ioctl(struct provium_connection *connection, int fd, uint64_t command, uint64_t arg,
		  int timeout_ms, int64_t *result, struct provium_error *error)
{
	return call_ioctl(connection, fd, command, arg, NULL, 0, timeout_ms, result, error);
}

int provium_ioctl_buf(struct provium_connection *connection, int fd, uint64_t command, void *data,
		      size_t size, int timeout_ms, int64_t *result, struct provium_error *error)
{
	return call_ioctl(connection, fd, command, 0, data, size, timeout_ms, result, error);
}

/* ------------------------------------------------------------------------------------------- */
/* READ_MEMORY */

struct memory_request {
	struct request request;
	uint64_t address;
	uint8_t *data;
	size_t left;
	size_t size;
};

static enum request_verdict on_memory(struct request *request, const Provium__V1__Message *message)
{
	struct memory_request *memory = container_of(request, struct memory_request, request);
	const Provium__V1__FileData *data = message->file_data;

	if (message->body_case == PROVIUM__V1__MESSAGE__BODY_OK)
		return memory->left == 0
			       ? REQUEST_FINAL
			       : request_broken(request, "%zu bytes are missing", memory->left);
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_FILE_DATA)
		return request_unexpected(request, message);
	if (data->has_hole || data->has_event || data->data.len > memory->left ||
	    data->offset != memory->address + (memory->size - memory->left))
		return request_broken(request, "bytes that were not asked for");
	memcpy(memory->data + (memory->size - memory->left), data->data.data, data->data.len);
	memory->left -= data->data.len;
	return REQUEST_MORE;
}

int provium_read_memory(struct provium_connection *connection, uint64_t address, void *data,
			size_t size, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct memory_request memory = {
		.request = { .what = "read memory", .on_message = on_memory },
		.address = address,
		.data = data,
		.left = size,
		.size = size,
	};
	Provium__V1__ReadMemory body = PROVIUM__V1__READ_MEMORY__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_address = true;
	body.address = address;
	body.has_length = true;
	body.length = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READ_MEMORY;
	message.read_memory = &body;
	return request_call(connection, &memory.request, &message, &deadline, error);
}
