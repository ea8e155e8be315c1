/* A cache of BLACS contexts, one for each map of ranks. */
#include "scalapack/blacs.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* BLACS comes without a header. */
int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridmap(int *context, int *map, int ld, int nprow, int npcol);
void Cblacs_gridexit(int context);

typedef struct entry {
    struct entry *prev, *next;
    int nprow, npcol;
    int *ranks;
    int context; /* -1: this rank is not in the map */
} entry_t;

struct alchi_blacs {
    MPI_Comm comm;
    int handle;
    bool has_handle;
    entry_t *entries; /* most recently used first, in the same order on every rank */
    size_t count;
};

alchi_blacs_t *
alchi_blacs_create(MPI_Comm comm)
{
    alchi_blacs_t *blacs = calloc(1, sizeof(*blacs));

    if (blacs)
        blacs->comm = comm;
    return blacs;
}

static void
entry_free(entry_t *entry)
{
    if (entry->context >= 0)
        Cblacs_gridexit(entry->context);
    free(entry->ranks);
    free(entry);
}

void
alchi_blacs_trim(alchi_blacs_t *blacs, size_t keep)
{
    while (blacs->count > keep) {
        entry_t *last = blacs->entries->prev;

        DL_DELETE(blacs->entries, last);
        entry_free(last);
        blacs->count--;
    }
}

void
alchi_blacs_destroy(alchi_blacs_t *blacs)
{
    if (!blacs)
        return;
    alchi_blacs_trim(blacs, 0);
    if (blacs->has_handle)
        Cfree_blacs_system_handle(blacs->handle);
    free(blacs);
}

size_t
alchi_blacs_count(const alchi_blacs_t *blacs)
{
    return blacs->count;
}

static entry_t *
entry_find(alchi_blacs_t *blacs, const alchi_layout_t *layout)
{
    size_t bytes = sizeof(int) * (size_t)layout->nprow * (size_t)layout->npcol;
    entry_t *entry;

    DL_FOREACH(blacs->entries, entry)
    {
        if (entry->nprow == layout->nprow && entry->npcol == layout->npcol &&
            memcmp(entry->ranks, layout->ranks, bytes) == 0)
            return entry;
    }
    return NULL;
}

static entry_t *
entry_create(alchi_blacs_t *blacs, const alchi_layout_t *layout)
{
    size_t bytes = sizeof(int) * (size_t)layout->nprow * (size_t)layout->npcol;
    entry_t *entry = calloc(1, sizeof(*entry));

    if (!entry || !(entry->ranks = malloc(bytes))) {
        free(entry);
        return NULL;
    }
    memcpy(entry->ranks, layout->ranks, bytes);
    entry->nprow = layout->nprow;
    entry->npcol = layout->npcol;
    if (!blacs->has_handle) {
        blacs->handle = Csys2blacs_handle(blacs->comm);
        blacs->has_handle = true;
    }
    entry->context = blacs->handle;
    /* The map is column-major with the grid's rows as leading dimension: the order of layout->ranks. */
    Cblacs_gridmap(&entry->context, entry->ranks, layout->nprow, layout->nprow, layout->npcol);
    return entry;
}

int
alchi_blacs_context(alchi_blacs_t *blacs, const alchi_layout_t *layout, int *context_p, alch_error_t *err)
{
    entry_t *entry = entry_find(blacs, layout);

    if (entry) {
        DL_DELETE(blacs->entries, entry);
    } else {
        if (blacs->count >= ALCHI_BLACS_MAX)
            return alchi_error_set(err, ALCH_ELIMIT, "%d BLACS process grids exist, which is the limit",
                                   ALCHI_BLACS_MAX);
        entry = entry_create(blacs, layout);
        if (!entry)
            return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a process grid of %d x %d",
                                   layout->nprow, layout->npcol);
        blacs->count++;
    }
    DL_PREPEND(blacs->entries, entry);
    *context_p = entry->context;
    return ALCH_OK;
}
