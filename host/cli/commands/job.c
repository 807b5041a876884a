#include "host/cli/commands/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/report.h"

struct provium_job_ref job_ref(const char *operand)
{
	struct provium_job_ref ref = { .name = operand };
	char *end;

	if (!*operand || operand[strspn(operand, "0123456789")])
		return ref;
	errno = 0;
	ref.number = strtoull(operand, &end, 10);
	/* A number that is too large for one can still be a name. */
	if (errno == 0)
		ref.name = NULL;
	return ref;
}

int job_print(void *user, enum provium_stream stream, uint64_t offset, const void *data,
	      size_t size)
{
	struct job_printer *printer = user;
	size_t index = stream == PROVIUM_STDERR;

	printer->missing[index] += offset - printer->next[index];
	printer->next[index] = offset + size;
	writer_put(printer->writer, stream, data, size);
	return writer_stopped(printer->writer);
}

void job_print_end(const struct job_printer *printer)
{
	static const char *const names[] = { "output", "error" };
	char message[128];

	for (size_t i = 0; i < 2; i++) {
		if (printer->missing[i] == 0)
			continue;
		snprintf(message, sizeof(message),
			 "%" PRIu64 " bytes of standard %s are no longer kept", printer->missing[i],
			 names[i]);
		report(message);
	}
}
