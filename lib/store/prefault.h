/**
 * @file store/prefault.h
 * Prefault new mappings in the background. To create a page takes longer than to copy data into it. So a thread of low
 * priority creates the pages, from the beginning of each mapping, while the first bytes for it are still on the way.
 * The thread exists only while there is work for it.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_STORE_PREFAULT_H
#define ALCHI_STORE_PREFAULT_H

#include <stddef.h>

/** Start to prefault a mapping; its content does not change. Nothing happens if 64 mappings are queued already, or
 *  if no thread can be created. Call alchi_store_prefault_cancel() before the mapping is unmapped. */
void alchi_store_prefault(void *memory, size_t bytes);
/** Stop prefaulting a mapping. If the thread works on it, waits for the end of the current step: 4 MiB at most,
 *  which take a few milliseconds. A mapping that is no longer queued is allowed. */
void alchi_store_prefault_cancel(const void *memory);

#endif
