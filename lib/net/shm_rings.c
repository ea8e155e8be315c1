/* The memory of two rings. One side creates and seals it, the other side checks and maps it. */
#include "net/shm_rings.h"

#include "base/error.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The counts have a separate page: a ring can be mapped twice only if it begins at a page boundary. */
#define HEAD ((size_t)4096)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static bool
size_valid(size_t size)
{
    return size >= ALCHI_RING_MIN && size <= ALCHI_RING_MAX && (size & (size - 1)) == 0;
}

/* Map the page of counts, the first ring twice and the second ring twice, in this order. @return MAP_FAILED on failure
 */
static uint8_t *
map_twice(int fd, size_t size, size_t mapped)
{
    uint8_t *bytes = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const struct {
        size_t at, from, length;
    } parts[] = {{0, 0, HEAD + size}, {HEAD + size, HEAD, 2 * size}, {HEAD + 3 * size, HEAD + size, size}};

    for (size_t k = 0; k < ALCHI_COUNT(parts) && bytes != MAP_FAILED; k++) {
        if (mmap(bytes + parts[k].at, parts[k].length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 (off_t)parts[k].from) != MAP_FAILED)
            continue;
        munmap(bytes, mapped);
        bytes = MAP_FAILED;
    }
    return bytes;
}

/* The side that created the memory sends through the first ring, its peer through the second. */
static int
map_rings(int fd, size_t size, bool creator, alchi_rings_t **rings_p, alch_error_t *err)
{
    size_t mapped = HEAD + 4 * size;
    alchi_rings_t *rings = calloc(1, sizeof(*rings));
    alchi_ring_shared_t *shared;
    uint8_t *bytes;

    if (!rings)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the state of two rings");
    bytes = map_twice(fd, size, mapped);
    if (bytes == MAP_FAILED) {
        free(rings);
        return alchi_error_errno(err, errno, "cannot map %zu bytes of shared memory", mapped);
    }
    madvise(bytes, mapped, MADV_DONTFORK);
    shared = (alchi_ring_shared_t *)bytes;
    rings->memory = bytes;
    rings->mapped = mapped;
    rings->size = size;
    rings->out = (alchi_ring_t){.shared = &shared[creator ? 0 : 1], .bytes = bytes + HEAD + (creator ? 0 : 2 * size)};
    rings->in = (alchi_ring_t){.shared = &shared[creator ? 1 : 0], .bytes = bytes + HEAD + (creator ? 2 * size : 0)};
    *rings_p = rings;
    return ALCH_OK;
}

/* Allocate all pages now. If the system ran out of space later, the process would get a signal instead of an error. */
static int
create_memory(size_t bytes, int *fd_p, alch_error_t *err)
{
    int fd = memfd_create("alchemist", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int number;

    if (fd >= 0 && !ftruncate(fd, (off_t)bytes) && !fallocate(fd, 0, 0, (off_t)bytes) &&
        !fcntl(fd, F_ADD_SEALS, SEALS)) {
        *fd_p = fd;
        return ALCH_OK;
    }
    number = errno;
    if (fd >= 0)
        close(fd);
    return alchi_error_errno(err, number, "cannot allocate %zu bytes of shared memory", bytes);
}

int
alchi_rings_create(size_t size, alchi_rings_t **rings_p, int *fd_p, alch_error_t *err)
{
    int fd = -1, code;

    if (!size_valid(size))
        return alchi_error_set(err, ALCH_EINVAL, "ring size %zu is not a power of two from %zu to %zu", size,
                               ALCHI_RING_MIN, ALCHI_RING_MAX);
    code = create_memory(HEAD + 2 * size, &fd, err);
    if (code != ALCH_OK)
        return code;
    code = map_rings(fd, size, true, rings_p, err);
    if (code == ALCH_OK)
        *fd_p = fd;
    else
        close(fd);
    return code;
}

/* Only a sealed memfd of ordinary pages never faults. Huge pages may be missing when they are touched. */
static int
check_memory(int fd, size_t bytes, alch_error_t *err)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct statfs system;
    struct stat file;

    if (seals < 0 || (seals & SEALS) != SEALS)
        return alchi_error_set(err, ALCH_EPROTO, "the shared memory of the peer is not sealed");
    if (fstatfs(fd, &system) || system.f_type != TMPFS_MAGIC)
        return alchi_error_set(err, ALCH_EPROTO, "the shared memory of the peer is not ordinary memory");
    if (fstat(fd, &file) || file.st_size != (off_t)bytes)
        return alchi_error_set(err, ALCH_EPROTO, "the shared memory of the peer does not have the size of %zu bytes",
                               bytes);
    return ALCH_OK;
}

int
alchi_rings_map(int fd, size_t size, alchi_rings_t **rings_p, alch_error_t *err)
{
    int code;

    if (!size_valid(size))
        return alchi_error_set(err, ALCH_EPROTO,
                               "the peer offers rings of %zu bytes, not a power of two from %zu to %zu", size,
                               ALCHI_RING_MIN, ALCHI_RING_MAX);
    code = check_memory(fd, HEAD + 2 * size, err);
    return code == ALCH_OK ? map_rings(fd, size, false, rings_p, err) : code;
}

void
alchi_rings_destroy(alchi_rings_t *rings)
{
    int saved = errno;

    if (rings) {
        munmap(rings->memory, rings->mapped);
        free(rings);
    }
    errno = saved;
}
