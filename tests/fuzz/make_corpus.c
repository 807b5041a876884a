/*
 * make-corpus DIRECTORY: writes the seeds of the frame, codec and dispatch targets into folders of
 * these names in DIRECTORY: each message of the schema, with all fields set, what breaks the rules,
 * and requests that are served.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/unit/proto_generate.h"

static const char *directory;

static void die(const char *path)
{
	fprintf(stderr, "make-corpus: %s: %s\n", path, strerror(errno));
	exit(EXIT_FAILURE);
}

static void write_seed(const char *target, const char *name, const void *prefix, size_t prefix_size,
		       const void *data, size_t size)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, target);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		die(path);
	snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
	file = fopen(path, "we");
	if (!file)
		die(path);
	if (fwrite(prefix, 1, prefix_size, file) != prefix_size ||
	    fwrite(data, 1, size, file) != size || fclose(file) != 0)
		die(path);
}

static void write_codec_seeds(void)
{
	for (size_t body = 0; body < generate_bodies(); body++)
		for (size_t choice = 0; choice < generate_choices(body); choice++) {
			Provium__V1__Message *message =
				generate_message(body, GENERATE_SMALLEST, choice);
			size_t size = message_frame_size(message);
			uint8_t *frame = malloc(size);
			char name[128];

			if (!frame)
				die("malloc");
			message_frame_pack(message, size, frame);
			snprintf(name, sizeof(name), "%s-%zu", generate_body_name(body), choice);
			write_seed("codec", name, "", 0, frame + FRAME_HEADER, size - FRAME_HEADER);
			free(frame);
			provium__v1__message__free_unpacked(message, NULL);
		}
}

/* The first bytes are the fuzz target's: the longest frame, and the sizes of the reads. */
static void write_frame_seeds(void)
{
	static uint8_t stream[20004];
	uint8_t *at = stream;

	for (uint32_t length = 1; length < 5; length++) {
		frame_put_header(at, length);
		at += FRAME_HEADER + length;
	}
	write_seed("frame", "small", "\x00\x00\x01\x00", 4, stream, (size_t)(at - stream));
	write_seed("frame", "byte-by-byte", "\x00\x00\x01\x01\x00\x00", 6, stream,
		   (size_t)(at - stream));
	write_seed("frame", "cut", "\x00\x00\x01\x01\x06\x00", 6, stream,
		   (size_t)(at - stream) - 1);
	frame_put_header(stream, 20000);
	write_seed("frame", "long", "\xff\xff\x00\x02\xff\x0f\x10\x00", 8, stream,
		   FRAME_HEADER + 20000);
	write_seed("frame", "too-long", "\xfe\xff\x00\x00", 4, stream, FRAME_HEADER + 10);
	frame_put_header(stream, 0);
	write_seed("frame", "empty", "\xff\xff\x00\x00", 4, stream, FRAME_HEADER);
	frame_put_header(stream, UINT32_MAX);
	write_seed("frame", "longest", "\xff\xff\xff\x00", 4, stream, FRAME_HEADER);
}

static uint8_t script[4096];
static size_t script_size;

static void add(uint32_t id, Provium__V1__Message *message)
{
	size_t size;

	message->has_id = true;
	message->id = id;
	size = message_frame_size(message);
	if (script_size + size > sizeof(script))
		die("dispatch");
	message_frame_pack(message, size, script + script_size);
	script_size += size;
}

static void end_script(const char *name)
{
	write_seed("dispatch", name, "", 0, script, script_size);
	script_size = 0;
}

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text };
}

/* token: 32 bytes are a good one; NULL: none. */
static void add_auth(uint32_t id, const char *token)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Auth auth = PROVIUM__V1__AUTH__INIT;

	auth.has_token = token != NULL;
	if (token)
		auth.token = bytes(token);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_AUTH;
	message.auth = &auth;
	add(id, &message);
}

static void add_write_file(uint32_t id, bool atomic)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteFile file = PROVIUM__V1__WRITE_FILE__INIT;

	file.has_path = true;
	file.path = bytes("/tmp/file");
	file.has_atomic = atomic;
	file.atomic = atomic;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_FILE;
	message.write_file = &file;
	add(id, &message);
}

static void add_write_data(uint32_t id, bool last)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteData data = PROVIUM__V1__WRITE_DATA__INIT;

	data.has_data = true;
	data.data = bytes("content");
	data.has_last = last;
	data.last = last;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_DATA;
	message.write_data = &data;
	add(id, &message);
}

static void add_read_file(uint32_t id)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile file = PROVIUM__V1__READ_FILE__INIT;

	file.has_path = true;
	file.path = bytes("/tmp/file");
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READ_FILE;
	message.read_file = &file;
	add(id, &message);
}

