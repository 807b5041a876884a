#include "host/include/provium_names.h"

#include <string.h>

#include "common/util.h"
#include "errno-names.h"
#include "syscall-names.h"

struct name {
	uint32_t number;
	const char *text;
};

/* Each ends with one that has no text: a list may be empty. */
#define NAME(number, text) { number, text },
#define GAP(number)
static const struct name x86_64[] = { SYSCALL_NAMES_X86_64(NAME){ 0 } };
static const struct name aarch64[] = { SYSCALL_NAMES_AARCH64(NAME){ 0 } };
static const struct name riscv64[] = { SYSCALL_NAMES_RISCV64(NAME){ 0 } };
/* The first of a number is its name. */
static const struct name errnos[] = { ERRNO_NAMES(NAME, GAP) ERRNO_ALIASES(NAME){ 0 } };
#undef NAME
#undef GAP

static const struct {
	const char *arch;
	const struct name *names;
} architectures[] = {
	{ "x86_64", x86_64 },
	{ "aarch64", aarch64 },
	{ "riscv64", riscv64 },
};

static const struct name *names_of(const char *arch)
{
	static const struct name none[] = { { 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(architectures); i++)
		if (strcmp(arch, architectures[i].arch) == 0)
			return architectures[i].names;
	return none;
}

static const char *text_of(const struct name *name, uint32_t number)
{
	while (name->text && name->number != number)
		name++;
	return name->text;
}

static int number_of(const struct name *name, const char *text, int unknown)
{
	while (name->text && strcmp(name->text, text) != 0)
		name++;
	return name->text ? (int)name->number : unknown;
}

int provium_syscall_number(const char *arch, const char *name)
{
	return number_of(names_of(arch), name, -1);
}

const char *provium_syscall_name(const char *arch, uint32_t number)
{
	return text_of(names_of(arch), number);
}

const char *provium_errno_name(int number)
{
	return number > 0 ? text_of(errnos, (uint32_t)number) : NULL;
}

int provium_errno_number(const char *name)
{
	return number_of(errnos, name, 0);
}
