/* The guest's packed schema gives the descriptors that the generator made, as far as they are used.
 */
#include "proto/guest_schema.h"

#include "provium.pb-c.h"
#include "unit.h"

static void compare(const ProtobufCMessageDescriptor *real,
		    const ProtobufCMessageDescriptor *packed);

// NOLINTNEXTLINE(misc-no-recursion)
static void compare_field(const ProtobufCFieldDescriptor *real,
			  const ProtobufCFieldDescriptor *packed)
{
	ck_assert_uint_eq(packed->id, real->id);
	ck_assert_int_eq(packed->label, real->label);
	ck_assert_int_eq(packed->type, real->type);
	ck_assert_uint_eq(packed->quantifier_offset, real->quantifier_offset);
	ck_assert_uint_eq(packed->offset, real->offset);
	ck_assert_uint_eq(packed->flags, real->flags);
	ck_assert_ptr_null(packed->default_value);
	ck_assert_ptr_null(real->default_value);
	if (real->type == PROTOBUF_C_TYPE_MESSAGE)
		compare(real->descriptor, packed->descriptor);
	else
		ck_assert_ptr_null(packed->descriptor);
}

/* No message of the schema holds itself. */
// NOLINTNEXTLINE(misc-no-recursion)
static void compare(const ProtobufCMessageDescriptor *real,
		    const ProtobufCMessageDescriptor *packed)
{
	ck_assert_uint_eq(packed->magic, real->magic);
	ck_assert_uint_eq(packed->sizeof_message, real->sizeof_message);
	ck_assert_uint_eq(packed->n_fields, real->n_fields);
	for (unsigned int i = 0; i < real->n_fields; i++)
		compare_field(&real->fields[i], &packed->fields[i]);
	ck_assert_uint_eq(packed->n_field_ranges, real->n_field_ranges);
	for (unsigned int i = 0; i < real->n_field_ranges + (real->n_fields > 0); i++) {
		ck_assert_int_eq(packed->field_ranges[i].start_value,
				 real->field_ranges[i].start_value);
		ck_assert_uint_eq(packed->field_ranges[i].orig_index,
				  real->field_ranges[i].orig_index);
	}
}

START_TEST(same_descriptors)
{
	schema_unpack(&packed_schema);
	compare(&provium__v1__message__descriptor, packed_schema.descriptors[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest schema");
	TCase *tcase = tcase_create("packed");

	tcase_add_test(tcase, same_descriptors);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
