/**
 * @file store/prefault.h
 * Fresh pages cost more than the copy into them: a thread of low priority touches those of new blocks from their
 * beginning on, while the first bytes for them are still on the way. It exists while there is something to touch.
 * MT-Safe.
 */
#ifndef ALCHI_STORE_PREFAULT_H
#define ALCHI_STORE_PREFAULT_H

#include <stddef.h>

/** Begin to touch a mapping, whose contents do not change by it. It must be forgotten before it is unmapped. */
void alchi_store_prefault(void *memory, size_t bytes);
/** Nobody touches the mapping any more; at most one step (a few milliseconds) is waited for. */
void alchi_store_prefault_cancel(const void *memory);

#endif