static void add_exec(uint32_t id)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { bytes("cat"), bytes("-") };
	ProtobufCBinaryData env[] = { bytes("A=1"), bytes("A=2") };

	exec.argv = argv;
	exec.n_argv = 2;
	exec.env = env;
	exec.n_env = 2;
	exec.has_input = true;
	exec.input = bytes("input");
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC;
	message.exec = &exec;
	add(id, &message);
}

static void add_cancel(uint32_t id, uint32_t request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Cancel cancel = PROVIUM__V1__CANCEL__INIT;

	cancel.has_request = true;
	cancel.request = request;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CANCEL;
	message.cancel = &cancel;
	add(id, &message);
}

static void add_job(uint32_t id)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecAsync body = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes("cat");
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	body.command = &exec;
	body.has_name = true;
	body.name = bytes("job");
	body.has_keep = true;
	body.keep = 4096;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC;
	message.exec_async = &body;
	add(id, &message);
}

/* What there is to ask of a job, one after the other; returns the next id. */
static uint32_t add_job_requests(uint32_t id, Provium__V1__JobRef *ref)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobWait wait = PROVIUM__V1__JOB_WAIT__INIT;
	Provium__V1__JobKill kill = PROVIUM__V1__JOB_KILL__INIT;
	Provium__V1__JobOutput output = PROVIUM__V1__JOB_OUTPUT__INIT;
	Provium__V1__JobList list = PROVIUM__V1__JOB_LIST__INIT;

	wait.ref = kill.ref = output.ref = ref;
	wait.has_timeout_ms = kill.has_grace_ms = output.has_offset = true;
	wait.timeout_ms = 1;
	kill.has_signal = true;
	kill.signal = 15;
	output.has_follow = output.follow = true;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_WAIT;
	message.job_wait = &wait;
	add(id++, &message);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_KILL;
	message.job_kill = &kill;
	add(id++, &message);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT;
	message.job_output = &output;
	add(id++, &message);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST;
	message.job_list = &list;
	add(id++, &message);
	return id;
}

static void write_job_seed(void)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobRef ref = PROVIUM__V1__JOB_REF__INIT;
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;
	Provium__V1__Resize resize = PROVIUM__V1__RESIZE__INIT;
	uint32_t id = 2;

	add_job(1);
	ref.ref_case = PROVIUM__V1__JOB_REF__REF_NAME;
	ref.name = bytes("job");
	id = add_job_requests(id, &ref);
	ref.ref_case = PROVIUM__V1__JOB_REF__REF_JOB;
	ref.job = 1;
	id = add_job_requests(id, &ref);
	target.target_case = PROVIUM__V1__TARGET__TARGET_JOB_NAME;
	target.job_name = bytes("job");
	resize.target = &target;
	resize.has_rows = resize.has_cols = true;
	resize.rows = 24;
	resize.cols = 80;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_RESIZE;
	message.resize = &resize;
	add(id++, &message);
	add_cancel(id, 2);
	end_script("jobs");
}

static void add_plain(uint32_t id, bool shutdown)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Info info = PROVIUM__V1__INFO__INIT;
	Provium__V1__Shutdown end = PROVIUM__V1__SHUTDOWN__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_INFO;
	message.info = &info;
	if (shutdown) {
		message.body_case = PROVIUM__V1__MESSAGE__BODY_SHUTDOWN;
		message.shutdown = &end;
	}
	add(id, &message);
}

