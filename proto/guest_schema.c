#include "guest_schema.h"

/*
 * The ranges of consecutive numbers among a message's fields, in the form that protobuf-c looks a
 * number up in: where each begins, then an end mark. Returns the room behind them.
 */
static ProtobufCIntRange *unpack_ranges(ProtobufCMessageDescriptor *message,
					ProtobufCIntRange *range)
{
	const ProtobufCFieldDescriptor *fields = message->fields;

	message->field_ranges = range;
	for (unsigned int i = 0; i < message->n_fields; i++) {
		if (i > 0 && fields[i].id == fields[i - 1].id + 1)
			continue;
		*range++ = (ProtobufCIntRange){ (int)fields[i].id, i };
		message->n_field_ranges++;
	}
	*range++ = (ProtobufCIntRange){ 0, message->n_fields };
	return range;
}

static void unpack_field(const struct packed_schema *schema, const struct packed_field *from,
			 ProtobufCFieldDescriptor *field)
{
	unsigned int label = from->kind >> PACKED_TYPE_BITS & ((1u << PACKED_LABEL_BITS) - 1);

	field->id = from->id;
	field->label = (ProtobufCLabel)label;
	field->type = (ProtobufCType)(from->kind & ((1u << PACKED_TYPE_BITS) - 1));
	field->quantifier_offset = from->quantifier_offset * PACKED_OFFSET_UNIT;
	field->offset = from->offset * PACKED_OFFSET_UNIT;
	if (from->kind & PACKED_SPECIAL)
		field->flags = label == PROTOBUF_C_LABEL_REPEATED ? PROTOBUF_C_FIELD_FLAG_PACKED
								  : PROTOBUF_C_FIELD_FLAG_ONEOF;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		field->descriptor = schema->descriptors[from->message];
}

void schema_unpack(const struct packed_schema *schema)
{
	const struct packed_field *from = schema->fields;
	ProtobufCFieldDescriptor *field = schema->field_room;
	ProtobufCIntRange *range = schema->range_room;

	for (unsigned int i = 0; i < schema->message_count; i++) {
		const struct packed_message *packed = &schema->messages[i];
		ProtobufCMessageDescriptor *message = schema->descriptors[i];

		/* No message_init: protobuf-c then clears the message, which is what it would do.
		 */
		message->magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC;
		message->sizeof_message = (size_t)packed->size * PACKED_SIZE_UNIT;
		message->n_fields = packed->field_count;
		message->fields = field;
		for (unsigned int n = 0; n < packed->field_count; n++)
			unpack_field(schema, from++, field++);
		range = unpack_ranges(message, range);
	}
}
