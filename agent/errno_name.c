#include "errno_name.h"

#include <stddef.h>
#include <string.h>

#include "errno-names.h"

/* One behind the other, in the order of their numbers: pointers would take as much again. */
#define NAME(number, text) text "\0"
#define GAP(number)        "\0"
static const char names[] = ERRNO_NAMES(NAME, GAP);
#undef NAME
#undef GAP

const char *errno_name(int number)
{
	const char *name = names;

	for (int i = 0; i < number && name < names + sizeof(names); i++)
		name += strlen(name) + 1;
	return name < names + sizeof(names) && *name ? name : NULL;
}
