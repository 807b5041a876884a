/*
 * Messages made from the schema's descriptors: whatever the schema holds is in them, without a test
 * that would have to be told.
 */
#ifndef TESTS_PROTO_GENERATE_H
#define TESTS_PROTO_GENERATE_H

#include <stdbool.h>
#include <stddef.h>

#include "provium.pb-c.h"

enum generate_values {
	/* Only what must be there, all zero and empty. */
	GENERATE_REQUIRED,
	/* Every field is there, with its type's smallest value; one element in each array. */
	GENERATE_SMALLEST,
	/* With its largest, texts and bytes of some hundred bytes; three elements in each array. */
	GENERATE_LARGEST,
	GENERATE_VALUES,
};

/* How many bodies Message has. */
size_t generate_bodies(void);

/* The body's name in the schema, "exec". Static. */
const char *generate_body_name(size_t body);

/* How many ways there are to choose in the oneofs below the body: at least 1. */
size_t generate_choices(size_t body);

/* A Message with this body. Released by provium__v1__message__free_unpacked(message, NULL). */
Provium__V1__Message *generate_message(size_t body, enum generate_values values, size_t choice);

/* Whether two messages of one type hold the same. */
bool generate_equal(const ProtobufCMessage *one, const ProtobufCMessage *other);

/* Whether a decoded message, or one inside it, holds fields that the schema does not know. */
bool generate_has_unknown(const ProtobufCMessage *message);

#endif
