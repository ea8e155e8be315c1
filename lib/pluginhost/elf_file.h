/**
 * @file pluginhost/elf_file.h
 * The dynamic section of one ELF file, and the cache of the dynamic linker. Every offset is checked. Part of the check
 * for Open MPI: private to needs.c.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_PLUGINHOST_ELF_FILE_H
#define ALCHI_PLUGINHOST_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char **needed; /* names of DT_NEEDED, NULL-terminated */
    char *rpath;   /* DT_RPATH, which the linker ignores if the file has a DT_RUNPATH; NULL: the file has no DT_RPATH */
    char *runpath; /* DT_RUNPATH; NULL: the file has no DT_RUNPATH */
} alchi_host_elf_t;

/**
 * Read a 64-bit shared object for this machine.
 *
 * @param[out] elf    to be released with alchi_host_elf_fini(); empty after a failure
 * @param[out] why_p  after a failure a constant predicate, for example "is not an ELF file"
 *
 * @return 0, or an errno value; EINVAL: the file is not such an object
 */
int alchi_host_elf_read(const char *path, alchi_host_elf_t *elf, const char **why_p);
/** Free the strings. A second call does nothing. */
void alchi_host_elf_fini(alchi_host_elf_t *elf);

/**
 * Look up a library in the linker's cache, which may have several paths for one name.
 *
 * @param cache   the bytes of the file, borrowed; NULL: an empty cache
 * @param cursor  0 before the first call for a name; each call continues where the last one ended
 *
 * @return a path inside `cache`; NULL: the cache has no further path
 */
const char *alchi_host_ldcache_find(const uint8_t *cache, size_t size, const char *name, size_t *cursor);

/** Read a whole file. @return its bytes, which the caller frees; NULL: it cannot be read, is empty, or has more than
 *  `limit` bytes */
uint8_t *alchi_host_file_read(const char *path, size_t limit, size_t *size_p);

#endif
