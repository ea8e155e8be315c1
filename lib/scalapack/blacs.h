/**
 * @file scalapack/blacs.h
 * BLACS contexts and ScaLAPACK descriptors for layouts.
 *
 * BLACS has room for few contexts (about 440 with 2 ranks), and a job that needs more of them ends. So a context
 * belongs to a map of ranks, not to a matrix: matrices on the same grid share it, and a cache keeps it for later tasks.
 *
 * @threads  main thread only, while all ranks run the same task, because creating a context is collective
 */
#ifndef ALCHI_SCALAPACK_BLACS_H
#define ALCHI_SCALAPACK_BLACS_H

#include "layout/layout.h"
#include <mpi.h>
#include <stddef.h>

/** Positions in a descriptor, in the order of ScaLAPACK. */
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

#define ALCHI_BLACS_KEEP 16 /**< contexts that stay in the cache between tasks */
#define ALCHI_BLACS_MAX 96  /**< contexts that may exist at the same time */

typedef struct alchi_blacs alchi_blacs_t;

/** Create an empty cache. Not collective. @param comm  of the group, borrowed until alchi_blacs_destroy()
 *  @return NULL: out of memory */
alchi_blacs_t *alchi_blacs_create(MPI_Comm comm);
/** Free all contexts and the cache. NULL is allowed. @collective yes */
void alchi_blacs_destroy(alchi_blacs_t *blacs);

/**
 * Get the context for a layout's map of ranks (of its first replica). It is valid until alchi_blacs_trim() frees it.
 *
 * @collective  yes, over the communicator
 *
 * @param[out] context_p  -1 on ranks outside of the grid
 *
 * @return ALCH_OK
 * @return ALCH_ELIMIT  ALCHI_BLACS_MAX contexts exist
 * @return ALCH_ENOMEM
 */
int alchi_blacs_context(alchi_blacs_t *blacs, const alchi_layout_t *layout, int *context_p, alch_error_t *err);

/** Free the least recently used contexts until at most `keep` are left. @collective yes */
void alchi_blacs_trim(alchi_blacs_t *blacs, size_t keep);

/** @return the number of contexts in the cache */
size_t alchi_blacs_count(const alchi_blacs_t *blacs);

/**
 * Check that ScaLAPACK can work on a layout. Not collective, but all ranks get the same answer.
 *
 * @return ALCH_OK
 * @return ALCH_EUNSUPPORTED  the layout is replicated
 * @return ALCH_ELIMIT        a size exceeds 32-bit indices; the text has the value and the limit
 */
int alchi_blacs_descriptor_check(const alchi_layout_t *layout, alch_error_t *err);

/**
 * Fill in the descriptor of a layout.
 *
 * @collective  yes
 *
 * @param lld        leading dimension on this rank, in entries
 * @param[out] desc  written on success only
 *
 * @return as alchi_blacs_descriptor_check() and alchi_blacs_context()
 */
int alchi_blacs_descriptor(alchi_blacs_t *blacs, const alchi_layout_t *layout, int64_t lld,
                           int desc[ALCHI_BLACS_DESC_LENGTH], alch_error_t *err);

#endif
