/*
 * A doubly linked list whose links live in the elements.
 *
 * A list head and an element's link have one type; a comment beside each head says what it links.
 * list_for_each_safe allows the removal of the current element and of no other.
 */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

static inline void list_init(struct list *list)
{
	list->prev = list;
	list->next = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* Adds link at the end of list. */
static inline void list_append(struct list *list, struct list *link)
{
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

/* Takes link out of whatever list it is in; harmless on one that list_init made. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define list_for_each(pos, list, member)                                                         \
	for (pos = container_of((list)->next, __typeof__(*pos), member); &pos->member != (list); \
	     pos = container_of(pos->member.next, __typeof__(*pos), member))

#define list_for_each_safe(pos, tmp, list, member)                          \
	for (pos = container_of((list)->next, __typeof__(*pos), member),    \
	    tmp = container_of(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (list);                                        \
	     pos = tmp, tmp = container_of(pos->member.next, __typeof__(*pos), member))

#endif
