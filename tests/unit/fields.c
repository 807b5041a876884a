#include "fields.h"

#include <stdio.h>
#include <string.h>

#include "agent/rules.h"
#include "agent_harness.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "field_encode.h"

/* Ids of a case's requests. */
enum {
	ID_COMMAND = 1,
	ID_JOB = 2,
	ID_CASE = 10,
	ID_PING = 11,
	ID_CANCEL = 12,
	ID_LAST = 13,
};

static const struct fields_agent *agent;

#define KEPT_JOB "name:'kept'"

/*
 * A good request each, in a short form of protobuf's text format. Where it speaks of them a command
 * runs as request 1, and a job of the name 'kept'; $F is a file, $D an empty directory, $L a
 * symbolic link, $N nothing. What is good need not succeed.
 */
static const struct {
	int body;
	const char *text;
	/* Served where there is a supervisor alone. */
	bool supervised;
} bases[] = {
	{ BODY(EXEC), "argv:'true'" },
	{ BODY(WRITE_FILE), "path:'$F'" },
	{ BODY(READ_FILE), "path:'$F'" },
	{ BODY(EXEC_ASYNC), "command:{argv:'true'}" },
	{ BODY(JOB_WAIT), "ref:{name:'kept'}" },
	{ BODY(JOB_KILL), "ref:{name:'kept'}" },
	{ BODY(PING), "payload:'x'" },
	{ BODY(AUTH), "token:'x'" },
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
	/* No such file system: this may be the machine that the test runs on. */
	{ BODY(MOUNT), "source:'none' target:'$D' fstype:'no-such-type'" },
	{ BODY(UMOUNT), "target:'$D'" },
	{ BODY(TAIL), "path:'$F'" },
	/* getpid(2), and an ioctl(2) that no fd answers. */
	{ BODY(SYSCALL), "numbers:39" },
	{ BODY(IOCTL), "fd:-1 command:0" },
	{ BODY(READ_MEMORY), "address:0 length:1" },
	{ BODY(SPAWN_WORKER), "", true },
	{ BODY(WORKER_LIST), "", true },
	{ BODY(WORKER_KILL), "worker:999", true },
	{ BODY(CLOCK_GET), "" },
	/* INT64_MAX, as it is encoded: too late for any kernel, for the same reason. */
	{ BODY(CLOCK_SET), "realtime_ns:18446744073709551614" },
	{ BODY(RESEED), "entropy:'x'" },
	{ BODY(KERNEL_LOG), "" },
	{ BODY(RELEASE_INIT), "" },
};

const size_t fields_requests = ARRAY_SIZE(bases);

static const char *const mutation_names[] = { "absent", "empty", "oversized", "of another kind" };

/* ------------------------------------------------------------------------------------------- */
/* What the field's rule says */

/* NULL: it is one of a oneof's members, and has none of its own. */
static const struct field_rule *find_rule(int body, const struct target *target)
{
	const struct field_set *set = &rule_of((uint32_t)body)->fields;
	const struct field_rule *rule = NULL;

	for (unsigned int depth = 0; depth < target->depth; depth++) {
		const ProtobufCFieldDescriptor *field = target->path[depth];

		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			return NULL;
		rule = NULL;
		for (unsigned int i = 0; set && i < set->count; i++)
			if (strcmp(field_name(&set->rules[i]), field->name) == 0)
				rule = &set->rules[i];
		ck_assert_msg(rule, "%s: no rule for %s", rule_of((uint32_t)body)->name,
			      field->name);
		set = field->type == PROTOBUF_C_TYPE_MESSAGE ? &field_sets[rule->limit] : NULL;
	}
	return rule;
}

static bool is_bytes(const struct field_rule *rule)
{
	return rule->type == FIELD_BYTES || rule->type == FIELD_REPEATED_BYTES;
}

/* Whether there is a field that a message of this kind cannot be without. */
static bool needs_fields(const struct field_rule *rule)
{
	if (rule->type != FIELD_MESSAGE && rule->type != FIELD_REPEATED_MESSAGE)
		return false;
	for (unsigned int i = 0; i < field_sets[rule->limit].count; i++)
		if (field_sets[rule->limit].rules[i].flags & FIELD_REQUIRED)
			return true;
	return false;
}

/* What a request must be answered with. */
enum {
	ANYTHING = 0,
	/* Not ERROR/INVALID: there is no mistake in it. */
	NOT_INVALID = -1,
	/* Some ERROR. */
	REFUSED = -2,
	/* Otherwise an ERROR with this code. */
};

