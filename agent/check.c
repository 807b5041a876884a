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

static const void *at(const ProtobufCMessage *message, size_t offset)
{
	return (const char *)message + offset;
}

static bool is_present(const ProtobufCMessage *message, const struct field_rule *rule)
{
	switch (rule->type) {
	case FIELD_MESSAGE:
		return *(const void *const *)at(message, rule->value) != NULL;
	case FIELD_REPEATED:
	case FIELD_REPEATED_BYTES:
	case FIELD_REPEATED_MESSAGE:
		return *(const size_t *)at(message, rule->presence) > 0;
	case FIELD_CASE:
		return *(const int *)at(message, rule->value) != 0;
	default:
		return *(const protobuf_c_boolean *)at(message, rule->presence) != 0;
	}
}

static bool check_bytes(const ProtobufCBinaryData *bytes, const struct field_rule *rule,
			struct check_failure *failure)
{
	if (rule->max && bytes->len > rule->max)
		return check_fail(failure, ERROR_LIMIT, "%s: %zu bytes; at most %llu are allowed",
				  rule->name, bytes->len, (unsigned long long)rule->max);
	if ((rule->flags & FIELD_NOT_EMPTY) && bytes->len == 0)
		return check_fail(failure, ERROR_INVALID, "%s: is empty", rule->name);
	if ((rule->flags & FIELD_NO_NUL) && bytes->len && memchr(bytes->data, '\0', bytes->len))
		return check_fail(failure, ERROR_INVALID, "%s: holds a NUL byte", rule->name);
	return true;
}

static bool check_all_bytes(const ProtobufCMessage *message, const struct field_rule *rule,
			    struct check_failure *failure)
{
	size_t count = *(const size_t *)at(message, rule->presence);
	const ProtobufCBinaryData *all = *(ProtobufCBinaryData *const *)at(message, rule->value);

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

	if (!rule->set || check_fields(message, rule->set, failure))
		return true;
	memcpy(text, failure->text, sizeof(text));
	return check_fail(failure, failure->code, "%s: %s", rule->name, text);
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool check_all_within(const ProtobufCMessage *message, const struct field_rule *rule,
			     struct check_failure *failure)
{
	size_t count = *(const size_t *)at(message, rule->presence);
	ProtobufCMessage *const *all = *(ProtobufCMessage *const *const *)at(message, rule->value);

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
		return *(const protobuf_c_boolean *)at(message, rule->value) != 0;
	case FIELD_U64:
		return *(const uint64_t *)at(message, rule->value);
	default:
		return *(const uint32_t *)at(message, rule->value);
	}
}

static bool check_number(uint64_t value, const struct field_rule *rule,
			 struct check_failure *failure)
{
	bool is_too_small = (rule->flags & FIELD_NOT_EMPTY) && value == 0;

	if (is_too_small || (rule->max && value > rule->max))
		return check_fail(failure, ERROR_INVALID,
				  "%s: %llu is out of range; the greatest is %llu", rule->name,
				  (unsigned long long)value, (unsigned long long)rule->max);
	return true;
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool check_value(const ProtobufCMessage *message, const struct field_rule *rule,
			struct check_failure *failure)
{
	switch (rule->type) {
	case FIELD_BYTES:
		return check_bytes(at(message, rule->value), rule, failure);
	case FIELD_REPEATED_BYTES:
		return check_all_bytes(message, rule, failure);
	case FIELD_MESSAGE:
		return check_within(*(ProtobufCMessage *const *)at(message, rule->value), rule,
				    failure);
	case FIELD_REPEATED_MESSAGE:
		return check_all_within(message, rule, failure);
	case FIELD_REPEATED:
		if (rule->max && *(const size_t *)at(message, rule->presence) > rule->max)
			return check_fail(failure, ERROR_LIMIT,
					  "%s: %zu entries; at most %llu are allowed", rule->name,
					  *(const size_t *)at(message, rule->presence),
					  (unsigned long long)rule->max);
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
				 length ? " and " : "", rules[i].name);
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
							    rule->name);
			continue;
		}
		if (!check_value(message, rule, failure))
			return false;
	}
	if (alternatives > 0 && chosen != 1)
		return check_one_of(rules, count, chosen, failure);
	return true;
}
