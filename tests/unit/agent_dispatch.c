/* The table of messages against the schema: a row for each message, a rule for each field. */
#include "agent/dispatch.h"
#include "agent/rules.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/check.h"
#include "common/util.h"
#include "unit.h"

/* "exec_result" as documents call it. */
static void upper(const char *name, char *text, size_t size)
{
	snprintf(text, size, "%s", name);
	for (char *at = text; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	/* `stdin` is a macro in C: the field has another name than the message. */
	if (strcmp(text, "STDIN_DATA") == 0)
		text[strlen("STDIN")] = '\0';
}

static bool is_body(const ProtobufCFieldDescriptor *field)
{
	return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

START_TEST(row_for_each_message)
{
	const ProtobufCMessageDescriptor *schema = &provium__v1__message__descriptor;
	unsigned int requests = 0;

	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];
		const struct message_rule *rule = rule_of(field->id);
		char expected[64];

		if (!is_body(field) || field->id >= MAX_REQUEST_CODES) {
			ck_assert_ptr_null(rule);
			continue;
		}
		upper(field->name, expected, sizeof(expected));
		ck_assert_msg(rule != NULL, "no row for %s", expected);
		ck_assert_str_eq(rule->name, expected);
		requests++;
	}
	ck_assert_uint_ge(requests, 40);
}
END_TEST

START_TEST(no_row_for_anything_else)
{
	const ProtobufCMessageDescriptor *schema = &provium__v1__message__descriptor;

	for (uint32_t code = 0; code < 1000; code++) {
		bool known = false;

		for (unsigned int i = 0; i < schema->n_fields; i++)
			known |= schema->fields[i].id == code && is_body(&schema->fields[i]);
		ck_assert_int_eq(rule_of(code) != NULL, known && code < MAX_REQUEST_CODES);
	}
	ck_assert_ptr_null(rule_of(UINT32_MAX));
}
END_TEST

static uint8_t type_of(const ProtobufCFieldDescriptor *field)
{
	if (field->type == PROTOBUF_C_TYPE_BYTES)
		return field->label == PROTOBUF_C_LABEL_REPEATED ? FIELD_REPEATED_BYTES
								 : FIELD_BYTES;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return field->type == PROTOBUF_C_TYPE_MESSAGE ? FIELD_REPEATED_MESSAGE
							      : FIELD_REPEATED;
	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return FIELD_MESSAGE;
	case PROTOBUF_C_TYPE_BOOL:
		return FIELD_BOOL;
	case PROTOBUF_C_TYPE_UINT32:
		return FIELD_U32;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
		return FIELD_I32;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	/* Its rule says that there is nothing below 0 (compare_field). */
	case PROTOBUF_C_TYPE_SINT64:
		return FIELD_U64;
	case PROTOBUF_C_TYPE_ENUM:
		return FIELD_ENUM;
	default:
		ck_abort_msg("%s has a type that check.h does not know", field->name);
	}
}

static void compare_set(const char *name, const ProtobufCMessageDescriptor *schema,
			const struct field_set *set);

// NOLINTNEXTLINE(misc-no-recursion)
static void compare_field(const ProtobufCFieldDescriptor *field, const struct field_rule *rule)
{
	ck_assert_msg(rule->type == type_of(field), "%s: another type", field->name);
	ck_assert_uint_eq(rule->value * sizeof(int), field->offset);
	if (rule->type != FIELD_MESSAGE)
		ck_assert_uint_eq((rule->value - rule->presence) * sizeof(int),
				  field->quantifier_offset);
	if (field->type == PROTOBUF_C_TYPE_SINT64 && rule->type == FIELD_U64)
		ck_assert_uint_eq(field_limit(rule), INT64_MAX);
	if (rule->type == FIELD_ENUM) {
		const ProtobufCEnumDescriptor *values = field->descriptor;
		unsigned int first = rule->flags & FIELD_NOT_EMPTY ? 1 : 0;

		for (unsigned int i = 0; i < values->n_values; i++)
			ck_assert_int_eq(values->values[i].value, (int)(first + i));
		ck_assert_uint_eq(field_limit(rule), first + values->n_values - 1);
	}
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		ck_assert_msg(rule->limit != NO_SET, "%s: nothing is checked within", field->name);
		compare_set(field->name, field->descriptor, &field_sets[rule->limit]);
	}
}

