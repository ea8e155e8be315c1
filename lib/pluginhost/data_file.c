/* The service data_file(): it finds a file for a library, if the file is below a directory that the operator allows. */
#include "base/error.h"
#include "pluginhost/call.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
alchi_host_path_is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    /* length == 1: the root directory, whose name already ends in a slash. */
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0' || length == 1);
}

/* @return the data directory that contains a path; NULL: no data directory contains it */
static const char *
data_dir_of(const alchi_host_plugins_env_t *env, const char *real)
{
    for (size_t k = 0; k < env->data_dir_count; k++)
        if (alchi_host_path_is_below(real, env->data_dirs[k]))
            return env->data_dirs[k];
    return NULL;
}

/* Write the data directories as "/a, /b". */
static char *
list_dirs(const alchi_host_plugins_env_t *env, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t k = 0; k < env->data_dir_count && length < size; k++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", k ? ", " : "", env->data_dirs[k]);
    return text;
}

/* @return whether the deepest existing directory of `path` is in a data directory. If it is not, the client gets the
 * same error whether or not the file exists, and so learns nothing about other directories. */
static bool
parent_is_allowed(const alchi_host_plugins_env_t *env, const char *path)
{
    char parent[PATH_MAX], real[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    while ((slash = strrchr(parent, '/'))) {
        slash[slash == parent] = '\0';
        if (realpath(parent, real))
            return data_dir_of(env, real) != NULL;
        if (slash == parent)
            break;
    }
    return false;
}

/* Resolve the path of a file that does not exist: its directory must exist. ELOOP: the path is a link that cannot be
 * followed. */
static int
resolve_new_file(const char *path, char *resolved)
{
    char parent[PATH_MAX], real[PATH_MAX];
    char *slash = strrchr(path, '/');
    struct stat status;
    int length;

    if (lstat(path, &status) == 0)
        return ELOOP;
    if (!slash[1] || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
        return EISDIR;
    snprintf(parent, sizeof(parent), "%.*s", (int)(slash == path ? 1 : slash - path), path);
    if (!realpath(parent, real))
        return errno;
    length = snprintf(resolved, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", slash + 1);
    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

/* @return 0, or an errno value. ENOENT when writing: the directory of the file does not exist. */
static int
resolve_path(const char *path, bool for_writing, char *resolved)
{
    struct stat status;

    if (!realpath(path, resolved))
        return errno == ENOENT && for_writing ? resolve_new_file(path, resolved) : errno;
    if (stat(resolved, &status))
        return errno;
    /* A rank could wait forever for a pipe or a device. */
    return S_ISREG(status.st_mode) ? 0 : S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
}

static int
code_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return ALCH_ENOENT;
    case EACCES:
        return ALCH_EPERM;
    default:
        return ALCH_EINVAL;
    }
}

/* @return the predicate of an error text. If it ends in a colon, the text of the errno value follows. */
static const char *
describe_fault(int error)
{
    switch (error) {
    case EINVAL:
        return "is not a regular file";
    case EISDIR:
        return "is a directory";
    case ELOOP:
        return "is a link that leads nowhere or in a circle";
    default:
        return "cannot be reached: ";
    }
}

static int
find_path(const alchi_host_plugins_env_t *env, const char *asked, const char *path, bool for_writing, char *resolved,
          alch_error_t *err)
{
    char dirs[ALCH_ERROR_TEXT_MAX / 2];
    int error = resolve_path(path, for_writing, resolved);

    if (error ? !parent_is_allowed(env, path) : !data_dir_of(env, resolved))
        return alchi_error_set(err, ALCH_EPERM, "file '%.200s' is in none of the data directories: %s (--data-dir)",
                               asked, list_dirs(env, dirs, sizeof(dirs)));
    if (error == ENOENT || error == ENOTDIR)
        return alchi_error_set(err, ALCH_ENOENT, "file '%.200s' %s; the data directories are %s (--data-dir)", asked,
                               error == ENOTDIR ? "does not exist: a part of its path is not a directory"
                               : for_writing    ? "cannot be created: its directory does not exist"
                                                : "does not exist",
                               list_dirs(env, dirs, sizeof(dirs)));
    if (error)
        return alchi_error_set(err, code_of_errno(error), "file '%.200s' %s%s", asked, describe_fault(error),
                               error == EINVAL || error == EISDIR || error == ELOOP ? "" : strerror(error));
    return ALCH_OK;
}

/* Open the directory of a resolved path, one name after the other from the data directory on. The path had no links
 * when it was resolved; O_NOFOLLOW refuses a name that has become a link since then. `path` is changed.
 * @return a descriptor; -1: errno says why */
static int
open_parent(const char *base, char *path)
{
    int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, dir = open(base, flags);
    char *name = path + strlen(base), *slash;

    for (name += *name == '/'; dir >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
        int parent = dir;

        *slash = '\0';
        dir = openat(parent, name, flags);
        close(parent);
    }
    return dir;
}

/* Make a client's path absolute: a relative one starts in the first data directory. */
static int
make_absolute(alch_call_t *base, const char *asked, char path[PATH_MAX])
{
    const alchi_host_plugins_env_t *env = &alchi_host_call_of(base)->plugins->env;
    int length;

    if (!env->data_dir_count)
        return base->host->fail(base, ALCH_EPERM,
                                "file '%.200s' cannot be reached: this server has no data directory; alchemistd "
                                "--data-dir DIR allows the files below DIR",
                                asked);
    length = asked[0] == '/' ? snprintf(path, PATH_MAX, "%s", asked)
                             : snprintf(path, PATH_MAX, "%s/%s", env->data_dirs[0], asked);
    if (!asked[0])
        return base->host->fail(base, ALCH_EINVAL, "the name of the file is empty");
    if (length >= PATH_MAX)
        return base->host->fail(base, ALCH_EINVAL,
                                "file '%.100s...' has a path of %d bytes, but at most %d are allowed", asked, length,
                                PATH_MAX - 1);
    return ALCH_OK;
}

int
alchi_host_data_file(alch_call_t *base, const char *asked, bool for_writing, int *dir_p, char *name)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    const alchi_host_plugins_env_t *env = &call->plugins->env;
    char path[PATH_MAX], real[PATH_MAX], last[ALCH_DATA_NAME_MAX];
    int code = make_absolute(base, asked, path), dir;

    if (code)
        return code;
    if ((code = find_path(env, asked, path, for_writing, real, &call->error))) {
        call->error.rank = base->rank;
        return code;
    }
    snprintf(last, sizeof(last), "%s", strrchr(real, '/') + 1);
    if ((dir = open_parent(data_dir_of(env, real), real)) < 0)
        return base->host->fail(base, errno == EACCES ? ALCH_EPERM : ALCH_ESYSTEM,
                                "the directory of file '%.200s' cannot be opened: %s", asked,
                                errno == ENOTDIR || errno == ELOOP ? "it changed during the lookup" : strerror(errno));
    memcpy(name, last, sizeof(last));
    *dir_p = dir;
    return ALCH_OK;
}
