#include "net/connfile.h"

#include "base/error.h"
#include "base/util.h"
#include "net/connpath.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOUND_MAX 256

/* A connection file in a standard place. */
typedef struct {
    char *path;
    struct timespec time;
} found_t;

typedef struct {
    found_t items[FOUND_MAX];
    int count;
} found_list_t;

static int
newest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const found_t *)a)->time, *y = &((const found_t *)b)->time;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec < y->tv_nsec ? 1 : x->tv_nsec > y->tv_nsec ? -1 : 0;
}

static void
collect(const char *dir_path, found_list_t *list)
{
    DIR *dir = opendir(dir_path);
    struct dirent *entry;
    struct stat info;
    char *path;

    while (dir && list->count < FOUND_MAX && (entry = readdir(dir))) {
        if (fnmatch("alchemist-*.json", entry->d_name, 0) != 0 || fstatat(dirfd(dir), entry->d_name, &info, 0) != 0)
            continue;
        path = alchi_asprintf("%s/%s", dir_path, entry->d_name);
        if (path)
            list->items[list->count++] = (found_t){path, info.st_mtim};
    }
    if (dir)
        closedir(dir);
}

/* The kinds of failure, from nothing at all to what the user should hear about first. */
static int
weight(int code)
{
    return code == ALCH_ENOENT ? 0 : code == ALCH_ESTATE ? 1 : 2;
}

/* Keep the failure that says most. */
static void
keep(alch_error_t *kept, const alch_error_t *other)
{
    if (weight(other->code) > weight(kept->code))
        *kept = *other;
}

static int
find_newest(char dirs[2][ALCHI_CONNPATH_MAX], int dir_count, alchi_connfile_t *file_p, alch_error_t *kept)
{
    found_list_t list = {.count = 0};
    alch_error_t error;
    int code = ALCH_ENOENT;

    for (int i = 0; i < dir_count; i++) {
        if (alchi_connpath_check(dirs[i], &error) == ALCH_OK)
            collect(dirs[i], &list);
        else
            keep(kept, &error);
    }
    qsort(list.items, (size_t)list.count, sizeof(list.items[0]), newest_first);
    for (int i = 0; i < list.count; i++) {
        if (code != ALCH_OK) {
            code = alchi_connfile_read(list.items[i].path, file_p, &error);
            if (code != ALCH_OK)
                keep(kept, &error);
        }
        free(list.items[i].path);
    }
    return code;
}

static int
find_named(char dirs[2][ALCHI_CONNPATH_MAX], int dir_count, const alchi_address_t *address, alchi_connfile_t *file_p,
           alch_error_t *kept)
{
    char path[ALCHI_CONNPATH_MAX];
    alch_error_t error;

    for (int i = 0; i < dir_count; i++) {
        int code = alchi_connpath_check(dirs[i], &error);

        if (code == ALCH_OK)
            code = alchi_connpath_name(dirs[i], address, path, sizeof(path), &error);
        if (code == ALCH_OK)
            code = alchi_connfile_read(path, file_p, &error);
        if (code == ALCH_OK)
            return code;
        keep(kept, &error);
    }
    return kept->code;
}

/* Whether the host is this machine by its own name: a driver that listens on every interface is known as localhost. */
static bool
is_own_name(const char *host)
{
    char own[256] = "";
    size_t length;

    if (gethostname(own, sizeof(own) - 1) != 0 || own[0] == '\0')
        return false;
    length = strcspn(own, ".");
    return strcasecmp(host, own) == 0 || (strlen(host) == length && strncasecmp(host, own, length) == 0);
}

int
alchi_connfile_find(const alchi_address_t *address, alchi_connfile_t *file_p, alch_error_t *err)
{
    const char *override = getenv("ALCHEMIST_CONNECTION");
    alchi_address_t local = {.host = "localhost", .port = address ? address->port : 0};
    char dirs[2][ALCHI_CONNPATH_MAX], text[300] = "";
    alch_error_t kept = {.code = ALCH_ENOENT};
    int count, code;

    if (override && override[0])
        return alchi_connfile_read(override, file_p, err);
    count = alchi_connpath_dirs(dirs);
    if (count == 0)
        return alchi_error_set(err, ALCH_ENOENT, "no place to look for connection files: HOME is not set");
    if (address)
        code = find_named(dirs, count, address, file_p, &kept);
    else
        code = find_newest(dirs, count, file_p, &kept);
    if (code != ALCH_OK && address && is_own_name(address->host))
        code = find_named(dirs, count, &local, file_p, &kept);
    if (code == ALCH_OK)
        return code;
    if (weight(kept.code) > 1 || (address && kept.code == ALCH_ESTATE))
        return alchi_error_set(err, kept.code, "%s", kept.text);
    if (address)
        alchi_address_format(address, text, sizeof(text));
    return alchi_error_set(err, ALCH_ENOENT, "no connection file of a running alchemistd%s%s in %s%s%s%s%s",
                           address ? " at " : "", text, dirs[0], count > 1 ? " or " : "", count > 1 ? dirs[1] : "",
                           kept.code == ALCH_ESTATE ? "; the last one: " : "",
                           kept.code == ALCH_ESTATE ? kept.text : "");
}
