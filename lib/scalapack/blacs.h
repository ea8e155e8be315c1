/**
 * @file scalapack/blacs.h
 * BLACS contexts and ScaLAPACK descriptors: one context for each distinct map of ranks.
 *
 * Contexts are a scarce resource that ends a job when it runs out (about 440 in 2 ranks), so they belong to rank
 * maps, not to matrices, and are cached. Main thread only, inside the sequence of tasks: making one is collective.
 */
#ifndef ALCHI_SCALAPACK_BLACS_H
#define ALCHI_SCALAPACK_BLACS_H

#include "layout/layout.h"
#include <mpi.h>
#include <stddef.h>

/** Positions in a descriptor. */
enum {
    ALCHI_BLACS_DESC_DTYPE,
    ALCHI_BLACS_DESC_CTXT,
    ALCHI_BLACS_DESC_M,
    ALCHI_BLACS_DESC_N,
    ALCHI_BLACS_DESC_MB,
    ALCHI_BLACS_DESC_NB,
    ALCHI_BLACS_DESC_RSRC,
    ALCHI_BLACS_DESC_CSRC,
    ALCHI_BLACS_DESC_LLD,
    ALCHI_BLACS_DESC_LENGTH
};

/** Contexts that alchi_blacs_trim() is told to keep between tasks, and those that one task may add. */
#define ALCHI_BLACS_KEEP 16
#define ALCHI_BLACS_MAX 96

typedef struct alchi_blacs alchi_blacs_t;

/** @collective no.  @param comm  of the group, borrowed until destroy.  @return NULL: out of memory */
alchi_blacs_t *alchi_blacs_create(MPI_Comm comm);
/** @collective yes. NULL is allowed. */
void alchi_blacs_destroy(alchi_blacs_t *blacs);

/**
 * The context of a layout's rank map (replica 0).
 *
 * @collective  yes, over the communicator
 * @param[out] context_p  -1 on ranks outside the grid
 * @return ALCH_OK; ALCH_ELIMIT more than ALCHI_BLACS_MAX maps at once; ALCH_ENOMEM
 */
int alchi_blacs_context(alchi_blacs_t *blacs, const alchi_layout_t *layout, int *context_p, alch_error_t *err);

/** Give back the contexts longest unused, down to `keep`. Those handed out before are invalid. @collective yes */
void alchi_blacs_trim(alchi_blacs_t *blacs, size_t keep);

/** How many contexts there are. */
size_t alchi_blacs_count(const alchi_blacs_t *blacs);

/**
 * Whether ScaLAPACK can work on a layout: unreplicated and within 32-bit indices on every rank. No communication:
 * all ranks get the same answer.
 * @return ALCH_OK; ALCH_EUNSUPPORTED replicated; ALCH_ELIMIT with value and limit
 */
int alchi_blacs_descriptor_check(const alchi_layout_t *layout, alch_error_t *err);

/**
 * A layout's descriptor.
 *
 * @collective  yes
 * @param lld   leading dimension on this rank
 * @return as alchi_blacs_descriptor_check() and alchi_blacs_context()
 */
int alchi_blacs_descriptor(alchi_blacs_t *blacs, const alchi_layout_t *layout, int64_t lld,
                           int desc[ALCHI_BLACS_DESC_LENGTH], alch_error_t *err);

#endif
