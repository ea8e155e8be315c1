/**
 * @file store/prefault.h
 * Make the pages of new mappings in the background. New pages cost more time than the copy into them, so a thread of
 * low priority makes them, from the beginning of each mapping, while the first bytes for it are still on the way. The
 * thread exists only while there is work for it.
 *
 * Both functions are MT-Safe.
 */
#ifndef ALCHI_STORE_PREFAULT_H
#define ALCHI_STORE_PREFAULT_H

#include <stddef.h>

/** Start to prefault a mapping; its content does not change. Nothing happens if 64 mappings wait already, or if no
 *  thread can be created. Call alchi_store_prefault_cancel() before the mapping is unmapped. */
void alchi_store_prefault(void *memory, size_t bytes);
/** Stop prefaulting a mapping. Waits until the thread has left it: one step of 4 MiB at most, which takes a few
 *  milliseconds. A mapping that is not prefaulted any more is allowed. */
void alchi_store_prefault_cancel(const void *memory);

#endif
