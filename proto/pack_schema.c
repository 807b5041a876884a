/*
 * pack-schema TABLES CHECK [PREFIX]: a program of the build. Walks the generated descriptors from
 * Message on and writes C: the tables that guest_schema.h describes, and assertions that the
 * guest's compiler lays the messages out as this one did, since offsets are written as numbers.
 * PREFIX goes before the names of the descriptors (for a test, which has the real ones too).
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/guest_schema.h"
#include "provium.pb-c.h"

#define MAX_MESSAGES 256

static const ProtobufCMessageDescriptor *messages[MAX_MESSAGES];
static unsigned int message_count;
static const char *prefix = "";

static void fail(const char *text, const char *name)
{
	fprintf(stderr, "pack-schema: %s: %s\n", text, name);
	exit(1);
}

static unsigned int index_of(const ProtobufCMessageDescriptor *message)
{
	for (unsigned int i = 0; i < message_count; i++)
		if (messages[i] == message)
			return i;
	if (message_count == MAX_MESSAGES)
		fail("too many messages", message->name);
	messages[message_count] = message;
	return message_count++;
}

static void check(const ProtobufCMessageDescriptor *message)
{
	if (message->sizeof_message > UINT8_MAX * PACKED_SIZE_UNIT ||
	    message->sizeof_message % PACKED_SIZE_UNIT || message->n_fields > UINT8_MAX)
		fail("too large to be packed", message->name);
	for (unsigned int i = 0; i < message->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->fields[i];

		if (field->id > UINT8_MAX || field->offset % PACKED_OFFSET_UNIT ||
		    field->quantifier_offset % PACKED_OFFSET_UNIT ||
		    field->offset > UINT8_MAX * PACKED_OFFSET_UNIT)
			fail("cannot be packed", field->name);
		if (field->default_value)
			fail("has a default, which guest_schema.h has no room for", field->name);
	}
}

static unsigned int kind_of(const ProtobufCFieldDescriptor *field)
{
	unsigned int special = field->label == PROTOBUF_C_LABEL_REPEATED
				       ? PROTOBUF_C_FIELD_FLAG_PACKED
				       : PROTOBUF_C_FIELD_FLAG_ONEOF;

	if (field->flags & ~special || (unsigned int)field->type >> PACKED_TYPE_BITS ||
	    (unsigned int)field->label >> PACKED_LABEL_BITS)
		fail("is of a kind that cannot be packed", field->name);
	return (unsigned int)field->type | (unsigned int)field->label << PACKED_TYPE_BITS |
	       (field->flags & special ? PACKED_SPECIAL : 0);
}

/* All messages that Message can hold, in the order in which they are found. */
static void collect(void)
{
	index_of(&provium__v1__message__descriptor);
	for (unsigned int i = 0; i < message_count; i++) {
		check(messages[i]);
		for (unsigned int n = 0; n < messages[i]->n_fields; n++)
			if (messages[i]->fields[n].type == PROTOBUF_C_TYPE_MESSAGE)
				index_of(messages[i]->fields[n].descriptor);
	}
}

/* "provium.v1.ExecResult" as generated code has it: provium__v1__exec_result. */
static void print_name(FILE *file, const ProtobufCMessageDescriptor *message)
{
	int was_upper = 1;

	fprintf(file, "%s", prefix);
	for (const char *at = message->name; *at; at++) {
		int is_upper = isupper((unsigned char)*at);

		if (*at == '.') {
			fprintf(file, "__");
			was_upper = 1;
			continue;
		}
		if (is_upper && !was_upper)
			fputc('_', file);
		fputc(tolower((unsigned char)*at), file);
		was_upper = is_upper;
	}
	fprintf(file, "__descriptor");
}

static void print_fields(FILE *file, const ProtobufCMessageDescriptor *message)
{
	fprintf(file, "\t/* %s */\n", message->name);
	for (unsigned int i = 0; i < message->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->fields[i];
		unsigned int held = 0;

		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			held = index_of(field->descriptor);
		fprintf(file, "\t{ %u, %u, %u, %u, %u },\n", field->id,
			field->quantifier_offset / PACKED_OFFSET_UNIT,
			field->offset / PACKED_OFFSET_UNIT, kind_of(field), held);
	}
}

static void print_tables(FILE *file)
{
	unsigned int fields = 0, ranges = 0;

	fprintf(file, "/* By pack-schema. */\n#include \"proto/guest_schema.h\"\n\n");
	for (unsigned int i = 0; i < message_count; i++) {
		fprintf(file, "ProtobufCMessageDescriptor ");
		print_name(file, messages[i]);
		fprintf(file, ";\n");
		fields += messages[i]->n_fields;
		ranges += messages[i]->n_field_ranges + 1;
	}
	fprintf(file, "\nstatic const struct packed_message packed_messages[] = {\n");
	for (unsigned int i = 0; i < message_count; i++)
		fprintf(file, "\t{ %zu, %u },\n", messages[i]->sizeof_message / PACKED_SIZE_UNIT,
			messages[i]->n_fields);
	fprintf(file, "};\n\nstatic ProtobufCMessageDescriptor *const packed_descriptors[] = {\n");
	for (unsigned int i = 0; i < message_count; i++) {
		fprintf(file, "\t&");
		print_name(file, messages[i]);
		fprintf(file, ",\n");
	}
	fprintf(file, "};\n\nstatic const struct packed_field packed_fields[] = {\n");
	for (unsigned int i = 0; i < message_count; i++)
		print_fields(file, messages[i]);
	fprintf(file,
		"};\n\n"
		"static ProtobufCFieldDescriptor field_room[%u];\n"
		"static ProtobufCIntRange range_room[%u];\n\n"
		"const struct packed_schema packed_schema = {\n"
		"\tpacked_messages, packed_descriptors, %u, packed_fields, field_room, "
		"range_room,\n};\n",
		fields, ranges, message_count);
}

static void print_check(FILE *file)
{
	fprintf(file,
		"/* By pack-schema. */\n#include <assert.h>\n\n#include \"provium.pb-c.h\"\n\n");
	for (unsigned int i = 0; i < message_count; i++)
		fprintf(file, "static_assert(sizeof(%s) == %zu, \"another layout\");\n",
			messages[i]->c_name, messages[i]->sizeof_message);
}

static void write_file(const char *path, void (*print)(FILE *file))
{
	FILE *file = fopen(path, "w");

	if (!file)
		fail("cannot be written", path);
	print(file);
	if (ferror(file) | fclose(file))
		fail("cannot be written", path);
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: pack-schema TABLES CHECK [PREFIX]\n");
		return 2;
	}
	if (argc == 4)
		prefix = argv[3];
	collect();
	write_file(argv[1], print_tables);
	write_file(argv[2], print_check);
	return 0;
}