/* A oneof is one rule: whether one of its members must be there. */
static bool is_rule_of(const struct field_rule *rule, const ProtobufCFieldDescriptor *field)
{
	if (rule->type == FIELD_CASE)
		return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		       rule->value * sizeof(int) == field->quantifier_offset;
	return strcmp(field_name(rule), field->name) == 0;
}

/* No message of the schema holds itself. */
// NOLINTNEXTLINE(misc-no-recursion)
static void compare_set(const char *name, const ProtobufCMessageDescriptor *schema,
			const struct field_set *set)
{
	for (unsigned int n = 0; n < schema->n_fields; n++) {
		unsigned int found = 0;

		for (unsigned int r = 0; r < set->count; r++) {
			if (!is_rule_of(&set->rules[r], &schema->fields[n]))
				continue;
			if (set->rules[r].type != FIELD_CASE)
				compare_field(&schema->fields[n], &set->rules[r]);
			found++;
		}
		ck_assert_msg(found == 1, "%s: %u rules for %s", name, found,
			      schema->fields[n].name);
	}
	for (unsigned int r = 0; r < set->count; r++) {
		bool known = false;

		for (unsigned int n = 0; n < schema->n_fields; n++)
			known |= is_rule_of(&set->rules[r], &schema->fields[n]);
		ck_assert_msg(known, "%s: no field %s", name, field_name(&set->rules[r]));
	}
}

/* What has no rule would be passed over without a word. */
START_TEST(rule_for_each_field)
{
	const ProtobufCMessageDescriptor *schema = &provium__v1__message__descriptor;

	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCMessageDescriptor *body = schema->fields[i].descriptor;
		const struct message_rule *rule = rule_of(schema->fields[i].id);

		if (!rule || !rule->handler)
			continue;
		compare_set(rule->name, body, &rule->fields);
	}
}
END_TEST

/* What becomes a C string may not hold a NUL. */
START_TEST(paths_hold_no_nul)
{
	static const char *const strings[] = { "argv", "shell", "env", "cwd", "path" };

	for (uint32_t code = 0; code < MAX_REQUEST_CODES; code++) {
		const struct message_rule *rule = rule_of(code);

		for (unsigned int r = 0; rule && r < rule->fields.count; r++)
			for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
				if (strcmp(field_name(&rule->fields.rules[r]), strings[i]) == 0)
					ck_assert(rule->fields.rules[r].flags & FIELD_NO_NUL);
	}
}
END_TEST

/* Whether a request names a file, or a program, as the schema calls its fields. */
static bool names_a_file(const ProtobufCMessageDescriptor *message)
{
	static const char *const paths[] = { "path", "old_path", "target", "argv" };
	const ProtobufCFieldDescriptor *field;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		field = protobuf_c_message_descriptor_get_field_by_name(message, paths[i]);
		/* STDIN and others say by "target" whose request they mean. */
		if (field && field->type == PROTOBUF_C_TYPE_BYTES)
			return true;
	}
	field = protobuf_c_message_descriptor_get_field_by_name(message, "command");
	return field && field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Else it would be looked for in the initramfs, after init has switched its root. */
START_TEST(files_are_in_the_root_of_init)
{
	const ProtobufCMessageDescriptor *schema = &provium__v1__message__descriptor;

	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];
		const struct message_rule *rule = rule_of(field->id);

		if (rule && is_body(field))
			ck_assert_msg(rule->in_root == names_a_file(field->descriptor), "%s",
				      rule->name);
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* check_fields, on messages of the schema with rules of the test's */

static struct check_failure failure;

#define CHECK(message, rules) \
	check_fields(&(message).base, &(const struct field_set)FIELD_SET(rules), &failure)

START_TEST(check_presence)
{
	static const struct field_rule rules[] = {
		FIELD(Provium__V1__Cancel, request, FIELD_U32, FIELD_REQUIRED, 9),
	};
	Provium__V1__Cancel message = PROVIUM__V1__CANCEL__INIT;

	ck_assert(!CHECK(message, rules));
	ck_assert_int_eq(failure.code, ERROR_INVALID);
	ck_assert_str_eq(failure.text, "request: is absent");
	message.has_request = true;
	message.request = 9;
	ck_assert(CHECK(message, rules));
	message.request = 10;
	ck_assert(!CHECK(message, rules));
	ck_assert_int_eq(failure.code, ERROR_INVALID);
	ck_assert_str_eq(failure.text, "request: 10 is out of range; the greatest is 9");
}
END_TEST

