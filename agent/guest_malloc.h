/*
 * What the guest's allocator (guest_malloc.c) has beside malloc(). Natively there is no such
 * allocator and all are NULL: the C library's own fork() has to do.
 *
 * Its lock is for who copies the process with a raw clone(2) while it has more than one thread: a
 * thread that holds it would leave the copy, where that thread does not exist, without memory for
 * ever. Take it before, give it back in both. fork() does so by itself.
 *
 * Between the two nothing may be allocated or freed.
 */
#ifndef AGENT_GUEST_MALLOC_H
#define AGENT_GUEST_MALLOC_H

/* Waits while another thread has it. */
void guest_malloc_lock(void) __attribute__((weak));
void guest_malloc_unlock(void) __attribute__((weak));

/* Gives the pages of large free blocks back to the kernel: what many have used is not kept. */
void guest_malloc_trim(void) __attribute__((weak));

#endif