static int expected_of_absent(const struct field_rule *rule, const struct target *target)
{
	/* A oneof without any of its members. */
	if (!rule)
		return target->in_text ? CODE(INVALID) : NOT_INVALID;
	if ((rule->flags & FIELD_REQUIRED) || ((rule->flags & FIELD_ONE_OF) && target->in_text))
		return CODE(INVALID);
	return target->in_text || target->depth == 1 ? NOT_INVALID : ANYTHING;
}

static int expected_of_empty(const struct field_rule *rule, const struct target *target)
{
	/* A name that nothing has. */
	if (!rule)
		return REFUSED;
	if ((is_bytes(rule) && (rule->flags & FIELD_NOT_EMPTY)) || needs_fields(rule))
		return CODE(INVALID);
	/* Beside the one that is there. */
	if ((rule->flags & FIELD_ONE_OF) && !target->in_text)
		return CODE(INVALID);
	return ANYTHING;
}

static int expected_of_oversized(const struct field_rule *rule, const struct target *target)
{
	if (!rule)
		return REFUSED;
	switch (rule->type) {
	case FIELD_MESSAGE:
		return CODE(UNSUPPORTED);
	case FIELD_REPEATED_MESSAGE:
		return needs_fields(rule) ? REFUSED : ANYTHING;
	case FIELD_BYTES:
		if (field_limit(rule) < OVERSIZED_LENGTH)
			return CODE(LIMIT);
		/* Those without a NUL are for the kernel, which takes none that is so long. */
		return rule->flags & FIELD_NO_NUL ? REFUSED : ANYTHING;
	case FIELD_REPEATED:
		return rule->limit ? CODE(LIMIT) : ANYTHING;
	default:
		if ((rule->flags & FIELD_ONE_OF) && !target->in_text)
			return CODE(INVALID);
		return rule->limit && !is_bytes(rule) ? CODE(INVALID) : ANYTHING;
	}
}

static int expected(const struct field_rule *rule, const struct target *target)
{
	switch (target->mutation) {
	case ABSENT:
		return expected_of_absent(rule, target);
	case EMPTY:
		return expected_of_empty(rule, target);
	case OVERSIZED:
		return expected_of_oversized(rule, target);
	default:
		return CODE(INVALID);
	}
}

/* ------------------------------------------------------------------------------------------- */
/* A case */

static void send_body(struct client *to, uint32_t id, int body, const void *data, size_t size)
{
	cleanup(bytes_free) struct bytes message = { 0 };
	uint8_t header[FRAME_HEADER];

	put_number(&message, 16, id);
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

	request_encode(&bytes, schema_of(body), text, agent->directory, NULL);
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
	case BODY(CALL_STARTED):
	case BODY(KERNEL_LOG_RECORD):
		return true;
	default:
		return false;
	}
}

static void open_connection(struct client *to)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Auth auth = PROVIUM__V1__AUTH__INIT;

	client_adopt(to, agent->connect());
	client_expect(to, BODY(READY));
	if (!agent->token)
		return;
	auth.has_token = true;
	auth.token = (ProtobufCBinaryData){ PROVIUM_TOKEN_SIZE, (uint8_t *)agent->token };
	message.body_case = BODY(AUTH);
	message.auth = &auth;
	client_send(to, &message);
	client_expect(to, BODY(READY));
}

