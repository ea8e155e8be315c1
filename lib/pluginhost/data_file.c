/* Files that a library may use: those below the directories that the operator allows. */
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

static bool
within(const char *real, const char *dir)
{
    size_t length = strlen(dir);

    /* The root directory's own name ends in the slash that others lack. */
    return strncmp(real, dir, length) == 0 && (real[length] == '/' || real[length] == '\0' || length == 1);
}

/* The directory of the operator's that a path lies in. @return NULL: in none */
static const char *
base_of(const alchi_host_plugins_env_t *env, const char *real)
{
    for (size_t k = 0; k < env->data_dir_count; k++)
        if (within(real, env->data_dirs[k]))
            return env->data_dirs[k];
    return NULL;
}

/* "/a, /b" */
static char *
list_dirs(const alchi_host_plugins_env_t *env, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t k = 0; k < env->data_dir_count && length < size; k++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", k ? ", " : "", env->data_dirs[k]);
    return text;
}

/* Whether the deepest directory of `path` that exists is allowed. What lies outside is not told apart from what does
 * not exist. */
static bool
leads_inside(const alchi_host_plugins_env_t *env, const char *path)
{
    char parent[PATH_MAX], real[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    while ((slash = strrchr(parent, '/'))) {
        slash[slash == parent] = '\0';
        if (realpath(parent, real))
            return base_of(env, real) != NULL;
        if (slash == parent)
            break;
    }
    return false;
}

/* A file that is yet to be made: its directory exists, and its name is no link into nowhere. */
static int
resolve_new(const char *path, char *resolved)
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

/* @return 0, or an errno value: ENOENT for what may be made when writing, too */
static int
resolve(const char *path, bool for_writing, char *resolved)
{
    struct stat status;

    if (!realpath(path, resolved))
        return errno == ENOENT && for_writing ? resolve_new(path, resolved) : errno;
    if (stat(resolved, &status))
        return errno;
    /* A pipe or a device could make a rank wait for ever. */
    return S_ISREG(status.st_mode) ? 0 : S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
}

static int
code_of(int error)
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

static int
find_path(const alchi_host_plugins_env_t *env, const char *asked, const char *path, bool for_writing, char *resolved,
          alch_error_t *err)
{
    char dirs[ALCH_ERROR_TEXT_MAX / 2];
    int error = resolve(path, for_writing, resolved);

    if (error ? !leads_inside(env, path) : !base_of(env, resolved))
        return alchi_error_set(err, ALCH_EPERM, "file '%.200s' is in none of the directories for data: %s (--data-dir)",
                               asked, list_dirs(env, dirs, sizeof(dirs)));
    if (error == ENOENT || error == ENOTDIR)
        return alchi_error_set(err, ALCH_ENOENT, "no file '%.200s'%s; directories for data: %s (--data-dir)", asked,
                               error == ENOTDIR ? ": a part of its path is no directory"
                               : for_writing    ? ": its directory does not exist"
                                                : "",
                               list_dirs(env, dirs, sizeof(dirs)));
    if (error)
        return alchi_error_set(err, code_of(error), "file '%.200s': %s", asked,
                               error == EINVAL  ? "it is no regular file"
                               : error == ELOOP ? "it is a link that leads nowhere, or in a circle"
                                                : strerror(error));
    return ALCH_OK;
}

/* The directory of a path that had no links, name by name from the operator's directory on: whatever became a link
 * meanwhile ends it. `path` loses its slashes. @return a descriptor; -1: errno says why */
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

/* Where a client's path leads to, as far as it can be told by its text. */
static int
absolute(alch_call_t *base, const char *asked, char path[PATH_MAX])
{
    const alchi_host_plugins_env_t *env = &alchi_host_call_of(base)->plugins->env;
    int length;

    if (!env->data_dir_count)
        return base->host->fail(base, ALCH_EPERM,
                                "file '%.200s': this server lets clients reach no file; alchemistd --data-dir DIR "
                                "allows those below DIR",
                                asked);
    length = asked[0] == '/' ? snprintf(path, PATH_MAX, "%s", asked)
                             : snprintf(path, PATH_MAX, "%s/%s", env->data_dirs[0], asked);
    if (!asked[0])
        return base->host->fail(base, ALCH_EINVAL, "'' is not the name of a file");
    if (length >= PATH_MAX)
        return base->host->fail(base, ALCH_EINVAL, "file '%.100s...': its path has %d bytes, the limit is %d", asked,
                                length, PATH_MAX - 1);
    return ALCH_OK;
}

int
alchi_host_data_file(alch_call_t *base, const char *asked, bool for_writing, int *dir_p, char *name)
{
    alchi_host_call_t *call = alchi_host_call_of(base);
    const alchi_host_plugins_env_t *env = &call->plugins->env;
    char path[PATH_MAX], real[PATH_MAX], last[ALCH_DATA_NAME_MAX];
    int code = absolute(base, asked, path), dir;

    if (code)
        return code;
    if ((code = find_path(env, asked, path, for_writing, real, &call->error))) {
        call->error.rank = base->rank;
        return code;
    }
    snprintf(last, sizeof(last), "%s", strrchr(real, '/') + 1);
    if ((dir = open_parent(base_of(env, real), real)) < 0)
        return base->host->fail(base, errno == EACCES ? ALCH_EPERM : ALCH_ESYSTEM,
                                "file '%.200s': its directory cannot be opened: %s", asked,
                                errno == ENOTDIR || errno == ELOOP ? "it was changed meanwhile" : strerror(errno));
    memcpy(name, last, sizeof(last));
    *dir_p = dir;
    return ALCH_OK;
}
