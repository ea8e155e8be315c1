/**
 * @file worker/mem.h
 * Memory for local parts: the place for a cache of freed blocks. MT-Safe.
 */
#ifndef ALCHI_MEM_H
#define ALCHI_MEM_H

#include <stddef.h>

/** Zeroed bytes, aligned to 64 or more; pages are made when first touched. NULL: out of memory, or no bytes. */
void *alchi_mem_alloc(size_t bytes);

/** `bytes` as given to alchi_mem_alloc(). NULL is allowed. */
void alchi_mem_free(void *memory, size_t bytes);

#endif
