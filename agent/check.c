#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool check_fail(struct check_failure *failure, enum error_code code, const char *format, ...)
{
	va_list arguments;

	failure->code = code;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
	return false;
}

#define NAME(name) #name,
static const struct field_names all_names = { FIELD_NAMES(NAME) };
#undef NAME

const char *field_name(const struct field_rule *rule)
{
	return (const char *)&all_names + rule->name;
}

uint64_t field_limit(const struct field_rule *rule)
{
	if (rule->limit == 0)
		return UINT64_MAX;
	return rule->limit == FIELD_INT64_MAX ? INT64_MAX : rule->limit;
}

static const void *value_of(const ProtobufCMessage *message, const struct field_rule *rule)
{
	return (const int *)message + rule->value;
}

/* has_NAME or n_NAME. */
static const void *presence_of(const ProtobufCMessage *message, const struct field_rule *rule)
{
	return (const int *)message + rule->value - rule->presence;
}

static size_t count_of(const ProtobufCMessage *message, const struct field_rule *rule)
{
	return *(const size_t *)presence_of(message, rule);
}

static bool is_present(const ProtobufCMessage *message, const struct field_rule *rule)
{
	switch (rule->type) {
	case FIELD_MESSAGE:
		return *(const void *const *)value_of(message, rule) != NULL;
	case FIELD_REPEATED:
	case FIELD_REPEATED_BYTES:
	case FIELD_REPEATED_MESSAGE:
		return count_of(message, rule) > 0;
	case FIELD_CASE:
		return *(const int *)value_of(message, rule) != 0;
	default:
		return *(const protobuf_c_boolean *)presence_of(message, rule) != 0;
	}
}

static bool check_bytes(const ProtobufCBinaryData *bytes, const struct field_rule *rule,
			struct check_failure *failure)
{
	if (bytes->len > field_limit(rule))
		return check_fail(failure, ERROR_LIMIT, "%s: %zu bytes; at most %llu are allowed",
				  field_name(rule), bytes->len,
				  (unsigned long long)field_limit(rule));
	if ((rule->flags & FIELD_NOT_EMPTY) && bytes->len == 0)
		return check_fail(failure, ERROR_INVALID, "%s: is empty", field_name(rule));
	if ((rule->flags & FIELD_NO_NUL) && bytes->len && memchr(bytes->data, '\0', bytes->len))
		return check_fail(failure, ERROR_INVALID, "%s: holds a NUL byte", field_name(rule));
	return true;
}

static bool check_all_bytes(const ProtobufCMessage *message, const struct field_rule *rule,
			    struct check_failure *failure)
{
	size_t count = count_of(message, rule);
	const ProtobufCBinaryData *all = *(ProtobufCBinaryData *const *)value_of(message, rule);

	for (size_t i = 0; i < count; i++)
		if (!check_bytes(&all[i], rule, failure))
			return false;
	return true;
}

/* A message within: what is wrong is told with the path to it. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool check_within(const ProtobufCMessage *message, const struct field_rule *rule,
			 struct check_failure *failure)
{
	char text[sizeof(failure->text)];

	if (check_fields(message, &field_sets[rule->limit], failure))
		return true;
	memcpy(text, failure->text, sizeof(text));
	return check_fail(failure, failure->code, "%s: %s", field_name(rule), text);
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool check_all_within(const ProtobufCMessage *message, const struct field_rule *rule,
			     struct check_failure *failure)
{
	size_t count = count_of(message, rule);
	ProtobufCMessage *const *all = *(ProtobufCMessage *const *const *)value_of(message, rule);

	for (size_t i = 0; i < count; i++)
		if (!check_within(all[i], rule, failure))
			return false;
	return true;
}

/* Of a present field that is a number. */
static uint64_t number(const ProtobufCMessage *message, const struct field_rule *rule)
{
	switch (rule->type) {
	case FIELD_BOOL:
		return *(const protobuf_c_boolean *)value_of(message, rule) != 0;
	case FIELD_U64:
		return *(const uint64_t *)value_of(message, rule);
	default:
		return *(const uint32_t *)value_of(message, rule);
	}
}

static bool check_number(uint64_t value, const struct field_rule *rule,
			 struct check_failure *failure)
{
	bool is_too_small = (rule->flags & FIELD_NOT_EMPTY) && value == 0;

	if (is_too_small || value > field_limit(rule))
		return check_fail(failure, ERROR_INVALID,
				  "%s: %llu is out of range; the greatest is %llu",
				  field_name(rule), (unsigned long long)value,
				  (unsigned long long)field_limit(rule));
	return true;
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool check_value(const ProtobufCMessage *message, const struct field_rule *rule,
			struct check_failure *failure)
{
	switch (rule->type) {
	case FIELD_BYTES:
		return check_bytes(value_of(message, rule), rule, failure);
	case FIELD_REPEATED_BYTES:
		return check_all_bytes(message, rule, failure);
	case FIELD_MESSAGE:
		return check_within(*(ProtobufCMessage *const *)value_of(message, rule), rule,
				    failure);
	case FIELD_REPEATED_MESSAGE:
		return check_all_within(message, rule, failure);
	case FIELD_REPEATED:
		if (count_of(message, rule) > field_limit(rule))
			return check_fail(failure, ERROR_LIMIT,
					  "%s: %zu entries; at most %llu are allowed",
					  field_name(rule), count_of(message, rule),
					  (unsigned long long)field_limit(rule));
		return true;
	case FIELD_U32:
	case FIELD_U64:
	case FIELD_ENUM:
		return check_number(number(message, rule), rule, failure);
	default:
		return true;
	}
}

static bool check_one_of(const struct field_rule *rules, unsigned int count, unsigned int present,
			 struct check_failure *failure)
{
	char names[96] = "";

	for (unsigned int i = 0; i < count; i++) {
		size_t length = strlen(names);

		if (rules[i].flags & FIELD_ONE_OF)
			snprintf(names + length, sizeof(names) - length, "%s%s",
				 length ? " and " : "", field_name(&rules[i]));
	}
	return check_fail(failure, ERROR_INVALID, "exactly one of %s must be there, not %s", names,
			  present ? "several" : "none");
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, none of which holds itself
bool check_fields(const ProtobufCMessage *message, const struct field_set *set,
		  struct check_failure *failure)
{
	const struct field_rule *rules = set->rules;
	unsigned int count = set->count;
	unsigned int alternatives = 0, chosen = 0;

	if (message->n_unknown_fields > 0)
		return check_fail(failure, ERROR_UNSUPPORTED, "field %u is not known to this agent",
				  message->unknown_fields[0].tag);
	for (unsigned int i = 0; i < count; i++) {
		const struct field_rule *rule = &rules[i];
		bool present = is_present(message, rule);

		if (rule->flags & FIELD_ONE_OF) {
			alternatives++;
			chosen += present;
		}
		if (!present) {
			if (rule->flags & FIELD_REQUIRED)
				return rule->type == FIELD_CASE
					       ? check_fail(failure, ERROR_INVALID, "is empty")
					       : check_fail(failure, ERROR_INVALID, "%s: is absent",
							    field_name(rule));
			continue;
		}
		if (!check_value(message, rule, failure))
			return false;
	}
	if (alternatives > 0 && chosen != 1)
		return check_one_of(rules, count, chosen, failure);
	return true;
}
