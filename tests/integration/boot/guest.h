/* Files of a guest whose init does its work meanwhile. */
#ifndef TESTS_BOOT_GUEST_H
#define TESTS_BOOT_GUEST_H

#include <stdbool.h>

#include "host/include/provium.h"

/* What the guest may take for a step of its init's. */
#define GUEST_MS 60000

/* Writes a program. */
void guest_put(struct provium_connection *connection, const char *path, const char *text);

/* Whether the file is there and holds this. */
bool guest_holds(struct provium_connection *connection, const char *path, const char *text);

/* Waits until it does. */
void guest_await(struct provium_connection *connection, const char *path, const char *text);

#endif
