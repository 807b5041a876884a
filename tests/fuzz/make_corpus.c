/*
 * make-corpus DIRECTORY: writes the seeds of the frame and codec targets into DIRECTORY/frame and
 * DIRECTORY/codec: each message of the schema, with all fields set, and what breaks the rules.
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
			message_frame_pack(message, frame);
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

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return EXIT_FAILURE;
	}
	directory = argv[1];
	write_codec_seeds();
	write_frame_seeds();
	return EXIT_SUCCESS;
}
