/*
 * The codec on standard output and input, for comparison with another implementation.
 *
 * vectors generate: a line "NAME HEX" for each message that the generator makes of the schema.
 * vectors echo: for each line of hexadecimal digits the message that it encodes, encoded again; or
 * "malformed", "limit".
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/unit/proto_generate.h"

static void die(const char *text)
{
	fprintf(stderr, "vectors: %s\n", text);
	exit(EXIT_FAILURE);
}

static void print_message(const Provium__V1__Message *message)
{
	size_t size = message_frame_size(message);
	uint8_t *frame = malloc(size);

	if (!frame)
		die("no memory");
	message_frame_pack(message, size, frame);
	for (size_t i = FRAME_HEADER; i < size; i++)
		printf("%02x", frame[i]);
	putchar('\n');
	free(frame);
}

static void generate_all(void)
{
	for (size_t body = 0; body < generate_bodies(); body++)
		for (enum generate_values values = 0; values < GENERATE_VALUES; values++)
			for (size_t choice = 0; choice < generate_choices(body); choice++) {
				Provium__V1__Message *message =
					generate_message(body, values, choice);

				printf("%s ", generate_body_name(body));
				print_message(message);
				provium__v1__message__free_unpacked(message, NULL);
			}
}

static unsigned int digit(char character)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = character ? strchr(digits, character) : NULL;

	if (!found)
		die("a line that is not hexadecimal");
	return (unsigned int)(found - digits);
}

static void echo_all(void)
{
	struct decoder decoder;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	decoder_init(&decoder);
	while ((length = getline(&line, &capacity, stdin)) > 0) {
		size_t size = (size_t)length / 2;
		Provium__V1__Message *message;

		for (size_t i = 0; i < size; i++)
			line[i] = (char)(digit(line[2 * i]) << 4 | digit(line[2 * i + 1]));
		switch (decoder_decode(&decoder, (const uint8_t *)line, size, &message)) {
		case DECODE_OK:
			print_message(message);
			break;
		case DECODE_MALFORMED:
			puts("malformed");
			break;
		case DECODE_LIMIT:
			puts("limit");
			break;
		case DECODE_NO_MEMORY:
			die("no memory");
		}
	}
	free(line);
	decoder_finish(&decoder);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "generate") == 0)
		generate_all();
	else if (argc == 2 && strcmp(argv[1], "echo") == 0)
		echo_all();
	else
		die("usage: vectors generate|echo");
	return EXIT_SUCCESS;
}
