/*
 * The schema as a guest carries it: protobuf-c's descriptors in a fifteenth of their room.
 *
 * protobuf-c generates 72 bytes and a relocation or two for each field, a third of the agent. Of
 * that the runtime needs six small numbers (neither names nor defaults, of which the schema has
 * none). So the build writes those down (pack_schema.c, from the real descriptors) and the program
 * makes descriptors of them when it first decodes, in memory that the relocated ones would have
 * taken too.
 */
#ifndef PROTO_GUEST_SCHEMA_H
#define PROTO_GUEST_SCHEMA_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* Every offset is a multiple of an int's size, every size one of a pointer's. */
#define PACKED_OFFSET_UNIT 4u
#define PACKED_SIZE_UNIT   8u

/* Of a field's kind: the type, the label, and whether it is packed (a repeated one) or of a oneof.
 */
#define PACKED_TYPE_BITS   5u
#define PACKED_LABEL_BITS  2u
#define PACKED_SPECIAL     0x80u

struct packed_field {
	uint8_t id;
	uint8_t quantifier_offset;
	uint8_t offset;
	uint8_t kind;
	/* Index of the message that it holds; without a meaning where it holds none. */
	uint8_t message;
};

struct packed_message {
	uint8_t size;
	uint8_t field_count;
};

struct packed_schema {
	const struct packed_message *messages;
	/* Where each message's descriptor goes: what generated code calls NAME__descriptor. */
	ProtobufCMessageDescriptor *const *descriptors;
	unsigned int message_count;
	/* Of all messages, one behind the other; in each by number. */
	const struct packed_field *fields;
	/* Room for as many, and for their ranges of numbers. */
	ProtobufCFieldDescriptor *field_room;
	ProtobufCIntRange *range_room;
};

/* Written by pack-schema. */
extern const struct packed_schema packed_schema;

void schema_unpack(const struct packed_schema *schema);

#endif
