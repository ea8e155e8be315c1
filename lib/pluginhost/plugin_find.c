/* Find the file of a library by its name or its path, and check that the operator allows it. */
#include "base/error.h"
#include "pluginhost/plugin_load.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Append to a text, which is cut at `size` bytes. */
static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + length, size - length, format, args);
    va_end(args);
}

static int
is_object(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

static void
append_names(char *text, size_t size, const char *dir)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_object, alphasort);

    if (count < 0) {
        append(text, size, "%s cannot be read", dir);
        return;
    }
    append(text, size, "%s holds%s", dir, count ? "" : " no library");
    for (int k = 0; k < count; k++) {
        append(text, size, "%s %.*s", k ? "," : "", (int)strlen(entries[k]->d_name) - 3, entries[k]->d_name);
        free(entries[k]);
    }
    free(entries);
}

/* Write the directories as "/a, /b" or, with `names`, as "/a holds x, y; /b holds no library". */
static void
describe_dirs(char *text, size_t size, char *const *dirs, size_t dir_count, bool names)
{
    text[0] = '\0';
    if (dir_count == 0)
        append(text, size, "no directory is listed");
    for (size_t k = 0; k < dir_count; k++) {
        if (k)
            append(text, size, names ? "; " : ", ");
        if (names)
            append_names(text, size, dirs[k]);
        else
            append(text, size, "%s", dirs[k]);
    }
}

static bool
is_below_directory(const char *real, const char *dir)
{
    char *real_dir = realpath(dir, NULL);
    bool below = real_dir && alchi_host_path_is_below(real, real_dir);

    free(real_dir);
    return below;
}

/* Refuse a file that other users may write: any user of the host could then run code in the workers. */
static int
check_mode(const char *real, alch_error_t *err)
{
    struct stat facts;

    if (stat(real, &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & S_IWOTH))
        return alchi_error_set(err, ALCH_EPERM,
                               "library %s can be written by other users (mode %04o): run chmod o-w on it first", real,
                               (unsigned)facts.st_mode & 07777);
    return ALCH_OK;
}

static int
check_allowed(char *const *dirs, size_t dir_count, const char *asked, const char *real, alch_error_t *err)
{
    char listed[ALCH_ERROR_TEXT_MAX / 2];

    for (size_t k = 0; k < dir_count; k++)
        if (is_below_directory(real, dirs[k]))
            return check_mode(real, err);
    describe_dirs(listed, sizeof(listed), dirs, dir_count, false);
    return alchi_error_set(err, ALCH_EPERM,
                           "library %s is the file %s, which is in none of the listed directories: %s (--plugin-dir)",
                           asked, real, listed);
}

static void
make_lower_case(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* @return the first of NAME.so, libNAME.so, name.so and libname.so that a directory has, which the caller frees; NULL:
 * the directory has none of them */
static char *
find_in_dir(const char *dir, const char *name)
{
    char low[NAME_MAX + 1], path[PATH_MAX];

    snprintf(low, sizeof(low), "%s", name);
    make_lower_case(low);
    for (int k = 0; k < 4; k++) {
        char *real;

        snprintf(path, sizeof(path), "%s/%s%s.so", dir, k % 2 ? "lib" : "", k < 2 ? name : low);
        real = realpath(path, NULL);
        if (real)
            return real;
    }
    return NULL;
}

static int
find_by_name(char *const *dirs, size_t dir_count, const char *name, char **real_p, alch_error_t *err)
{
    char held[ALCH_ERROR_TEXT_MAX - 300];
    char *real = NULL;
    int code;

    if (!name || !*name || strchr(name, '/') || name[0] == '.' || strlen(name) > 128)
        return alchi_error_set(err, ALCH_EINVAL, "'%.200s' is not a library's name", name ? name : "");
    for (size_t k = 0; k < dir_count && !real; k++)
        real = find_in_dir(dirs[k], name);
    if (!real) {
        describe_dirs(held, sizeof(held), dirs, dir_count, true);
        return alchi_error_set(err, ALCH_ENOENT, "library '%s' was not found: %s (--plugin-dir)", name, held);
    }
    code = check_allowed(dirs, dir_count, name, real, err);
    if (code)
        free(real);
    else
        *real_p = real;
    return code;
}

int
alchi_host_plugin_find(char *const *dirs, size_t dir_count, const char *name, const char *path, char **real_p,
                       alch_error_t *err)
{
    char *real;
    int code;

    if (!path || !*path)
        return find_by_name(dirs, dir_count, name, real_p, err);
    real = realpath(path, NULL);
    if (!real)
        return alchi_error_set(err, errno == ENOMEM ? ALCH_ENOMEM : ALCH_ENOENT, "library %s cannot be found: %s%s",
                               path, strerror(errno),
                               path[0] == '/' ? "" : "; give an absolute path on the workers' host");
    code = check_allowed(dirs, dir_count, path, real, err);
    if (code)
        free(real);
    else
        *real_p = real;
    return code;
}
