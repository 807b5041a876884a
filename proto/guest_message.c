/* What generated code would bring for the guest: the schema, and Message. */
#include "codec.h"
#include "guest_schema.h"

void schema_ready(void)
{
	static bool unpacked;

	if (unpacked)
		return;
	schema_unpack(&packed_schema);
	unpacked = true;
}

size_t provium__v1__message__get_packed_size(const Provium__V1__Message *message)
{
	return protobuf_c_message_get_packed_size(&message->base);
}

size_t provium__v1__message__pack(const Provium__V1__Message *message, uint8_t *out)
{
	return protobuf_c_message_pack(&message->base, out);
}

Provium__V1__Message *provium__v1__message__unpack(ProtobufCAllocator *allocator, size_t len,
						   const uint8_t *data)
{
	return (Provium__V1__Message *)protobuf_c_message_unpack(&provium__v1__message__descriptor,
								 allocator, len, data);
}
