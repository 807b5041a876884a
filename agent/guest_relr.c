/*
 * The first code of a guest program: relocates it.
 *
 * A static-pie program of ours has hundreds of relative relocations, most of them in the schema's
 * descriptors, and each takes 24 bytes as DT_RELA and next to nothing as DT_RELR (ELF gABI,
 * "Relative Relocation Table"). musl's start-up code knows the latter from 1.2.4 on only, so it is
 * done here, before that code runs; its own attempt then finds a table of size 0.
 *
 * Nothing is relocated yet, and no thread pointer is set: no pointers in static data, no calls out
 * of this file, no stack protector.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

/* Missing in the headers of musl before 1.2.4. */
#ifndef DT_RELRSZ
#define DT_RELRSZ 35
#define DT_RELR   36
#endif

#define HIDDEN __attribute__((visibility("hidden")))
#define EARLY  __attribute__((no_stack_protector))

/* By the linker: the program's first byte, which it was linked to address 0, and its dynamic
 * section. */
extern HIDDEN const char __ehdr_start[];
extern HIDDEN Elf64_Dyn _DYNAMIC[];

HIDDEN void guest_relocate(void);

/* The kernel enters here, with a stack aligned to 16 and nothing else to be kept but rdx. */
#ifdef __x86_64__
__asm__(".text\n"
	".globl guest_start\n"
	".type guest_start, @function\n"
	"guest_start:\n"
	"	push %rdx\n"
	"	sub $8, %rsp\n"
	"	call guest_relocate\n"
	"	add $8, %rsp\n"
	"	pop %rdx\n"
	"	jmp _start\n");
#else
#error "guest_start is not written for this architecture"
#endif

/* An even entry is an address; an odd one is a bitmap of the 63 words behind the last. */
EARLY static void relocate(uintptr_t base, const uint64_t *entry, size_t count)
{
	uint64_t *where = NULL;

	for (; count > 0; count--, entry++) {
		if (!(*entry & 1)) {
			where = (uint64_t *)(base + *entry);
			*where++ += base;
			continue;
		}
		for (unsigned int i = 0; i < 63; i++)
			if (*entry >> (i + 1) & 1)
				where[i] += base;
		where += 63;
	}
}

EARLY __attribute__((used)) void guest_relocate(void)
{
	uintptr_t base = (uintptr_t)__ehdr_start;
	const uint64_t *table = NULL;
	size_t size = 0;

	for (Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_RELR) {
			table = (const uint64_t *)(base + entry->d_un.d_ptr);
		} else if (entry->d_tag == DT_RELRSZ) {
			size = entry->d_un.d_val;
			entry->d_un.d_val = 0;
		}
	}
	relocate(base, table, size / sizeof(*table));
}
