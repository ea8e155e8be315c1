/* Memory for local parts, with a pool of large blocks that were freed. */
#include "store/mem.h"

#include "store/prefault.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64
/* A smaller block comes from the heap: a separate mapping for it costs more than it saves. */
#define MAP_MIN ((size_t)256 << 10)
#define HUGE_MIN ((size_t)4 << 20) /* from this size on, ask for huge pages and prefault */
#define BLOCKS 64                  /* kept at most */
#define SLACK 8                    /* a kept block serves a request that leaves at most 1 / SLACK of its bytes unused */

typedef struct {
    void *memory;
    size_t bytes; /* whole pages */
} block_t;

/* The kept blocks, in the order in which they were freed. One mutex suffices: parts are allocated and freed per matrix,
 * not per message. */
static struct {
    pthread_mutex_t mutex;
    size_t limit, kept; /* bytes */
    block_t blocks[BLOCKS];
    int count;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t
whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

/* The caller holds the mutex. */
static block_t
remove_block(int k)
{
    block_t block = pool.blocks[k];

    pool.kept -= block.bytes;
    pool.count--;
    memmove(&pool.blocks[k], &pool.blocks[k + 1], (size_t)(pool.count - k) * sizeof(block));
    return block;
}

/* Unmap the oldest blocks until at most `bytes` are kept, in fewer than `count` blocks. The caller holds the mutex. */
static void
unmap_oldest(size_t bytes, int count)
{
    while (pool.kept > bytes || pool.count >= count) {
        block_t block = remove_block(0);

        munmap(block.memory, block.bytes);
    }
}

/* Take the smallest kept block that is large enough but not much larger, and unmap its unused end.
 * @return NULL: no kept block fits */
static void *
reuse_block(size_t bytes)
{
    size_t wanted = whole_pages(bytes);
    block_t block = {NULL, 0};
    int best = -1;

    pthread_mutex_lock(&pool.mutex);
    for (int k = 0; k < pool.count; k++) {
        size_t has = pool.blocks[k].bytes;

        if (has >= wanted && has - wanted <= has / SLACK && (best < 0 || has < pool.blocks[best].bytes))
            best = k;
    }
    if (best >= 0)
        block = remove_block(best);
    pthread_mutex_unlock(&pool.mutex);
    if (block.bytes > wanted)
        munmap((char *)block.memory + wanted, block.bytes - wanted);
    return block.memory;
}

/* Map new pages. If that fails, unmap all kept blocks and try again. @return NULL: out of memory */
static void *
map_block(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        alchi_store_mem_trim(0);
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (memory == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_MIN)
        madvise(memory, bytes, MADV_HUGEPAGE); /* a hint: without huge pages the kernel serves small ones */
    return memory;
}

static void *
allocate(size_t bytes, bool zeroed)
{
    void *memory;

    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    if (bytes < MAP_MIN) {
        size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

        memory = aligned_alloc(ALIGNMENT, rounded);
        return memory ? memset(memory, 0, rounded) : NULL;
    }
    memory = reuse_block(bytes);
    if (memory)
        return zeroed ? memset(memory, 0, bytes) : memory;
    memory = map_block(bytes);
    if (memory && !zeroed && bytes >= HUGE_MIN)
        alchi_store_prefault(memory, bytes); /* the data that fills it will arrive soon */
    return memory;
}

void *
alchi_store_mem_alloc(size_t bytes)
{
    return allocate(bytes, true);
}

void *
alchi_store_mem_alloc_unset(size_t bytes)
{
    return allocate(bytes, false);
}

void
alchi_store_mem_free(void *memory, size_t bytes)
{
    size_t pages = whole_pages(bytes);

    if (!memory)
        return;
    if (bytes < MAP_MIN) {
        free(memory);
        return;
    }
    alchi_store_prefault_cancel(memory);
    pthread_mutex_lock(&pool.mutex);
    if (pages <= pool.limit) {
        unmap_oldest(pool.limit - pages, BLOCKS);
        pool.blocks[pool.count++] = (block_t){memory, pages};
        pool.kept += pages;
        /* When the system is short of memory, the kernel may drop these pages without writing them to swap. */
        madvise(memory, pages, MADV_FREE);
        memory = NULL;
    }
    pthread_mutex_unlock(&pool.mutex);
    if (memory)
        munmap(memory, bytes);
}

void
alchi_store_mem_set_keep(size_t bytes)
{
    pthread_mutex_lock(&pool.mutex);
    pool.limit = bytes;
    unmap_oldest(bytes, BLOCKS + 1);
    pthread_mutex_unlock(&pool.mutex);
}

size_t
alchi_store_mem_trim(size_t bytes)
{
    size_t kept;

    pthread_mutex_lock(&pool.mutex);
    unmap_oldest(bytes, BLOCKS + 1);
    kept = pool.kept;
    pthread_mutex_unlock(&pool.mutex);
    return kept;
}
