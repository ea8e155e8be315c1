#include "worker/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64
#define MAP_MIN ((size_t)256 << 10) /* below this a mapping of its own costs more than it gives */
#define HUGE_MIN ((size_t)4 << 20)  /* worth huge pages */

void *
alchi_mem_alloc(size_t bytes)
{
    void *memory;

    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    if (bytes < MAP_MIN) {
        size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

        memory = aligned_alloc(ALIGNMENT, rounded);
        return memory ? memset(memory, 0, rounded) : NULL;
    }
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_MIN)
        madvise(memory, bytes, MADV_HUGEPAGE); /* a kernel without them serves small pages */
    return memory;
}

void
alchi_mem_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    if (bytes < MAP_MIN)
        free(memory);
    else
        munmap(memory, bytes);
}
