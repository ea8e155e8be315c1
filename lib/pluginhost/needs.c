/* The check for Open MPI: walk from file to file over everything that a library needs. */
#include "pluginhost/needs.h"
#include "base/error.h"
#include "base/util.h"
#include "pluginhost/elf_file.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_PATH "/etc/ld.so.cache"
#define CACHE_LIMIT (64u << 20)
#define FILES_MAX 4096

/* A file of the walk. */
typedef struct {
    char *path;
    int parent; /* index of the file that needs it; -1: the library itself */
    alchi_host_elf_t elf;
} node_t;

typedef struct {
    node_t *nodes;
    int count, capacity;
    uint8_t *cache;
    size_t cache_size;
    const char *ld_library_path;
} walk_t;

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool
alchi_host_needs_is_openmpi(const char *name)
{
    static const char *const prefixes[] = {"libopen-pal.so", "libopen-rte.so", "liboshmem.so", "libmpi_"};
    const char *slash = strrchr(name, '/');

    if (slash)
        name = slash + 1;
    for (size_t k = 0; k < ALCHI_COUNT(prefixes); k++)
        if (starts_with(name, prefixes[k]))
            return true;
    /* MPICH and the MPIs that derive from it are also called libmpi.so.12. A libmpi.so.12 of Open MPI is recognized by
     * the libraries that it needs itself. */
    return starts_with(name, "libmpi.so") && strcmp(name, "libmpi.so.12") != 0;
}

/* Write the chain from the library down to `parent`: " through /a/libX.so and /a/libY.so", or "" if `parent` is the
 * library itself. */
static void
describe_chain(const walk_t *walk, int parent, char *text, size_t size)
{
    int chain[32], depth = 0;
    size_t at = 0;

    for (int k = parent; k > 0 && depth < 32; k = walk->nodes[k].parent)
        chain[depth++] = k;
    text[0] = '\0';
    while (depth-- > 0 && at < size)
        at += (size_t)snprintf(text + at, size - at, " %s %s", at ? "and" : "through", walk->nodes[chain[depth]].path);
}

static int
refuse_openmpi(const walk_t *walk, int parent, const char *name, alch_error_t *err)
{
    char chain[ALCH_ERROR_TEXT_MAX / 2];

    describe_chain(walk, parent, chain, sizeof(chain));
    return alchi_error_set(err, ALCH_EPLUGIN,
                           "%s needs Open MPI (%s)%s: this worker runs MPICH; compile it with mpicc.mpich",
                           walk->nodes[0].path, name, chain);
}

static bool
is_in_walk(const walk_t *walk, const char *path)
{
    for (int k = 0; k < walk->count; k++)
        if (strcmp(walk->nodes[k].path, path) == 0)
            return true;
    return false;
}

/* Try to add a file. @return 0: it is in the walk; ENOENT: it is missing, or it is not a shared
 * object for this machine; ENOMEM */
static int
try_file(walk_t *walk, const char *path, int parent)
{
    char *real = realpath(path, NULL);
    const char *why;
    node_t node = {.path = real, .parent = parent};
    int error;

    if (!real)
        return errno == ENOMEM ? ENOMEM : ENOENT;
    if (is_in_walk(walk, real)) {
        free(real);
        return 0;
    }
    error = walk->count < FILES_MAX ? alchi_host_elf_read(real, &node.elf, &why) : EINVAL;
    if (!error && walk->count == walk->capacity) {
        int capacity = walk->capacity ? 2 * walk->capacity : 32;
        node_t *nodes = realloc(walk->nodes, sizeof(*nodes) * (size_t)capacity);

        if (nodes) {
            walk->nodes = nodes;
            walk->capacity = capacity;
        } else {
            alchi_host_elf_fini(&node.elf);
            error = ENOMEM;
        }
    }
    if (error) {
        free(real);
        return error == ENOMEM ? ENOMEM : ENOENT;
    }
    walk->nodes[walk->count++] = node;
    return 0;
}

/* Copy one directory of a search path, with the value of $ORIGIN. @return false: it is empty or too long for `out` */
static bool
expand_origin(const char *dir, size_t length, const char *origin, char *out, size_t size)
{
    size_t at = 0;

    while (length) {
        size_t token = length >= 7 && starts_with(dir, "$ORIGIN")     ? 7
                       : length >= 9 && starts_with(dir, "${ORIGIN}") ? 9
                                                                      : 0;
        const char *add = token ? origin : dir;
        size_t bytes = token ? strlen(origin) : 1;

        if (at + bytes >= size)
            return false;
        memcpy(out + at, add, bytes);
        at += bytes;
        dir += token ? token : 1;
        length -= token ? token : 1;
    }
    out[at] = '\0';
    return at > 0;
}

