/*
 * Every field of every request, in four wrong ways: absent, empty, oversized and of another kind.
 *
 * The fields are those of the schema's descriptors, down into the messages within messages, so that
 * a new one joins by itself; a new message needs a row below that says what a good one looks like.
 * Whatever comes, a request gets exactly one final reply (or the connection ends with an ERROR,
 * where the frame is no message), the agent goes on, and nothing is left behind.
 */
#include "agent_harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/rules.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* Ids of a case's requests. */
enum {
	ID_COMMAND = 1,
	ID_JOB = 2,
	ID_WRITE = 3,
	ID_CASE = 10,
	ID_PING = 11,
	ID_CANCEL = 12,
};

/*
 * A good request each, in a short form of protobuf's text format. Beside it a command runs as
 * request 1, and a job of the name 'kept'; $F is a file, $D an empty directory, $L a symbolic link,
 * $N nothing. What is good need not succeed.
 */
static const struct {
	int body;
	const char *text;
} bases[] = {
	{ BODY(EXEC), "argv:'true'" },
	{ BODY(WRITE_FILE), "path:'$F'" },
	{ BODY(READ_FILE), "path:'$F'" },
	{ BODY(EXEC_ASYNC), "command:{argv:'true'}" },
	{ BODY(JOB_WAIT), "ref:{name:'kept'}" },
	{ BODY(JOB_KILL), "ref:{name:'kept'}" },
	{ BODY(PING), "payload:'x'" },
	{ BODY(INFO), "" },
	{ BODY(CANCEL), "request:999" },
	{ BODY(STDIN_DATA), "target:{request:1} data:'x'" },
	{ BODY(RESIZE), "target:{request:1} rows:24 cols:80" },
	{ BODY(SIGNAL), "target:{request:1} signal:0" },
	{ BODY(JOB_LIST), "" },
	{ BODY(JOB_OUTPUT), "ref:{name:'kept'}" },
	{ BODY(WRITE_DATA), "data:'x' last:1" },
	{ BODY(STAT), "path:'$F'" },
	{ BODY(LIST_DIR), "path:'$D'" },
	{ BODY(MKDIR), "path:'$N'" },
	{ BODY(REMOVE), "path:'$F'" },
	{ BODY(RENAME), "old_path:'$F' new_path:'$N'" },
	{ BODY(SYMLINK), "target:'to' path:'$N'" },
	{ BODY(READLINK), "path:'$L'" },
	{ BODY(CHMOD), "path:'$F' mode:384" },
	{ BODY(CHOWN), "path:'$F'" },
	/* No such file system: this is the machine that the test runs on. */
	{ BODY(MOUNT), "source:'none' target:'$D' fstype:'no-such-type'" },
	{ BODY(UMOUNT), "target:'$D'" },
	{ BODY(TAIL), "path:'$F'" },
};

enum mutation {
	ABSENT,
	EMPTY,
	OVERSIZED,
	WRONG_KIND,
	MUTATIONS,
};

static const char *const mutation_names[] = { "absent", "empty", "oversized", "of another kind" };

/* ------------------------------------------------------------------------------------------- */
/* Encoding */

struct bytes {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

static void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
}

static void put(struct bytes *bytes, const void *data, size_t size)
{
	if (bytes->size + size > bytes->capacity) {
		bytes->capacity = 2 * (bytes->size + size);
		bytes->data = realloc(bytes->data, bytes->capacity);
		ck_assert_ptr_nonnull(bytes->data);
	}
	if (size > 0)
		memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

static void put_fill(struct bytes *bytes, uint8_t byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		put(bytes, &byte, 1);
}

static void put_varint(struct bytes *bytes, uint64_t value)
{
	do {
		uint8_t byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);

		put(bytes, &byte, 1);
		value >>= 7;
	} while (value > 0);
}

enum wire {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_LENGTH = 2,
	/* No field of the schema is of this kind. */
	WIRE_FIXED32 = 5,
};

static void put_tag(struct bytes *bytes, uint32_t number, enum wire wire)
{
	put_varint(bytes, (uint64_t)number << 3 | wire);
}

static void put_block(struct bytes *bytes, uint32_t number, const void *data, size_t size)
{
	put_tag(bytes, number, WIRE_LENGTH);
	put_varint(bytes, size);
	put(bytes, data, size);
}