START_TEST(check_bytes)
{
	static const struct field_rule rules[] = {
		FIELD(Provium__V1__Ping, payload, FIELD_BYTES, FIELD_NO_NUL | FIELD_NOT_EMPTY, 3),
	};
	Provium__V1__Ping message = PROVIUM__V1__PING__INIT;

	ck_assert(CHECK(message, rules));
	message.has_payload = true;
	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "payload: is empty");
	message.payload = (ProtobufCBinaryData){ 3, (uint8_t *)"abc" };
	ck_assert(CHECK(message, rules));
	message.payload = (ProtobufCBinaryData){ 3, (uint8_t *)"ab" };
	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "payload: holds a NUL byte");
	ck_assert_int_eq(failure.code, ERROR_INVALID);
	message.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"abcd" };
	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "payload: 4 bytes; at most 3 are allowed");
	ck_assert_int_eq(failure.code, ERROR_LIMIT);
}
END_TEST

START_TEST(check_alternatives)
{
	static const struct field_rule rules[] = {
		FIELD_LIST(Provium__V1__Exec, argv, FIELD_REPEATED_BYTES,
			   FIELD_ONE_OF | FIELD_NO_NUL, 0),
		FIELD(Provium__V1__Exec, shell, FIELD_BYTES, FIELD_ONE_OF, 0),
	};
	ProtobufCBinaryData argv[] = { { 1, (uint8_t *)"a" }, { 1, (uint8_t *)"" } };
	Provium__V1__Exec message = PROVIUM__V1__EXEC__INIT;

	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "exactly one of argv and shell must be there, not none");
	message.argv = argv;
	message.n_argv = 1;
	ck_assert(CHECK(message, rules));
	message.n_argv = 2;
	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "argv: holds a NUL byte");
	message.n_argv = 1;
	message.has_shell = true;
	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "exactly one of argv and shell must be there, not several");
}
END_TEST

START_TEST(check_messages_within)
{
	static const struct field_rule rules[] = {
		FIELD_OBJECT(Provium__V1__Exec, groups, 0, GROUPS_SET),
		FIELD_OBJECTS(Provium__V1__Exec, rlimits, 0, RLIMIT_SET),
	};
	/* One more than Linux takes. */
	static uint32_t gid[65537];
	Provium__V1__Groups groups = PROVIUM__V1__GROUPS__INIT;
	Provium__V1__Rlimit rlimit = PROVIUM__V1__RLIMIT__INIT;
	Provium__V1__Rlimit *rlimits[] = { &rlimit };
	Provium__V1__Exec message = PROVIUM__V1__EXEC__INIT;

	ck_assert(CHECK(message, rules));
	message.groups = &groups;
	groups.gid = gid;
	groups.n_gid = 65536;
	ck_assert(CHECK(message, rules));
	groups.n_gid = 65537;
	ck_assert(!CHECK(message, rules));
	ck_assert_int_eq(failure.code, ERROR_LIMIT);
	ck_assert_str_eq(failure.text, "groups: gid: 65537 entries; at most 65536 are allowed");
	message.groups = NULL;
	message.rlimits = rlimits;
	message.n_rlimits = 1;
	ck_assert(!CHECK(message, rules));
	ck_assert_int_eq(failure.code, ERROR_INVALID);
	ck_assert_str_eq(failure.text, "rlimits: resource: is absent");
}
END_TEST

START_TEST(check_a_union)
{
	static const struct field_rule rules[] = {
		FIELD_UNION(Provium__V1__Target, target, FIELD_REQUIRED),
	};
	Provium__V1__Target message = PROVIUM__V1__TARGET__INIT;

	ck_assert(!CHECK(message, rules));
	ck_assert_str_eq(failure.text, "is empty");
	message.target_case = PROVIUM__V1__TARGET__TARGET_JOB;
	ck_assert(CHECK(message, rules));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: table of messages");
	TCase *table = tcase_create("table");
	TCase *check = tcase_create("check");

	tcase_add_test(table, row_for_each_message);
	tcase_add_test(table, no_row_for_anything_else);
	tcase_add_test(table, rule_for_each_field);
	tcase_add_test(table, paths_hold_no_nul);
	tcase_add_test(table, files_are_in_the_root_of_init);
	suite_add_tcase(suite, table);
	tcase_add_test(check, check_presence);
	tcase_add_test(check, check_bytes);
	tcase_add_test(check, check_alternatives);
	tcase_add_test(check, check_messages_within);
	tcase_add_test(check, check_a_union);
	suite_add_tcase(suite, check);
	return unit_run(suite);
}
