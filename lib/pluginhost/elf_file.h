/** @file pluginhost/elf_file.h  The dynamic section of one ELF file, read with bounds checked. Private to elf*.c. */
#ifndef ALCHI_PLUGINHOST_ELF_FILE_H
#define ALCHI_PLUGINHOST_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char **needed; /* NULL-terminated */
    char *rpath;   /* DT_RPATH, ignored by the linker when runpath is there; NULL: none */
    char *runpath;
} alchi_host_elf_t;

/**
 * Read a 64-bit ELF file of this machine.
 * @param[out] why_p  on failure a constant text, "is not an ELF file" for example
 * @return 0, or an errno value: EINVAL for what is not such a file
 */
int alchi_host_elf_read(const char *path, alchi_host_elf_t *elf, const char **why_p);
void alchi_host_elf_fini(alchi_host_elf_t *elf);

/** The linker's cache: where it says `name` lies, one candidate per call. @return NULL: no more */
const char *alchi_host_ldcache_find(const uint8_t *cache, size_t size, const char *name, size_t *cursor);

/** A whole file of at most `limit` bytes; NULL: none. Caller frees. */
uint8_t *alchi_host_file_read(const char *path, size_t limit, size_t *size_p);

#endif