static bool is_block(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_STRING ||
	       field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static void put_greatest(struct bytes *bytes, const ProtobufCFieldDescriptor *field)
{
	if (field->type == PROTOBUF_C_TYPE_FIXED64 || field->type == PROTOBUF_C_TYPE_SFIXED64)
		put_fill(bytes, 0xff, 8);
	else
		put_varint(bytes, UINT64_MAX);
}

static void put_oversized(struct bytes *bytes, const ProtobufCFieldDescriptor *field)
{
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	cleanup(bytes_free) struct bytes content = { 0 };

	if (field->type == PROTOBUF_C_TYPE_MESSAGE && !repeated) {
		/* A field that nobody knows. */
		put_fill(&content, 'x', MIB(1));
		cleanup(bytes_free) struct bytes within = { 0 };

		put_block(&within, 1000, content.data, content.size);
		put_block(bytes, field->id, within.data, within.size);
	} else if (is_block(field) && repeated) {
		for (int i = 0; i < 20000; i++)
			put_block(bytes, field->id, "x", field->type == PROTOBUF_C_TYPE_BYTES);
	} else if (is_block(field)) {
		put_fill(&content, 'x', MIB(2));
		put_block(bytes, field->id, content.data, content.size);
	} else if (repeated) {
		for (int i = 0; i < 20000; i++)
			put_greatest(&content, field);
		put_block(bytes, field->id, content.data, content.size);
	} else {
		put_tag(bytes, field->id,
			field->type == PROTOBUF_C_TYPE_FIXED64 ? WIRE_FIXED64 : WIRE_VARINT);
		put_greatest(bytes, field);
	}
}

/* False: the field cannot be wrong in this way. */
static bool put_mutated(struct bytes *bytes, const ProtobufCFieldDescriptor *field,
			enum mutation mutation)
{
	switch (mutation) {
	case ABSENT:
		return true;
	case EMPTY:
		if (!is_block(field) && field->label != PROTOBUF_C_LABEL_REPEATED)
			return false;
		put_block(bytes, field->id, "", 0);
		return true;
	case OVERSIZED:
		put_oversized(bytes, field);
		return true;
	default:
		put_tag(bytes, field->id, WIRE_FIXED32);
		put_fill(bytes, 1, 4);
		return true;
	}
}

/* ------------------------------------------------------------------------------------------- */
/* A good request, and the one field in it that is not */

/* The files' names, by the letter behind the dollar sign. */
static const char *file_of(char letter)
{
	const char name[] = { letter, '\0' };

	return test_path(name);
}

struct target {
	/* From the outermost message in. */
	const ProtobufCFieldDescriptor *path[8];
	unsigned int depth;
	enum mutation mutation;
	/* The field cannot be wrong in this way. */
	bool impossible;
};

/* NAME:'TEXT', NAME:NUMBER or NAME:{...}; *text is put behind it and what follows it. */
struct token {
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
};

static bool next_token(const char **text, const char *end, struct token *token)
{
	const char *at = *text;
	int nesting = 0;

	while (at < end && *at == ' ')
		at++;
	if (at == end)
		return false;
	token->name = at;
	token->name_length = strcspn(at, ":");
	at += token->name_length + 1;
	token->value = at;
	do {
		nesting += (*at == '{') - (*at == '}');
		at++;
	} while (at < end && (nesting > 0 || *at != ' '));
	token->value_length = (size_t)(at - token->value);
	*text = at;
	return true;
}

/* False: there is none; *token is an empty message then. */
static bool find_token(const char *text, size_t length, const char *name, struct token *token)
{
	const char *end = text + length;

	while (next_token(&text, end, token))
		if (token->name_length == strlen(name) &&
		    memcmp(token->name, name, token->name_length) == 0)
			return true;
	*token = (struct token){ .value = "{}", .value_length = 2 };
	return false;
}

static void put_text(struct bytes *bytes, uint32_t number, const struct token *token)
{
	/* Without the quotation marks. */
	const char *value = token->value + 1;
	size_t length = token->value_length - 2;

	if (*value == '$') {
		value = file_of(value[1]);
		length = strlen(value);
	}
	put_block(bytes, number, value, length);
}

static void encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		   size_t length, struct target *target, unsigned int depth);

// NOLINTNEXTLINE(misc-no-recursion)
static void put_message(struct bytes *bytes, const ProtobufCFieldDescriptor *field,
			const char *text, size_t length, struct target *target, unsigned int depth)
{
	cleanup(bytes_free) struct bytes within = { 0 };

	encode(&within, field->descriptor, text, length, target, depth);
	put_block(bytes, field->id, within.data, within.size);
}

/* depth: how far the target's path leads to this message; beyond its end it leads elsewhere. */
// NOLINTNEXTLINE(misc-no-recursion): no message of the schema holds itself
static void encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		   size_t length, struct target *target, unsigned int depth)
{
	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];
		bool on_path = depth < target->depth && target->path[depth] == field;
		struct token token;
		bool found = find_token(text, length, field->name, &token);

		if (on_path && depth + 1 == target->depth)
			target->impossible = !put_mutated(bytes, field, target->mutation);
		else if (field->type == PROTOBUF_C_TYPE_MESSAGE && (found || on_path))
			put_message(bytes, field, token.value + 1, token.value_length - 2, target,
				    on_path ? depth + 1 : target->depth);
		else if (found && is_block(field))
			put_text(bytes, field->id, &token);
		else if (found) {
			put_tag(bytes, field->id, WIRE_VARINT);
			put_varint(bytes, strtoull(token.value, NULL, 10));
		}
	}
}

