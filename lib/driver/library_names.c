/* Names of libraries, from folders and from a session, without duplicates. */
#include "driver/library_names.h"
#include "driver/library.h"
#include "driver/session.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static void
add_name(alchi_drv_library_names_t *names, const char *name, size_t size)
{
    char **grown;

    for (size_t i = 0; i < names->count; i++) {
        if (strlen(names->names[i]) == size && strncasecmp(names->names[i], name, size) == 0)
            return;
    }
    if (!(grown = realloc(names->names, (names->count + 1) * sizeof(*grown))))
        return;
    names->names = grown;
    if ((grown[names->count] = strndup(name, size)))
        names->count++;
}

void
alchi_drv_library_names_add_folder(alchi_drv_library_names_t *names, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    const char *name;
    size_t size;

    while (dir && (entry = readdir(dir))) {
        size = strlen(entry->d_name);
        if (size < 4 || strcmp(entry->d_name + size - 3, ".so") != 0)
            continue;
        name = strncmp(entry->d_name, "lib", 3) == 0 && size > 6 ? entry->d_name + 3 : entry->d_name;
        add_name(names, name, size - 3 - (size_t)(name - entry->d_name));
    }
    if (dir)
        closedir(dir);
}

void
alchi_drv_library_names_add_loaded(alchi_drv_library_names_t *names, const alchi_drv_session_t *session)
{
    const alchi_drv_library_t *library;

    DL_FOREACH(session->libraries, library)
    {
        if (library->description && !library->load_error.code)
            add_name(names, library->description->name, strlen(library->description->name));
    }
}

void
alchi_drv_library_names_fini(alchi_drv_library_names_t *names)
{
    while (names->count)
        free(names->names[--names->count]);
    free(names->names);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void
alchi_drv_library_names_sort(alchi_drv_library_names_t *names)
{
    if (names->count)
        qsort(names->names, names->count, sizeof(*names->names), compare_names);
}
