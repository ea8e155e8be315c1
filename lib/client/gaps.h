/**
 * @file client/gaps.h
 * What the workers lack of a matrix.
 */
#ifndef ALCHI_CLIENT_GAPS_H
#define ALCHI_CLIENT_GAPS_H

#include "client/client.h"

/** What one rank lacks: disjoint rectangles of its local part. */
typedef struct {
    alch_rect_t *rects;
    size_t count, capacity;
    int64_t entries;
} alchi_cli_gaps_t;

/**
 * Ask every rank that has a part of a global rectangle. Where it lacks thousands of rectangles, some of the
 * surroundings count as missing too.
 *
 * @param[out] gaps_p  by rank; give it to alchi_cli_gaps_free()
 * @return ALCH_OK, and what transfers return
 */
int alchi_cli_gaps_query(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err);
/** NULL is allowed. */
void alchi_cli_gaps_free(alchi_cli_gaps_t *gaps, int workers);

#endif
