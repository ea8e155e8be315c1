/**
 * @file alchemist/layout.h
 * How the entries of a matrix are placed on the workers of a group.
 *
 * A layout has blocks of mb x nb entries and a grid of nprow x npcol places.
 * Entry (i, j) is stored at grid row (i / mb) mod nprow and grid column
 * (j / nb) mod npcol. The default is the layout of ScaLAPACK: blocks of
 * ALCH_DEFAULT_BLOCK rows and columns on the grid that is nearest to a square.
 * The 14 distributions of Elemental are special cases with blocks of one
 * entry. alchemist-layout(7) describes all of them, with pictures.
 *
 * The grid of p workers has r rows and c = p / r columns, where r is the
 * largest divisor of p that is at most sqrt(p). Workers are numbered down the
 * columns of the grid: 6 workers form the grid {{0, 2, 4}, {1, 3, 5}}.
 */
#ifndef ALCHEMIST_LAYOUT_H
#define ALCHEMIST_LAYOUT_H

#include <alchemist/error.h>
#include <alchemist/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Rows and columns of a default block. Over the ScaLAPACK routines that were
 * measured (test/bench/bench_linalg.py, blocks of 16 to 96) this size is the
 * best compromise; the speed of transfers does not depend on it.
 */
#define ALCH_DEFAULT_BLOCK 32

/** Distributions. The values travel over the wire and never change. */
typedef enum {
    ALCH_BLOCK_CYCLIC = 0, /**< of ScaLAPACK, with mb, nb, nprow, npcol */
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
 * A layout as a caller asks for it. A struct of zeros (ALCH_LAYOUT_DEFAULT) is
 * the default layout. mb, nb, nprow and npcol are used for ALCH_BLOCK_CYCLIC
 * alone; there 0 leaves the choice to the library. If only one of nprow and
 * npcol is given, the other is the number of workers divided by it, rounded
 * down. nprow * npcol must not exceed the number of workers.
 */
typedef struct {
    alch_dist_t dist;
    int64_t mb, nb;   /**< rows and columns of a block, entries; at most 10^12 */
    int nprow, npcol; /**< rows and columns of the grid, workers */
} alch_layout_t;

/** The initializer of a default layout. */
#define ALCH_LAYOUT_DEFAULT {ALCH_BLOCK_CYCLIC, 0, 0, 0, 0}

/**
 * The name of a distribution, for example "VC_STAR" or "BLOCK_CYCLIC".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string; NULL for an unknown value
 */
const char *alch_dist_name(alch_dist_t dist);

/**
 * Read a layout from text.
 *
 * Accepted texts are the 14 names ("VC_STAR", also "VC,STAR" and "[VC,STAR]"),
 * "block_cyclic" or "scalapack", "block_cyclic(mb,nb)" and
 * "block_cyclic(mb,nb,nprow,npcol)", where 0 means "choose". Case is ignored,
 * and blanks between the parts are allowed. Whether a group has enough workers
 * for the grid is checked later, when a matrix is created.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  text      borrowed
 * @param[out] layout_p  written on success only
 * @param[out] err       details of a failure, or NULL
 *
 * @return ALCH_OK      the text is a layout
 * @return ALCH_EINVAL  the text is not a layout, or a pointer is NULL; err->text
 *                      lists the accepted texts
 */
int alch_layout_parse(const char *text, alch_layout_t *layout_p, alch_error_t *err);

/**
 * Write a layout as text that alch_layout_parse() reads back.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  layout  borrowed
 * @param[out] text    always ends in NUL; a longer text is cut
 * @param[in]  size    bytes of `text`, at least 1; 64 bytes hold every valid layout
 *
 * @return text
 */
char *alch_layout_format(const alch_layout_t *layout, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
