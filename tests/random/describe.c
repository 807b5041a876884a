#include <inttypes.h>

#include "host/lib/program.h"
#include "tests/random/random.h"

static void describe_reference(const Provium__V1__Syscall *body, size_t i, FILE *file)
{
	unsigned int index = body->reference_indexes[i], offset = body->reference_offsets[i];

	switch (body->reference_kinds[i]) {
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER:
		fprintf(file, "&b%u", index);
		break;
	case PROVIUM__V1__REFERENCE_KIND__REFERENCE_RESULT:
		fprintf(file, "r%u", index);
		break;
	default:
		fprintf(file, "b%u[%u]:%u", index, offset, body->reference_widths[i]);
		return;
	}
	if (offset)
		fprintf(file, "+%u", offset);
}

static void describe_buffer(const Provium__V1__Buffer *buffer, size_t index, FILE *file)
{
	fprintf(file, "b%zu: %u bytes, placement %d", index, buffer->size, (int)buffer->placement);
	for (size_t i = 0; i < buffer->input.len && i < 40; i++)
		fprintf(file, "%s%02x", i ? "" : ", ", buffer->input.data[i]);
	for (size_t i = 0; i < buffer->n_pointer_offsets; i++)
		fprintf(file, ", at %u &b%u", buffer->pointer_offsets[i],
			buffer->pointer_targets[i]);
	fprintf(file, "\n");
}

uint32_t random_call_number(const struct provium_program *program, unsigned int call)
{
	return program->body.numbers[call];
}

void random_describe(const struct provium_program *program, const char *arch, FILE *file)
{
	const Provium__V1__Syscall *body = &program->body;
	size_t arg = 0, reference = 0;

	for (size_t i = 0; i < body->n_buffers; i++)
		describe_buffer(body->buffers[i], i, file);
	for (size_t call = 0; call < body->n_numbers; call++) {
		const char *name = provium_syscall_name(arch, body->numbers[call]);

		fprintf(file, "r%zu = ", call);
		if (name)
			fprintf(file, "%s(", name);
		else
			fprintf(file, "%u(", body->numbers[call]);
		for (uint32_t i = 0; i < body->arg_counts[call]; i++, arg++) {
			fprintf(file, "%s", i ? ", " : "");
			if (reference < body->n_reference_args &&
			    body->reference_args[reference] == arg)
				describe_reference(body, reference++, file);
			else
				fprintf(file, "0x%" PRIx64, body->args[arg]);
		}
		fprintf(file, ")");
		if (call < program->made)
			fprintf(file, " = %" PRId64, program->results[call]);
		fprintf(file, "\n");
	}
}
