/*
 * The schema as a guest carries it: protobuf-c's descriptors in a tenth of their room.
 *
 * protobuf-c generates 72 bytes and a relocation or two for each field, a third of the agent. Of
 * that the runtime needs six small numbers (neither names nor defaults, of which the schema has
 * none). So the build writes those down (pack_schema.c, from the real descriptors) and the program
 * makes descriptors of them when it starts, in memory that the relocated ones would have taken too.
 */
#ifndef PROTO_GUEST_SCHEMA_H
#define PROTO_GUEST_SCHEMA_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct packed_field {
	uint16_t id;
	uint16_t quantifier_offset;
	uint16_t offset;
	/* Index of the message that it holds; without a meaning where it holds none. */
	uint8_t message;
	uint8_t type;
	uint8_t label : 4;
	uint8_t flags : 4;
};

struct packed_message {
	/* Where its descriptor goes: what generated code calls NAME__descriptor. */
	ProtobufCMessageDescriptor *descriptor;
	uint16_t size;
	uint16_t field_count;
};

struct packed_schema {
	const struct packed_message *messages;
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