/* ------------------------------------------------------------------------------------------- */
/* A case */

static void send_body(struct client *to, uint32_t id, int body, const void *data, size_t size)
{
	cleanup(bytes_free) struct bytes message = { 0 };
	uint8_t header[FRAME_HEADER];

	put_tag(&message, 16, WIRE_VARINT);
	put_varint(&message, id);
	put_block(&message, (uint32_t)body, data, size);
	frame_put_header(header, (uint32_t)message.size);
	client_send_bytes(to, header, sizeof(header));
	client_send_bytes(to, message.data, message.size);
}

static const ProtobufCMessageDescriptor *schema_of(int body)
{
	return protobuf_c_message_descriptor_get_field(&provium__v1__message__descriptor,
						       (unsigned int)body)
		->descriptor;
}

static void send_text(struct client *to, uint32_t id, int body, const char *text)
{
	cleanup(bytes_free) struct bytes bytes = { 0 };
	struct target nothing = { 0 };

	encode(&bytes, schema_of(body), text, strlen(text), &nothing, 0);
	send_body(to, id, body, bytes.data, bytes.size);
}

static bool is_served(int body)
{
	const struct message_rule *rule = rule_of((uint32_t)body);

	return rule && rule->handler && body != BODY(SHUTDOWN);
}

static bool is_stream_message(const Provium__V1__Message *message)
{
	switch (message->body_case) {
	case BODY(OUTPUT):
	case BODY(FILE_DATA):
	case BODY(WRITE_ACK):
	case BODY(DIR_ENTRIES):
		return true;
	default:
		return false;
	}
}

