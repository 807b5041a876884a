/*
 * The numbers of the schema against the list in pins.txt, both ways: a number that changes breaks
 * every client in the field without a word from any compiler.
 *
 * `test-proto-pins --print` prints the list as the schema has it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provium.pb-c.h"
#include "unit.h"

#define MAX_LINES 2000
#define MAX_TYPES 200
#define PREFIX    "provium.v1."

struct lines {
	char *text[MAX_LINES];
	size_t count;
};

/* Descriptors that are or were to be walked; each once. */
struct types {
	const void *type[MAX_TYPES];
	size_t count;
};

static const char *pins_path;

static void add_line(struct lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_line(struct lines *lines, const char *format, ...)
{
	va_list arguments;

	if (lines->count == MAX_LINES)
		abort();
	va_start(arguments, format);
	if (vasprintf(&lines->text[lines->count++], format, arguments) < 0)
		abort();
	va_end(arguments);
}

static void free_lines(struct lines *lines)
{
	while (lines->count > 0)
		free(lines->text[--lines->count]);
}

static void add_type(struct types *types, const void *type)
{
	for (size_t i = 0; i < types->count; i++)
		if (types->type[i] == type)
			return;
	if (types->count == MAX_TYPES)
		abort();
	types->type[types->count++] = type;
}

static const char *without_package(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? name + strlen(PREFIX) : name;
}

static const char *type_name(const ProtobufCFieldDescriptor *field)
{
	static const char *const names[] = {
		[PROTOBUF_C_TYPE_INT32] = "int32",       [PROTOBUF_C_TYPE_SINT32] = "sint32",
		[PROTOBUF_C_TYPE_SFIXED32] = "sfixed32", [PROTOBUF_C_TYPE_INT64] = "int64",
		[PROTOBUF_C_TYPE_SINT64] = "sint64",     [PROTOBUF_C_TYPE_SFIXED64] = "sfixed64",
		[PROTOBUF_C_TYPE_UINT32] = "uint32",     [PROTOBUF_C_TYPE_FIXED32] = "fixed32",
		[PROTOBUF_C_TYPE_UINT64] = "uint64",     [PROTOBUF_C_TYPE_FIXED64] = "fixed64",
		[PROTOBUF_C_TYPE_FLOAT] = "float",       [PROTOBUF_C_TYPE_DOUBLE] = "double",
		[PROTOBUF_C_TYPE_BOOL] = "bool",         [PROTOBUF_C_TYPE_STRING] = "string",
		[PROTOBUF_C_TYPE_BYTES] = "bytes",
	};

	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return without_package(
			((const ProtobufCMessageDescriptor *)field->descriptor)->name);
	if (field->type == PROTOBUF_C_TYPE_ENUM)
		return without_package(((const ProtobufCEnumDescriptor *)field->descriptor)->name);
	return names[field->type];
}

static const char *label_name(const ProtobufCFieldDescriptor *field)
{
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return "oneof";
	switch (field->label) {
	case PROTOBUF_C_LABEL_REQUIRED:
		return "required";
	case PROTOBUF_C_LABEL_OPTIONAL:
		return "optional";
	case PROTOBUF_C_LABEL_REPEATED:
		return field->flags & PROTOBUF_C_FIELD_FLAG_PACKED ? "packed" : "repeated";
	default:
		return "none";
	}
}

/* "Exec.argv 1 repeated bytes" for each field and "Outcome.OUTCOME_EXITED 1" for each enum value.
 */
static void list_schema(struct lines *lines)
{
	struct types messages = { 0 };
	struct types enums = { 0 };

	add_type(&messages, &provium__v1__message__descriptor);
	for (size_t at = 0; at < messages.count; at++) {
		const ProtobufCMessageDescriptor *message = messages.type[at];

		for (unsigned int i = 0; i < message->n_fields; i++) {
			const ProtobufCFieldDescriptor *field = &message->fields[i];

			add_line(lines, "%s.%s %" PRIu32 " %s %s", without_package(message->name),
				 field->name, field->id, label_name(field), type_name(field));
			if (field->type == PROTOBUF_C_TYPE_MESSAGE)
				add_type(&messages, field->descriptor);
			if (field->type == PROTOBUF_C_TYPE_ENUM)
				add_type(&enums, field->descriptor);
		}
	}
	for (size_t at = 0; at < enums.count; at++) {
		const ProtobufCEnumDescriptor *type = enums.type[at];

		for (unsigned int i = 0; i < type->n_values; i++)
			add_line(lines, "%s.%s %d", without_package(type->name),
				 type->values[i].name, type->values[i].value);
	}
}

static void list_pins(struct lines *lines)
{
	FILE *file = fopen(pins_path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	ck_assert_msg(file != NULL, "cannot open %s", pins_path);
	while ((length = getline(&line, &size, file)) > 0) {
		if (line[length - 1] == '\n')
			line[--length] = '\0';
		if (length > 0 && line[0] != '#')
			add_line(lines, "%s", line);
	}
	free(line);
	fclose(file);
}

static bool contains(const struct lines *lines, const char *line)
{
	for (size_t i = 0; i < lines->count; i++)
		if (strcmp(lines->text[i], line) == 0)
			return true;
	return false;
}

/* The lines of one list that the other lacks, in text. */
static size_t missing(const struct lines *lines, const struct lines *from, char *text, size_t size)
{
	size_t count = 0;
	size_t used = 0;

	for (size_t i = 0; i < lines->count; i++) {
		if (contains(from, lines->text[i]))
			continue;
		count++;
		if (used < size)
			used += (size_t)snprintf(text + used, size - used, "\n  %s",
						 lines->text[i]);
	}
	return count;
}

static struct lines schema;
static struct lines pins;
static char text[4096];

static void read_lists(void)
{
	list_schema(&schema);
	list_pins(&pins);
}

static void free_lists(void)
{
	free_lines(&schema);
	free_lines(&pins);
}

START_TEST(pinned_numbers_are_in_the_schema)
{
	if (missing(&pins, &schema, text, sizeof(text)) > 0)
		ck_abort_msg(
			"pinned, but no longer in provium.proto. A number is for good: clients "
			"in the field use it. Put back what was changed; what is obsolete stays "
			"and is marked so:%s",
			text);
}
END_TEST

START_TEST(numbers_of_the_schema_are_pinned)
{
	if (missing(&schema, &pins, text, sizeof(text)) > 0)
		ck_abort_msg(
			"new in provium.proto. Add to tests/unit/pins.txt (`test-proto-pins "
			"--print` prints the list), describe it in docs/protocol.md, and raise "
			"PROVIUM_PROTOCOL_MINOR in proto/limits.h if the present one has been "
			"released:%s",
			text);
}
END_TEST

START_TEST(no_pin_twice)
{
	for (size_t i = 0; i < pins.count; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(pins.text[i], pins.text[j]);
}
END_TEST

/* The comparison itself: a line that is changed, and one that is gone, are seen. */
START_TEST(differences_are_seen)
{
	struct lines changed = { 0 };

	for (size_t i = 1; i < pins.count; i++)
		add_line(&changed, i == 1 ? "%s0" : "%s", pins.text[i]);
	ck_assert_uint_eq(missing(&pins, &changed, text, sizeof(text)), 2);
	ck_assert_uint_eq(missing(&changed, &pins, text, sizeof(text)), 1);
	free_lines(&changed);
}
END_TEST

/* What the numbers of Message mean beyond being what they are. */
START_TEST(codes)
{
	const ProtobufCMessageDescriptor *message = &provium__v1__message__descriptor;

	for (unsigned int i = 0; i < message->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->fields[i];

		/* Special forms of the first protocol. */
		ck_assert_uint_ne(field->id, 10);
		ck_assert_uint_ne(field->id, 12);
		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			ck_assert_int_eq(field->type, PROTOBUF_C_TYPE_MESSAGE);
	}
	ck_assert_ptr_nonnull(protobuf_c_message_descriptor_get_field(message, 16));
	ck_assert_str_eq(protobuf_c_message_descriptor_get_field(message, 16)->name, "id");
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tcase;

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		list_schema(&schema);
		for (size_t i = 0; i < schema.count; i++)
			puts(schema.text[i]);
		free_lines(&schema);
		return EXIT_SUCCESS;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: %s PINS | --print\n", argv[0]);
		return EXIT_FAILURE;
	}
	pins_path = argv[1];

	suite = suite_create("proto-pins");
	tcase = unit_counted_case("pins");
	tcase_add_checked_fixture(tcase, read_lists, free_lists);
	tcase_add_test(tcase, pinned_numbers_are_in_the_schema);
	tcase_add_test(tcase, numbers_of_the_schema_are_pinned);
	tcase_add_test(tcase, no_pin_twice);
	tcase_add_test(tcase, differences_are_seen);
	tcase_add_test(tcase, codes);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
