/* Files that a library may use: those below the directories that the operator allows. */
#include "base/error.h"
#include "worker/host.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool
within(const char *real, const char *dir)
{
    size_t length = strlen(dir);

    /* The root directory's own name ends in the slash that others lack. */
    return strncmp(real, dir, length) == 0 && (real[length] == '/' || real[length] == '\0' || length == 1);
}

static bool
is_allowed(const alchi_plugins_env_t *env, const char *real)
{
    for (size_t k = 0; k < env->data_dir_count; k++)
        if (within(real, env->data_dirs[k]))
            return true;
    return false;
}

/* "/a, /b" */
static char *
list_dirs(const alchi_plugins_env_t *env, char *text, size_t size)
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
leads_inside(const alchi_plugins_env_t *env, const char *path)
{
    char parent[PATH_MAX], real[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    while ((slash = strrchr(parent, '/'))) {
        slash[slash == parent] = '\0';
        if (realpath(parent, real))
            return is_allowed(env, real);
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
find_path(const alchi_plugins_env_t *env, const char *asked, const char *path, bool for_writing, char *resolved,
          alch_error_t *err)
{
    char dirs[ALCH_ERROR_TEXT_MAX / 2];
    int error = resolve(path, for_writing, resolved);

    if (error ? !leads_inside(env, path) : !is_allowed(env, resolved))
        return alchi_error_set(err, ALCH_EPERM, "file '%.200s' is in none of the directories for data: %s (--data-dir)",
                               asked, list_dirs(env, dirs, sizeof(dirs)));
    if (error == ENOENT || error == ENOTDIR)
        return alchi_error_set(err, ALCH_ENOENT, "no file '%.200s'%s; directories for data: %s (--data-dir)", asked,
                               for_writing ? ": its directory does not exist" : "",
                               list_dirs(env, dirs, sizeof(dirs)));
    if (error)
        return alchi_error_set(err, code_of(error), "file '%.200s': %s", asked,
                               error == EINVAL  ? "it is no regular file"
                               : error == ELOOP ? "it is a link that leads nowhere, or in a circle"
                                                : strerror(error));
    return ALCH_OK;
}

int
alchi_data_path(alch_call_t *base, const char *asked, bool for_writing, char *resolved, size_t size)
{
    alchi_call_t *call = alchi_call_of(base);
    const alchi_plugins_env_t *env = &call->plugins->env;
    char path[PATH_MAX], real[PATH_MAX];
    int length, code;

    if (!env->data_dir_count)
        return base->host->fail(base, ALCH_EPERM,
                                "file '%.200s': this server lets clients reach no file; alchemistd --data-dir DIR "
                                "allows those below DIR",
                                asked);
    length = asked[0] == '/' ? snprintf(path, sizeof(path), "%s", asked)
                             : snprintf(path, sizeof(path), "%s/%s", env->data_dirs[0], asked);
    if (!asked[0] || length >= (int)sizeof(path))
        return base->host->fail(base, ALCH_EINVAL, "'%.200s' is not the name of a file", asked);
    if ((code = find_path(env, asked, path, for_writing, real, &call->error))) {
        call->error.rank = base->rank;
        return code;
    }
    if (strlen(real) >= size)
        return base->host->fail(base, ALCH_ELIMIT, "the path of file '%.200s' is too long", asked);
    memcpy(resolved, real, strlen(real) + 1);
    return ALCH_OK;
}