static void
origin_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');

    snprintf(out, size, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

/* Look for `name` along a search path, which comes from the file `origin_file`. */
static int
try_path(walk_t *walk, const char *search, const char *origin_file, const char *name, int parent)
{
    char origin[PATH_MAX], dir[PATH_MAX], file[2 * PATH_MAX];
    int error = ENOENT;

    origin_of(origin_file, origin, sizeof(origin));
    while (search && error == ENOENT) {
        size_t length = strcspn(search, ":;");

        if (expand_origin(search, length, origin, dir, sizeof(dir))) {
            snprintf(file, sizeof(file), "%s/%s", dir, name);
            error = try_file(walk, file, parent);
        }
        search = search[length] ? search + length + 1 : NULL;
    }
    return error;
}

/* A DT_RPATH applies to all files that its file needs, at any depth. The DT_RPATH of a file that also has a
 * DT_RUNPATH is ignored. */
static int
try_rpaths(walk_t *walk, const char *name, int parent)
{
    int error = ENOENT;

    for (int k = parent; k >= 0 && error == ENOENT; k = walk->nodes[k].parent)
        if (!walk->nodes[k].elf.runpath && walk->nodes[k].elf.rpath)
            error = try_path(walk, walk->nodes[k].elf.rpath, walk->nodes[k].path, name, parent);
    return error;
}

static int
try_cache(walk_t *walk, const char *name, int parent)
{
    size_t cursor = 0;
    const char *path;
    int error = ENOENT;

    while (error == ENOENT && (path = alchi_host_ldcache_find(walk->cache, walk->cache_size, name, &cursor)))
        error = try_file(walk, path, parent);
    return error;
}

static int
find_needed(walk_t *walk, const char *name, int parent)
{
    static const char standard[] = "/lib64:/usr/lib64:/lib:/usr/lib";
    char file[2 * PATH_MAX], origin[PATH_MAX];
    int error;

    if (strchr(name, '/')) {
        origin_of(walk->nodes[parent].path, origin, sizeof(origin));
        return expand_origin(name, strlen(name), origin, file, sizeof(file)) ? try_file(walk, file, parent) : ENOENT;
    }
    error = walk->nodes[parent].elf.runpath ? ENOENT : try_rpaths(walk, name, parent);
    if (error == ENOENT)
        error = try_path(walk, walk->ld_library_path, ".", name, parent);
    if (error == ENOENT)
        error = try_path(walk, walk->nodes[parent].elf.runpath, walk->nodes[parent].path, name, parent);
    if (error == ENOENT)
        error = try_cache(walk, name, parent);
    return error == ENOENT ? try_path(walk, standard, "/", name, parent) : error;
}

/* Breadth first: find_needed() appends nodes during the loop. */
static int
check_walk(walk_t *walk, alch_error_t *err)
{
    for (int k = 0; k < walk->count; k++) {
        for (size_t l = 0; walk->nodes[k].elf.needed[l]; l++) {
            /* Appending may move nodes[], but not the text that a node points to. */
            const char *name = walk->nodes[k].elf.needed[l];

            if (alchi_host_needs_is_openmpi(name))
                return refuse_openmpi(walk, k, name, err);
            if (find_needed(walk, name, k) == ENOMEM)
                return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to read what %s needs",
                                       walk->nodes[0].path);
        }
    }
    return ALCH_OK;
}

/* Add the library itself. A fault of this file is an error, while try_file() skips a file with a fault. */
static int
add_library(walk_t *walk, const char *path, alch_error_t *err)
{
    alchi_host_elf_t elf;
    const char *why = "";
    int error = alchi_host_elf_read(path, &elf, &why);

    if (error == EINVAL)
        return alchi_error_set(err, ALCH_EPLUGIN, "%s %s", path, why);
    if (error)
        return alchi_error_errno(err, error, "library %s cannot be read", path);
    alchi_host_elf_fini(&elf);
    return try_file(walk, path, -1) == 0
               ? ALCH_OK
               : alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory to read %s", path);
}

int
alchi_host_needs_check(const char *path, alch_error_t *err)
{
    walk_t walk = {.ld_library_path = getenv("LD_LIBRARY_PATH")};
    int code;

    walk.cache = alchi_host_file_read(CACHE_PATH, CACHE_LIMIT, &walk.cache_size);
    code = add_library(&walk, path, err);
    if (!code)
        code = check_walk(&walk, err);
    for (int k = 0; k < walk.count; k++) {
        alchi_host_elf_fini(&walk.nodes[k].elf);
        free(walk.nodes[k].path);
    }
    free(walk.nodes);
    free(walk.cache);
    return code;
}
