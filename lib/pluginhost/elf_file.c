/* Read what one ELF file needs, and the cache of the dynamic linker. The files may be damaged or hostile, so every
 * offset is checked. Part of the check for Open MPI (needs.h). */
#include "pluginhost/elf_file.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that exceeds one of these limits is refused. Files that linkers write stay far below them. */
#define HEADERS_MAX 512
#define DYNAMIC_MAX 4096
#define STRINGS_MAX (16u << 20)
#define NEEDED_MAX 1024

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#elif defined(__powerpc64__)
#define MACHINE EM_PPC64
#elif defined(__riscv)
#define MACHINE EM_RISCV
#else
#error "unknown machine: add its number in an ELF header"
#endif

typedef struct {
    int fd;
    uint64_t size;
    Elf64_Phdr *headers;
    size_t header_count;
    Elf64_Dyn *dynamic;
    size_t dynamic_count;
    char *strings;
    size_t strings_size;
} reader_t;

/* Read exactly `size` bytes at an offset that comes from the file. @return 0 or an errno value */
static int
read_at(const reader_t *reader, void *bytes, uint64_t size, uint64_t offset)
{
    size_t done = 0;

    if (offset > reader->size || size > reader->size - offset)
        return EINVAL;
    while (done < size) {
        ssize_t got = pread(reader->fd, (char *)bytes + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EINVAL;
        done += (size_t)got;
    }
    return 0;
}

static int
read_array(const reader_t *reader, void **array_p, uint64_t size, uint64_t offset)
{
    void *array = size ? malloc(size) : NULL;
    int error = array ? read_at(reader, array, size, offset) : size ? ENOMEM : EINVAL;

    if (error) {
        free(array);
        return error;
    }
    *array_p = array;
    return 0;
}

static int
read_headers(reader_t *reader, const char **why_p)
{
    Elf64_Ehdr header;

    *why_p = "is not an ELF file";
    if (read_at(reader, &header, sizeof(header), 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return EINVAL;
    *why_p = "is not built for this machine";
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != MACHINE)
        return EINVAL;
    *why_p = "is not a shared object";
    if (header.e_type != ET_DYN)
        return EINVAL;
    *why_p = "has broken program headers";
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > HEADERS_MAX)
        return EINVAL;
    reader->header_count = header.e_phnum;
    return read_array(reader, (void **)&reader->headers, sizeof(Elf64_Phdr) * reader->header_count, header.e_phoff);
}

static int
read_dynamic(reader_t *reader, const char **why_p)
{
    const Elf64_Phdr *found = NULL;

    for (size_t k = 0; k < reader->header_count; k++)
        if (reader->headers[k].p_type == PT_DYNAMIC)
            found = &reader->headers[k];
    *why_p = "is not a shared object: it has no dynamic section";
    if (!found)
        return EINVAL;
    *why_p = "has a broken dynamic section";
    reader->dynamic_count = found->p_filesz / sizeof(Elf64_Dyn);
    if (reader->dynamic_count == 0 || reader->dynamic_count > DYNAMIC_MAX)
        return EINVAL;
    return read_array(reader, (void **)&reader->dynamic, sizeof(Elf64_Dyn) * reader->dynamic_count, found->p_offset);
}

/* Find the offset in the file of an address in the loaded image. */
static int
file_offset(const reader_t *reader, uint64_t address, uint64_t *offset_p)
{
    for (size_t k = 0; k < reader->header_count; k++) {
        const Elf64_Phdr *header = &reader->headers[k];

        if (header->p_type == PT_LOAD && address >= header->p_vaddr && address - header->p_vaddr < header->p_filesz) {
            *offset_p = header->p_offset + (address - header->p_vaddr);
            return 0;
        }
    }
    return EINVAL;
}

static int
read_strings(reader_t *reader, const char **why_p)
{
    uint64_t address = 0, size = 0, offset;
    int error;

    for (size_t k = 0; k < reader->dynamic_count && reader->dynamic[k].d_tag != DT_NULL; k++) {
        if (reader->dynamic[k].d_tag == DT_STRTAB)
            address = reader->dynamic[k].d_un.d_ptr;
        if (reader->dynamic[k].d_tag == DT_STRSZ)
            size = reader->dynamic[k].d_un.d_val;
    }
    *why_p = "has a broken table of strings";
    if (size == 0 || size > STRINGS_MAX)
        return EINVAL;
    if ((error = file_offset(reader, address, &offset)) ||
        (error = read_array(reader, (void **)&reader->strings, size, offset)))
        return error;
    reader->strings_size = size;
    return reader->strings[size - 1] == '\0' ? 0 : EINVAL;
}

static int
copy_string(const reader_t *reader, uint64_t at, char **text_p)
{
    char *text;

    if (at >= reader->strings_size)
        return EINVAL;
    text = strdup(reader->strings + at);
    if (!text)
        return ENOMEM;
    free(*text_p);
    *text_p = text;
    return 0;
}

static int
copy_entries(const reader_t *reader, alchi_host_elf_t *elf, const char **why_p)
{
    size_t needed = 0;
    int error = 0;

    *why_p = "has broken entries in its dynamic section";
    elf->needed = calloc(NEEDED_MAX + 1, sizeof(*elf->needed));
    if (!elf->needed)
        return ENOMEM;
    for (size_t k = 0; !error && k < reader->dynamic_count && reader->dynamic[k].d_tag != DT_NULL; k++) {
        uint64_t at = reader->dynamic[k].d_un.d_val;

        switch (reader->dynamic[k].d_tag) {
        case DT_NEEDED:
            error = needed < NEEDED_MAX ? copy_string(reader, at, &elf->needed[needed++]) : EINVAL;
            break;
        case DT_RPATH:
            error = copy_string(reader, at, &elf->rpath);
            break;
        case DT_RUNPATH:
            error = copy_string(reader, at, &elf->runpath);
            break;
        default:
            break;
        }
    }
    return error;
}

int
alchi_host_elf_read(const char *path, alchi_host_elf_t *elf, const char **why_p)
{
    reader_t reader = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat info;
    int error = 0;

    memset(elf, 0, sizeof(*elf));
    *why_p = "cannot be read";
    if (reader.fd < 0)
        return errno;
    if (fstat(reader.fd, &info) != 0)
        error = errno;
    else if (!S_ISREG(info.st_mode)) {
        *why_p = "is not a file";
        error = EINVAL;
    } else
        reader.size = (uint64_t)info.st_size;
    if (!error && !(error = read_headers(&reader, why_p)) && !(error = read_dynamic(&reader, why_p)) &&
        !(error = read_strings(&reader, why_p)))
        error = copy_entries(&reader, elf, why_p);
    close(reader.fd);
    free(reader.headers);
    free(reader.dynamic);
    free(reader.strings);
    if (error)
        alchi_host_elf_fini(elf);
    return error;
}

void
alchi_host_elf_fini(alchi_host_elf_t *elf)
{
    for (size_t k = 0; elf->needed && elf->needed[k]; k++)
        free(elf->needed[k]);
    free(elf->needed);
    free(elf->rpath);
    free(elf->runpath);
    memset(elf, 0, sizeof(*elf));
}

uint8_t *
alchi_host_file_read(const char *path, size_t limit, size_t *size_p)
{
    reader_t reader = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct stat info;
    void *bytes = NULL;

    if (reader.fd < 0)
        return NULL;
    if (fstat(reader.fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size <= limit) {
        reader.size = (uint64_t)info.st_size;
        if (read_array(&reader, &bytes, reader.size, 0) == 0)
            *size_p = (size_t)reader.size;
    }
    close(reader.fd);
    return bytes;
}

/* The format of the cache that glibc writes: a header, entries, then strings. At CACHE_KEY and CACHE_VALUE an entry has
 * the offsets of the library's name and of its path, counted from the header. */
static const char cache_magic[] = "glibc-ld.so.cache1.1";
enum { CACHE_HEADER = 48, CACHE_ENTRY = 24, CACHE_KEY = 4, CACHE_VALUE = 8 };

static const char *
cache_string(const uint8_t *cache, size_t size, size_t at)
{
    uint32_t offset;

    memcpy(&offset, cache + at, sizeof(offset));
    return offset < size && memchr(cache + offset, 0, size - offset) ? (const char *)cache + offset : NULL;
}

const char *
alchi_host_ldcache_find(const uint8_t *cache, size_t size, const char *name, size_t *cursor)
{
    const uint8_t *start = cache ? memmem(cache, size, cache_magic, sizeof(cache_magic) - 1) : NULL;
    uint32_t count;

    if (!start)
        return NULL;
    size -= (size_t)(start - cache);
    if (size < CACHE_HEADER)
        return NULL;
    memcpy(&count, start + sizeof(cache_magic) - 1, sizeof(count));
    if (count > (size - CACHE_HEADER) / CACHE_ENTRY)
        return NULL;
    while (*cursor < count) {
        size_t at = CACHE_HEADER + CACHE_ENTRY * (*cursor)++;
        const char *key = cache_string(start, size, at + CACHE_KEY);

        if (key && strcmp(key, name) == 0)
            return cache_string(start, size, at + CACHE_VALUE);
    }
    return NULL;
}