static void make_files(void)
{
	FILE *file = fopen(file_of('F'), "we");

	ck_assert_ptr_nonnull(file);
	fputs("some text", file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert(mkdir(file_of('D'), 0700) == 0 || errno == EEXIST);
	ck_assert(symlink("to", file_of('L')) == 0 || errno == EEXIST);
	(void)remove(file_of('N'));
}

/* What a request may be about. */
static void prepare(struct client *to, int body)
{
	make_files();
	client_connect(to);
	send_text(to, ID_COMMAND, BODY(EXEC), "argv:'cat' stdin_kind:2");
	if (is_served(BODY(EXEC_ASYNC))) {
		send_text(to, ID_JOB, BODY(EXEC_ASYNC),
			  "command:{argv:'cat' stdin_kind:2} name:'kept'");
		ck_assert_uint_eq(client_expect(to, BODY(JOB_STARTED))->id, ID_JOB);
	}
	if (body == BODY(WRITE_DATA))
		send_text(to, ID_CASE, BODY(WRITE_FILE), "path:'$F'");
}

/* What came of a case. */
struct verdict {
	unsigned int finals;
	bool pong;
	bool cancel_answered;
	/* ERROR with id 0, and the connection's end. */
	bool ended;
	/* 0: no ERROR. */
	int code;
	char text[512];
};

static void take_error(struct verdict *verdict, const Provium__V1__Error *error)
{
	verdict->code = (int)error->code;
	snprintf(verdict->text, sizeof(verdict->text), "%s", error->text);
}

/* Until all is answered, or the connection ends. */
static void collect(struct client *from, struct verdict *verdict)
{
	while (!verdict->pong || !verdict->cancel_answered || verdict->finals == 0) {
		const Provium__V1__Message *message = client_receive(from);

		if (!message) {
			ck_assert(verdict->ended);
			return;
		}
		if (message->body_case == BODY(ERROR) &&
		    (message->id == 0 || message->id == ID_CASE))
			take_error(verdict, message->error);
		if (message->id == 0 && message->body_case == BODY(ERROR)) {
			verdict->ended = true;
		} else if (message->id == ID_CASE) {
			verdict->finals += !is_stream_message(message);
		} else if (message->id == ID_PING) {
			verdict->pong = true;
		} else if (message->id == ID_CANCEL) {
			verdict->cancel_answered = true;
		}
	}
}

static void end_job(void)
{
	struct client other;

	if (!is_served(BODY(JOB_KILL)))
		return;
	client_connect(&other);
	send_text(&other, ID_JOB, BODY(JOB_KILL), "ref:{name:'kept'}");
	/* The case itself may have ended it. */
	while (is_stream_message(client_receive(&other)))
		;
	client_close(&other);
}

static void describe(const struct target *target, int body, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s", rule_of((uint32_t)body)->name);

	for (unsigned int i = 0; i < target->depth; i++)
		used += (size_t)snprintf(text + used, size - used, ".%s", target->path[i]->name);
	snprintf(text + used, size - used, " %s", mutation_names[target->mutation]);
}

static void run_case(int body, const char *text, struct target *target)
{
	cleanup(bytes_free) struct bytes bytes = { 0 };
	struct verdict verdict = { 0 };
	struct client own;
	char name[256];

	encode(&bytes, schema_of(body), text, strlen(text), target, 0);
	if (target->impossible) {
		target->impossible = false;
		return;
	}
	describe(target, body, name, sizeof(name));
	prepare(&own, body);
	send_body(&own, ID_CASE, body, bytes.data, bytes.size);
	send_text(&own, ID_PING, BODY(PING), "");
	send_text(&own, ID_CANCEL, BODY(CANCEL), "request:10");
	collect(&own, &verdict);
	client_close(&own);
	end_job();

	if (verdict.ended)
		ck_assert_msg(verdict.finals == 0, "%s: a reply and the end: %s", name,
			      verdict.text);
	else
		ck_assert_msg(verdict.finals == 1, "%s: %u replies", name, verdict.finals);
	/* A frame that is no message ends the connection; nothing else does. */
	ck_assert_msg(verdict.ended == (target->mutation == WRONG_KIND), "%s: %s", name,
		      verdict.text);
	if (verdict.ended)
		ck_assert_msg(verdict.code == CODE(INVALID), "%s: %s", name, verdict.text);
	if (verdict.code)
		ck_assert_msg(verdict.text[0] != '\0', "%s: an ERROR without a text", name);
}

/* Whether the agent says which field a request lacks. */
static void check_absent(int body, const char *text, struct target *target,
			 const struct field_rule *rule)
{
	cleanup(bytes_free) struct bytes bytes = { 0 };
	const Provium__V1__Message *message;
	struct client own;

	if (!(rule->flags & FIELD_REQUIRED))
		return;
	target->mutation = ABSENT;
	encode(&bytes, schema_of(body), text, strlen(text), target, 0);
	client_connect(&own);
	if (body == BODY(WRITE_DATA))
		send_text(&own, ID_CASE, BODY(WRITE_FILE), "path:'$F'");
	send_body(&own, ID_CASE, body, bytes.data, bytes.size);
	message = client_expect(&own, BODY(ERROR));
	ck_assert_uint_eq(message->id, ID_CASE);
	ck_assert_int_eq(message->error->code, CODE(INVALID));
	ck_assert_msg(strstr(message->error->text, rule->name), "%s.%s absent: %s",
		      rule_of((uint32_t)body)->name, rule->name, message->error->text);
	client_close(&own);
}

// NOLINTNEXTLINE(misc-no-recursion): no message of the schema holds itself
static void walk(int body, const char *text, const ProtobufCMessageDescriptor *schema,
		 struct target *target)
{
	ck_assert_uint_lt(target->depth, ARRAY_SIZE(target->path));
	target->depth++;
	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];

		target->path[target->depth - 1] = field;
		for (target->mutation = 0; target->mutation < MUTATIONS; target->mutation++)
			run_case(body, text, target);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			walk(body, text, field->descriptor, target);
	}
	target->depth--;
}

START_TEST(each_field)
{
	int body = bases[_i].body;
	const struct message_rule *rule = rule_of((uint32_t)body);
	struct target target = { 0 };
	Provium__V1__InfoResult before, after;

	if (!is_served(body))
		return;
	before = client_info(&client);
	walk(body, bases[_i].text, schema_of(body), &target);
	target.depth = 1;
	for (unsigned int i = 0; i < rule->fields.count; i++) {
		target.path[0] = protobuf_c_message_descriptor_get_field_by_name(
			schema_of(body), rule->fields.rules[i].name);
		check_absent(body, bases[_i].text, &target, &rule->fields.rules[i]);
	}
	client_ping(&client);
	eventually(client_info(&client).commands_running == 0);
	eventually(client_info(&client).connections == 1);
	after = client_info(&client);
	/* The test itself is part of the process; what it has closed is closed. */
	ck_assert_uint_eq(after.open_fds, before.open_fds);
}
END_TEST

/* Every request that is served is looked at. */
START_TEST(each_request)
{
	for (uint32_t code = 0; code < MAX_REQUEST_CODES; code++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
			found |= bases[i].body == (int)code;
		ck_assert_msg(found || !is_served((int)code), "no row for %s", rule_of(code)->name);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: fields of requests");
	TCase *tcase = unit_counted_case("fields");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_loop_test(tcase, each_field, 0, ARRAY_SIZE(bases));
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("rows");
	tcase_add_test(tcase, each_request);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
