/* Find the connection file of a driver in the standard directories. */
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

/* A connection file in a standard directory. */
typedef struct {
    char *path;
    struct timespec time; /* of its last change */
} found_t;

typedef struct {
    found_t items[FOUND_MAX];
    int count;
} found_list_t;

static int
compare_newest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const found_t *)a)->time, *y = &((const found_t *)b)->time;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec < y->tv_nsec ? 1 : x->tv_nsec > y->tv_nsec ? -1 : 0;
}

static void
list_connfiles(const char *dir_path, found_list_t *list)
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

/* How important a failure is for the user. In rising order: there is no file; the file's daemon has ended; any other
 * failure. */
static int
failure_rank(int code)
{
    return code == ALCH_ENOENT ? 0 : code == ALCH_ESTATE ? 1 : 2;
}

/* Keep the more important of two failures. */
static void
keep_failure(alch_error_t *kept, const alch_error_t *other)
{
    if (failure_rank(other->code) > failure_rank(kept->code))
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
            list_connfiles(dirs[i], &list);
        else
            keep_failure(kept, &error);
    }
    qsort(list.items, (size_t)list.count, sizeof(list.items[0]), compare_newest_first);
    for (int i = 0; i < list.count; i++) {
        if (code != ALCH_OK) {
            code = alchi_connfile_read(list.items[i].path, file_p, &error);
            if (code != ALCH_OK)
                keep_failure(kept, &error);
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
        keep_failure(kept, &error);
    }
    return kept->code;
}

/* Whether `host` is the name of this host, with or without its domain. The file of a driver that listens on every
 * interface is named for localhost, so it must be found under the name of the host too. */
static bool
is_this_host(const char *host)
{
    char name[256] = "";
    size_t length;

    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
        return false;
    length = strcspn(name, ".");
    return strcasecmp(host, name) == 0 || (strlen(host) == length && strncasecmp(host, name, length) == 0);
}

int
alchi_connfile_find(const alchi_address_t *address, alchi_connfile_t *file_p, alch_error_t *err)
{
    const char *override = getenv("ALCHEMIST_CONNECTION");
    alchi_address_t localhost = {.host = "localhost", .port = address ? address->port : 0};
    char dirs[2][ALCHI_CONNPATH_MAX], text[300] = "";
    alch_error_t kept = {.code = ALCH_ENOENT};
    int count, code;

    if (override && override[0])
        return alchi_connfile_read(override, file_p, err);
    count = alchi_connpath_dirs(dirs);
    if (count == 0)
        return alchi_error_set(err, ALCH_ENOENT,
                               "connection files have no directory: HOME is not set to an absolute path");
    if (address)
        code = find_named(dirs, count, address, file_p, &kept);
    else
        code = find_newest(dirs, count, file_p, &kept);
    if (code != ALCH_OK && address && is_this_host(address->host))
        code = find_named(dirs, count, &localhost, file_p, &kept);
    if (code == ALCH_OK)
        return code;
    if (failure_rank(kept.code) > 1 || (address && kept.code == ALCH_ESTATE))
        return alchi_error_set(err, kept.code, "%s", kept.text);
    if (address)
        alchi_address_format(address, text, sizeof(text));
    return alchi_error_set(err, ALCH_ENOENT, "there is no connection file of a running alchemistd%s%s in %s%s%s%s%s",
                           address ? " at " : "", text, dirs[0], count > 1 ? " or " : "", count > 1 ? dirs[1] : "",
                           kept.code == ALCH_ESTATE ? "; the last file found: " : "",
                           kept.code == ALCH_ESTATE ? kept.text : "");
}
