/**
 * @file store/mem.h
 * Memory for local parts. Large blocks that are freed are kept for the next part, up to a limit: to make pages anew
 * costs more than to fill them. The kernel may take back what is kept when it needs memory. MT-Safe.
 */
#ifndef ALCHI_STORE_MEM_H
#define ALCHI_STORE_MEM_H

#include <stddef.h>

/** Zeroed bytes, aligned to 64 or more; pages are made when first touched. NULL: out of memory, or no bytes. */
void *alchi_store_mem_alloc(size_t bytes);

/** The same, but what the bytes hold is undefined: for what is written before it can be read. Pages of large blocks are
 *  touched meanwhile (worker/touch.h). */
void *alchi_store_mem_alloc_dirty(size_t bytes);

/** `bytes` as given to alchi_store_mem_alloc(). NULL is allowed. */
void alchi_store_mem_free(void *memory, size_t bytes);

/** Keep at most so many freed bytes (0 at first), and from now on; what is above is given back. */
void alchi_store_mem_set_keep(size_t bytes);

/** Give back kept blocks until at most `bytes` are left. @return bytes that are kept */
size_t alchi_store_mem_trim(size_t bytes);

#endif
