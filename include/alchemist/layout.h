/**
 * @file layout.h
 * How the entries of a matrix are placed on the workers of a group.
 *
 * A layout has block sizes mb x nb and a grid of nprow x npcol places; entry
 * (i, j) lives at grid place ((i / mb) mod nprow, (j / nb) mod npcol). The
 * default is ScaLAPACK's: blocks of ALCH_DEFAULT_BLOCK on the grid that is
 * nearest to square. Elemental's 14 distributions are cases with blocks of
 * one entry; see alchemist-layout(7).
 *
 * The grid of p workers is r x c with r the largest divisor of p that is at
 * most sqrt(p), and c = p / r; workers are numbered down its columns, so
 * that 6 workers form the grid {{0, 2, 4}, {1, 3, 5}}.
 */
#ifndef ALCHEMIST_LAYOUT_H
#define ALCHEMIST_LAYOUT_H

#include <alchemist/error.h>
#include <alchemist/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Rows and columns of a block: what ScaLAPACK's routines, taken together, are fastest with; transfers do not care. */
#define ALCH_DEFAULT_BLOCK 32

/** Named distributions. The values travel over the wire. */
typedef enum {
    ALCH_BLOCK_CYCLIC = 0, /**< ScaLAPACK's, with mb, nb, nprow, npcol */
    ALCH_MC_MR = 1,
    ALCH_MC_STAR = 2,
    ALCH_MD_STAR = 3,
    ALCH_MR_MC = 4,
    ALCH_MR_STAR = 5,
    ALCH_STAR_MC = 6,
    ALCH_STAR_MD = 7,
    ALCH_STAR_MR = 8,
    ALCH_STAR_STAR = 9,
    ALCH_STAR_VC = 10,
    ALCH_STAR_VR = 11,
    ALCH_VC_STAR = 12,
    ALCH_VR_STAR = 13,
    ALCH_CIRC_CIRC = 14
} alch_dist_t;

/**
 * A layout as it is asked for. Zero everywhere (ALCH_LAYOUT_DEFAULT) means the
 * default. mb, nb, nprow and npcol count for ALCH_BLOCK_CYCLIC only, where 0
 * means "choose"; nprow * npcol must not exceed the number of workers.
 */
typedef struct {
    alch_dist_t dist;
    int64_t mb, nb; /**< entries */
    int nprow, npcol;
} alch_layout_t;

#define ALCH_LAYOUT_DEFAULT {ALCH_BLOCK_CYCLIC, 0, 0, 0, 0}

/** The name of a distribution, "VC_STAR" for example; NULL if unknown. @threads MT-Safe */
const char *alch_dist_name(alch_dist_t dist);

/**
 * Read a layout from text.
 *
 * Accepted, in any case: the 14 names ("VC_STAR"; "VC,STAR" and "[VC,STAR]"
 * too), "block_cyclic" or "scalapack", and "block_cyclic(mb,nb)" or
 * "block_cyclic(mb,nb,nprow,npcol)".
 *
 * @threads         MT-Safe
 * @param[in]  text      borrowed
 * @param[out] layout_p  written on success only
 * @param[out] err       detail on failure, or NULL
 * @return ALCH_OK, or ALCH_EINVAL with the list of names
 */
int alch_layout_parse(const char *text, alch_layout_t *layout_p, alch_error_t *err);

/**
 * Write a layout as text that alch_layout_parse() reads back.
 *
 * @threads       MT-Safe
 * @param[out] text  at least `size` bytes, always terminated; 64 suffice
 * @return        text
 */
char *alch_layout_format(const alch_layout_t *layout, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
