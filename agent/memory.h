/* Memory that may not be there: read through the kernel, which answers EFAULT and kills nobody. */
#ifndef AGENT_MEMORY_H
#define AGENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* size bytes at address of this process. False and errno: not all of them can be read. */
bool memory_copy(void *to, uint64_t address, size_t size);

#endif