/* What the request is about. */
static void prepare(struct client *to, int body, const char *text)
{
	if (strchr(text, '$'))
		agent->make_files();
	open_connection(to);
	if (strstr(text, "request:1"))
		send_text(to, ID_COMMAND, BODY(EXEC),
			  body == BODY(RESIZE) ? "argv:'cat' pty:{}" : "argv:'cat' stdin_kind:2");
	if (strstr(text, KEPT_JOB)) {
		send_text(to, ID_JOB, BODY(EXEC_ASYNC),
			  "command:{argv:'cat' stdin_kind:2} " KEPT_JOB);
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

static void take(struct verdict *verdict, const Provium__V1__Message *message)
{
	bool is_error = message->body_case == BODY(ERROR);

	if (is_error && (message->id == 0 || message->id == ID_CASE))
		take_error(verdict, message->error);
	verdict->ended |= message->id == 0 && is_error;
	verdict->finals += message->id == ID_CASE && !is_stream_message(message);
	verdict->pong |= message->id == ID_PING;
	verdict->cancel_answered |= message->id == ID_CANCEL;
}

/*
 * Until all is answered, or the connection ends; and what else comes until one more PING is
 * answered.
 */
static void collect(struct client *from, struct verdict *verdict)
{
	bool is_last_sent = false;

	for (;;) {
		const Provium__V1__Message *message = client_receive(from);

		if (!message) {
			ck_assert(verdict->ended);
			return;
		}
		if (message->id == ID_LAST)
			return;
		take(verdict, message);
		if (!is_last_sent && verdict->pong && verdict->cancel_answered &&
		    verdict->finals > 0) {
			send_text(from, ID_LAST, BODY(PING), "");
			is_last_sent = true;
		}
	}
}

static void end_job(void)
{
	struct client other;

	open_connection(&other);
	send_text(&other, ID_JOB, BODY(JOB_KILL), "ref:{" KEPT_JOB "}");
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

/* Whether the answer is one that the field's rule wants. */
static void judge(const char *name, const struct verdict *verdict, const struct target *target,
		  const struct field_rule *rule)
{
	int wanted = expected(rule, target);
	/* Beside the field all is well, and the agent says which one it is. */
	bool is_told = rule && (target->depth == 1 || target->in_text) &&
		       (wanted == CODE(INVALID) || wanted == CODE(LIMIT)) && !verdict->ended;

	/* A frame that is no message ends the connection; nothing else does. */
	ck_assert_msg(verdict->ended == (target->mutation == WRONG_KIND), "%s: %s", name,
		      verdict->text);
	ck_assert_msg(verdict->finals == !verdict->ended, "%s: %u replies: %s", name,
		      verdict->finals, verdict->text);
	if (verdict->code)
		ck_assert_msg(verdict->text[0] != '\0', "%s: an ERROR without a text", name);
	if (wanted == NOT_INVALID)
		ck_assert_msg(verdict->code != CODE(INVALID), "%s: %s", name, verdict->text);
	else if (wanted == REFUSED)
		ck_assert_msg(verdict->code != 0, "%s: is not refused", name);
	else if (wanted != ANYTHING)
		ck_assert_msg(verdict->code == wanted, "%s: code %d, not %d: %s", name,
			      verdict->code, wanted, verdict->text);
	if (is_told)
		ck_assert_msg(strstr(verdict->text, field_name(rule)), "%s: %s", name,
			      verdict->text);
}

/* False: the field cannot be wrong in this way. */
static bool run_case(int body, const char *text, struct target *target)
{
	const struct field_rule *rule = find_rule(body, target);
	cleanup(bytes_free) struct bytes bytes = { 0 };
	struct verdict verdict = { 0 };
	struct client own;
	char name[256];

	/* More than a list may have. */
	target->entries = 20000;
	if (rule && rule->type == FIELD_REPEATED && rule->limit)
		target->entries = MAX(target->entries, (size_t)field_limit(rule) + 1);
	request_encode(&bytes, schema_of(body), text, agent->directory, target);
	if (target->impossible)
		return false;
	describe(target, body, name, sizeof(name));
	prepare(&own, body, text);
	send_body(&own, ID_CASE, body, bytes.data, bytes.size);
	send_text(&own, ID_PING, BODY(PING), "");
	send_text(&own, ID_CANCEL, BODY(CANCEL), "request:10");
	collect(&own, &verdict);
	client_close(&own);
	if (strstr(text, KEPT_JOB))
		end_job();
	judge(name, &verdict, target, rule);
	return true;
}

/* Returns how many cases there were. */
// NOLINTNEXTLINE(misc-no-recursion): no message of the schema holds itself
static unsigned int walk(int body, const char *text, const ProtobufCMessageDescriptor *schema,
			 struct target *target)
{
	unsigned int cases = 0;

	ck_assert_uint_lt(target->depth, ARRAY_SIZE(target->path));
	target->depth++;
	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];

		target->path[target->depth - 1] = field;
		for (target->mutation = 0; target->mutation < MUTATIONS; target->mutation++)
			cases += run_case(body, text, target);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			cases += walk(body, text, field->descriptor, target);
	}
	target->depth--;
	return cases;
}

unsigned int fields_try(const struct fields_agent *tried, size_t request)
{
	int body = bases[request].body;
	struct target target = { 0 };

	if (bases[request].supervised && !tried->supervised)
		return 0;
	agent = tried;
	return walk(body, bases[request].text, schema_of(body), &target);
}

void fields_expect_rows(void)
{
	for (uint32_t code = 0; code < MAX_REQUEST_CODES; code++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
			found |= bases[i].body == (int)code;
		ck_assert_msg(found || !is_served((int)code), "no row for %s", rule_of(code)->name);
	}
}