/* Whole connections: what a host sends from its first byte to its end. */
/* Buffers of all placements, one pointing to another, and references of all kinds. */
static void add_program(uint32_t id, bool background)
{
	Provium__V1__Syscall body = PROVIUM__V1__SYSCALL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__CallOption option = PROVIUM__V1__CALL_OPTION__INIT, *options[] = { &option };
	Provium__V1__Buffer all[5], *buffers[5];
	uint32_t zero = 0, one = 1;
	int64_t addend = -1;
	/* What dispatch.c has write to buffers, interrupted, and clone(2). */
	uint32_t numbers[] = { 2, 7, 56 }, counts[] = { 3, 3, 2 };
	uint64_t args[8] = { 100, 0, 2, 0, 0, 0, 0, 0 };
	uint32_t replaced[] = { 1, 3, 4, 5 }, indexes[] = { 0, 0, 1, 1 };
	uint32_t offsets[] = { 0, 1, 0, 8 }, widths[] = { 8, 8, 4, 2 };
	Provium__V1__ReferenceKind kinds[] = { 0, 1, 2, 3 };

	for (int i = 0; i < 5; i++) {
		provium__v1__buffer__init(&all[i]);
		all[i].has_placement = true;
		all[i].placement = (Provium__V1__Placement)i;
		all[i].has_size = true;
		all[i].size = 64;
		all[i].has_output = all[i].output = i < 4;
		all[i].has_report_changes = all[i].report_changes = i < 4;
		buffers[i] = &all[i];
	}
	all[0].has_input = true;
	all[0].input = bytes("input");
	all[1].pointer_offsets = &zero;
	all[1].pointer_targets = &one;
	all[1].pointer_addends = &addend;
	all[1].n_pointer_offsets = all[1].n_pointer_targets = all[1].n_pointer_addends = 1;
	option.has_call = option.has_repeat = option.has_stop_on_error = true;
	option.call = 1;
	option.repeat = 3;
	body.has_background = body.background = background;
	body.buffers = buffers;
	body.n_buffers = 5;
	body.numbers = numbers;
	body.arg_counts = counts;
	body.n_numbers = body.n_arg_counts = 3;
	body.args = args;
	body.n_args = 8;
	body.reference_args = replaced;
	body.reference_kinds = kinds;
	body.reference_indexes = indexes;
	body.reference_offsets = offsets;
	body.reference_widths = widths;
	body.n_reference_args = body.n_reference_kinds = body.n_reference_indexes =
		body.n_reference_offsets = body.n_reference_widths = 4;
	body.options = options;
	body.n_options = 1;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL;
	message.syscall = &body;
	add(id, &message);
}

static void add_ioctl(uint32_t id)
{
	Provium__V1__Ioctl body = PROVIUM__V1__IOCTL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Buffer buffer = PROVIUM__V1__BUFFER__INIT, *buffers[] = { &buffer };

	body.has_fd = body.has_command = true;
	body.command = 0x5401;
	buffer.has_input = buffer.has_output = buffer.output = true;
	buffer.input = bytes("four");
	body.buffers = buffers;
	body.n_buffers = 1;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_IOCTL;
	message.ioctl = &body;
	add(id, &message);
}

static void add_read_memory(uint32_t id)
{
	Provium__V1__ReadMemory body = PROVIUM__V1__READ_MEMORY__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_address = body.has_length = true;
	body.address = 4096;
	body.length = 100;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READ_MEMORY;
	message.read_memory = &body;
	add(id, &message);
}

static void write_clock_seed(void)
{
	Provium__V1__ClockGet get = PROVIUM__V1__CLOCK_GET__INIT;
	Provium__V1__ClockSet set = PROVIUM__V1__CLOCK_SET__INIT;
	Provium__V1__Reseed reseed = PROVIUM__V1__RESEED__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_GET;
	message.clock_get = &get;
	add(1, &message);
	set.has_realtime_ns = true;
	set.realtime_ns = INT64_MAX;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CLOCK_SET;
	message.clock_set = &set;
	add(2, &message);
	reseed.has_entropy = true;
	reseed.entropy = bytes("entropy");
	message.body_case = PROVIUM__V1__MESSAGE__BODY_RESEED;
	message.reseed = &reseed;
	add(3, &message);
	end_script("clock");
}

/* dispatch.c asks for a token where a script begins with the frame of one. */
static void write_auth_seeds(void)
{
	static const char right[] = "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT";
	static const char wrong[] = "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTt";

	add_auth(1, right);
	add_exec(2);
	add_auth(3, wrong);
	add_plain(4, false);
	end_script("auth");
	add_auth(1, wrong);
	add_auth(2, right);
	add_exec(3);
	add_cancel(4, 1);
	end_script("auth-wrong");
	add_auth(1, right);
	add_auth(2, NULL);
	add_auth(3, "short");
	add_auth(4, "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT");
	add_plain(5, true);
	end_script("auth-again");
}

static void write_dispatch_seeds(void)
{
	write_auth_seeds();
	add_exec(1);
	add_plain(2, false);
	end_script("exec");
	add_write_file(1, false);
	add_write_data(1, false);
	add_write_data(1, true);
	add_read_file(2);
	end_script("write-and-read");
	/* The second and third wait for their turn. */
	add_write_file(1, true);
	add_write_file(2, true);
	add_write_data(2, true);
	add_read_file(3);
	add_cancel(4, 2);
	add_cancel(5, 1);
	end_script("waiting");
	write_job_seed();
	write_clock_seed();
	add_program(1, false);
	add_ioctl(2);
	add_read_memory(3);
	end_script("program");
	add_program(1, true);
	add_program(2, true);
	add_cancel(3, 1);
	end_script("program-background");
	add_cancel(1, 7);
	add_plain(2, true);
	end_script("shutdown");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return EXIT_FAILURE;
	}
	directory = argv[1];
	write_codec_seeds();
	write_frame_seeds();
	write_dispatch_seeds();
	return EXIT_SUCCESS;
}
