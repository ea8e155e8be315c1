/** @file client/gaps.h  The entries of a matrix that its ranks do not have yet. */
#ifndef ALCHI_CLIENT_GAPS_H
#define ALCHI_CLIENT_GAPS_H

#include "client/client.h"

/** The entries that one rank does not have: disjoint rectangles of its local part. */
typedef struct {
    alch_rect_t *rects;
    size_t count, capacity;
    int64_t entries; /* of all rectangles */
} alchi_cli_gaps_t;

/**
 * Ask every rank that holds a part of a global rectangle which of its entries it does not have. If the gaps of a rank
 * are thousands of rectangles, some entries that the rank has count as gaps too.
 *
 * @threads  call with the matrix's mutex held
 * @param[out] gaps_p  an array indexed by rank; free it with alchi_cli_gaps_free()
 * @return ALCH_OK; ALCH_EGROUP: the matrix's group has ended; ALCH_ENOMEM; ALCH_ETIMEDOUT; ALCH_ECONNECT; ALCH_EPROTO;
 *         as alchi_cli_link_acquire(); the code of an error that a rank sent
 */
int alchi_cli_gaps_query(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err);
/** NULL is allowed. */
void alchi_cli_gaps_free(alchi_cli_gaps_t *gaps, int workers);

#endif
