/* Numbers as people read them. */
#ifndef SHOW_UNITS_H
#define SHOW_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_SIZE 24

/* "999 B", "1.5 KiB", "1023.9 GiB". Returns text. */
const char *format_bytes(uint64_t bytes, char text[static UNITS_TEXT_SIZE]);

/* "0:07", "12:34", "3:12:34". Returns text. */
const char *format_duration(uint64_t seconds, char text[static UNITS_TEXT_SIZE]);

#endif
