#include "tests/integration/programs/calls.h"

#include <stdio.h>
#include <string.h>

#include "common/util.h"
#include "tests/integration/programs/programs.h"

enum line_kind {
	RESULT,
	SUCCESS,
	FAILURE,
	BYTES,
};

static struct line {
	enum line_kind kind;
	const char *label;
	/* A call, or a buffer. */
	int index;
	int number;
	uint32_t offset;
	uint32_t size;
} lines[64];

static size_t line_count;

static void add_line(struct line line)
{
	ck_assert_uint_lt(line_count, ARRAY_SIZE(lines));
	lines[line_count++] = line;
}

int text(const char *string)
{
	return provium_program_string(program, string);
}

int object(const void *data, size_t size)
{
	const struct provium_buffer_options options = { .input = data,
							.input_size = size,
							.output = true };

	return provium_program_buffer(program, &options);
}

int zeros(size_t size)
{
	static const uint8_t nothing[8192];

	ck_assert_uint_le(size, sizeof(nothing));
	return object(nothing, size);
}

void say(const char *label, int call)
{
	add_line((struct line){ .kind = RESULT, .label = label, .index = call });
}

void say_success(const char *label, int call)
{
	add_line((struct line){ .kind = SUCCESS, .label = label, .index = call });
}

void say_failure(const char *label, int call, int number)
{
	add_line((struct line){ .kind = FAILURE, .label = label, .index = call, .number = number });
}

void say_bytes(const char *label, int buffer, uint32_t offset, uint32_t size)
{
	add_line((struct line){
		.kind = BYTES, .label = label, .index = buffer, .offset = offset, .size = size });
}

static int print_bytes(char *to, size_t room, const struct line *line)
{
	const uint8_t *data = provium_program_data(program, line->index);
	int used = 0;

	ck_assert_ptr_nonnull(data);
	for (uint32_t i = 0; i < line->size; i++)
		used += snprintf(to + used, room - (size_t)used, "%02x", data[line->offset + i]);
	return used;
}

static int print_line(char *to, size_t room, const struct line *line)
{
	int64_t result = line->kind == BYTES ? 0 : result_of(line->index);
	int used = snprintf(to, room, "%s ", line->label);

	if (line->kind == BYTES)
		used += print_bytes(to + used, room - (size_t)used, line);
	else if (line->kind == SUCCESS && result >= 0)
		used += snprintf(to + used, room - (size_t)used, "fine");
	else
		used += snprintf(to + used, room - (size_t)used, "%lld", (long long)result);
	if (line->kind == FAILURE)
		ck_assert_msg(result == -line->number, "%s: %lld", line->label, (long long)result);
	else
		ck_assert_msg(result >= 0, "%s: %lld", line->label, (long long)result);
	used += snprintf(to + used, room - (size_t)used, "\n");
	return used;
}

static void compare(const struct call_case *call_case)
{
	static char wanted[32768];
	char command[64];
	size_t used = 0;

	line_count = 0;
	call_case->calls();
	run_program();
	ck_assert_uint_gt(line_count, 0);
	for (size_t i = 0; i < line_count; i++)
		used += (size_t)print_line(wanted + used, sizeof(wanted) - used, &lines[i]);
	ck_assert_uint_lt(used, sizeof(wanted));
	snprintf(command, sizeof(command), "/calls %s", call_case->name);
	expect_output(command, wanted);
}

static const struct call_case *const groups[] = { file_cases, socket_cases, wait_cases,
						  kernel_cases };

static const struct call_case *find_case(int index)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (const struct call_case *at = groups[i]; at->name; at++)
			if (index-- == 0)
				return at;
	return NULL;
}

/* What a case opens it closes: the next first fd is the same. */
START_TEST(as_in_c)
{
	const struct call_case *call_case = find_case(_i);
	uint32_t fds = get_info().open_fds;

	printf("# %s\n", call_case->name);
	compare(call_case);
	ck_assert_uint_eq(get_info().open_fds, fds);
}
END_TEST

void add_calls(TCase *tcase)
{
	int count = 0;

	while (find_case(count))
		count++;
	tcase_add_loop_test(tcase, as_in_c, 0, count);
}
