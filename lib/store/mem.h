/**
 * @file store/mem.h
 * Memory for local parts. Large blocks that are freed are kept, up to a limit, and reused for later parts: to create
 * new pages costs more time than to fill them. The kernel may take the pages of kept blocks when memory is short.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_STORE_MEM_H
#define ALCHI_STORE_MEM_H

#include <stddef.h>

/** Allocate zeroed bytes, aligned to 64 or more. The kernel creates the pages of a new large block when they are
 *  first used. @return NULL: out of memory, or `bytes` is 0 */
void *alchi_store_mem_alloc(size_t bytes);

/** As alchi_store_mem_alloc(), but the content is undefined: for memory that is written before it is read. The pages of
 *  a new block of 4 MiB or more are prefaulted in the background (store/prefault.h). */
void *alchi_store_mem_alloc_unset(size_t bytes);

/** Free memory from one of the functions above. `bytes` is the number that was passed to it. NULL is allowed. */
void alchi_store_mem_free(void *memory, size_t bytes);

/** Set how many freed bytes are kept. The initial value is 0. Unmaps kept blocks that exceed the new limit. */
void alchi_store_mem_set_keep(size_t bytes);

/** Unmap kept blocks, oldest first, until at most `bytes` are kept. @return bytes that are still kept */
size_t alchi_store_mem_trim(size_t bytes);

#endif
