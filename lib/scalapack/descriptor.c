/* Fill in ScaLAPACK descriptors, and check whether a layout can have one. */
#include "base/error.h"
#include "base/util.h"
#include "scalapack/blacs.h"
#include <inttypes.h>

static int
check_index(const char *what, int64_t value, alch_error_t *err)
{
    if (value <= INT32_MAX)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_ELIMIT, "%s is %" PRId64 ", but the 32-bit indices of ScaLAPACK end at %d", what,
                           value, INT32_MAX);
}

int
alchi_blacs_descriptor_check(const alchi_layout_t *layout, alch_error_t *err)
{
    /* Place (0, 0) holds the most rows and columns. Every rank checks this place, so all ranks get the same result. */
    int64_t rows = alchi_count(layout->m, layout->mb, 0, layout->nprow);
    int64_t cols = alchi_count(layout->n, layout->nb, 0, layout->npcol);
    int64_t entries;
    int code;

    if (layout->replicas != 1)
        return alchi_error_set(err, ALCH_EUNSUPPORTED,
                               "layout %s has %d copies of a matrix, but ScaLAPACK supports only one",
                               alch_dist_name(layout->spec.dist), layout->replicas);
    if (!alchi_mul_int64(rows, cols, &entries))
        entries = INT64_MAX;
    if ((code = check_index("the number of rows", layout->m, err)) ||
        (code = check_index("the number of columns", layout->n, err)) ||
        (code = check_index("the block size", layout->mb > layout->nb ? layout->mb : layout->nb, err)) ||
        (code = check_index("the number of entries on one worker", entries, err)))
        return code;
    return ALCH_OK;
}

int
alchi_blacs_descriptor(alchi_blacs_t *blacs, const alchi_layout_t *layout, int64_t lld,
                       int desc[ALCHI_BLACS_DESC_LENGTH], alch_error_t *err)
{
    int code, context;

    if ((code = alchi_blacs_descriptor_check(layout, err)) ||
        (code = alchi_blacs_context(blacs, layout, &context, err)))
        return code;
    desc[ALCHI_BLACS_DESC_DTYPE] = 1;
    desc[ALCHI_BLACS_DESC_CTXT] = context;
    desc[ALCHI_BLACS_DESC_M] = (int)layout->m;
    desc[ALCHI_BLACS_DESC_N] = (int)layout->n;
    desc[ALCHI_BLACS_DESC_MB] = (int)layout->mb;
    desc[ALCHI_BLACS_DESC_NB] = (int)layout->nb;
    desc[ALCHI_BLACS_DESC_RSRC] = 0;
    desc[ALCHI_BLACS_DESC_CSRC] = 0;
    desc[ALCHI_BLACS_DESC_LLD] = (int)lld;
    return ALCH_OK;
}
