/* The directories and names of connection files. */
#include "net/connpath.h"

#include "base/error.h"
#include "net/connfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write the directory that an environment variable names, followed by `rest`. false: the variable is not set, is not an
 * absolute path, or the result is too long. */
static bool
path_from_environment(const char *variable, const char *rest, char path[ALCHI_CONNPATH_MAX])
{
    const char *value = getenv(variable);

    if (!value || value[0] != '/')
        return false;
    return snprintf(path, ALCHI_CONNPATH_MAX, "%s%s", value, rest) < ALCHI_CONNPATH_MAX;
}

/* Whether XDG_RUNTIME_DIR is a directory of this user. Programs like su may leave another user's directory there. */
static bool
runtime_dir_is_ours(void)
{
    const char *value = getenv("XDG_RUNTIME_DIR");
    struct stat info;

    return value && stat(value, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

int
alchi_connpath_dirs(char dirs[2][ALCHI_CONNPATH_MAX])
{
    int count = 0;

    if (runtime_dir_is_ours() && path_from_environment("XDG_RUNTIME_DIR", "/alchemist", dirs[count]))
        count++;
    if (path_from_environment("HOME", "/.alchemist", dirs[count]))
        count++;
    return count;
}

int
alchi_connpath_check(const char *dir, alch_error_t *err)
{
    struct stat info;

    if (stat(dir, &info) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return alchi_error_set(err, ALCH_ENOENT, "%s does not exist", dir);
    if (stat(dir, &info) != 0)
        return alchi_error_errno(err, errno, "%s cannot be examined", dir);
    if (!S_ISDIR(info.st_mode))
        return alchi_error_set(err, ALCH_ESYSTEM, "%s is not a directory", dir);
    if (info.st_uid != geteuid())
        return alchi_error_set(err, ALCH_EPERM, "%s belongs to user %u, this process to user %u", dir,
                               (unsigned)info.st_uid, (unsigned)geteuid());
    if (info.st_mode & 077)
        return alchi_error_set(err, ALCH_EPERM, "%s is open to other users (mode %03o): chmod 700 %s", dir,
                               (unsigned)info.st_mode & 0777, dir);
    return ALCH_OK;
}

int
alchi_connfile_dir(bool create, char *path, size_t size, alch_error_t *err)
{
    char dirs[2][ALCHI_CONNPATH_MAX];
    int code;

    if (alchi_connpath_dirs(dirs) == 0)
        return alchi_error_set(err, ALCH_ENOENT,
                               "connection files have no directory: HOME is not set to an absolute path");
    if (strlen(dirs[0]) >= size)
        return alchi_error_set(err, ALCH_ESYSTEM, "the path of the connection files is too long: %.200s...", dirs[0]);
    if (create && mkdir(dirs[0], 0700) != 0 && errno != EEXIST)
        return alchi_error_errno(err, errno, "cannot create %s", dirs[0]);
    code = alchi_connpath_check(dirs[0], err);
    if (code != ALCH_OK && (create || code != ALCH_ENOENT))
        return code;
    memcpy(path, dirs[0], strlen(dirs[0]) + 1);
    return ALCH_OK;
}

int
alchi_connpath_name(const char *dir, const alchi_address_t *address, char *path, size_t size, alch_error_t *err)
{
    const char *host = alchi_address_is_loopback(address->host) ? "localhost" : address->host;
    char name[sizeof(address->host)];
    size_t length = 0;

    for (; host[length]; length++) {
        unsigned char c = (unsigned char)host[length];

        name[length] = isalnum(c) || strchr(".-:", c) ? (char)tolower(c) : '_';
    }
    name[length] = '\0';
    if (snprintf(path, size, "%s/alchemist-%s-%d.json", dir, name, address->port) >= (int)size)
        return alchi_error_set(err, ALCH_ELIMIT, "the path of the connection file is too long: %.200s...", path);
    return ALCH_OK;
}
