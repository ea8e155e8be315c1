/**
 * @file dataserver/index_set.h
 * Messages of periodic sets: those entries of a local rectangle that a place of another block-cyclic grid holds as
 * well.
 *
 * @threads  MT-Safe
 */
#ifndef ALCHI_DATASERVER_INDEX_SET_H
#define ALCHI_DATASERVER_INDEX_SET_H

#include "pack/product.h"
#include "wire/message.h"
#include "store/store.h"

/** The rows and columns of a message within a part, which is side b of the index sets. */
typedef struct {
    bool periodic; /* false: the message is the whole rectangle, and rows and cols are not used */
    alchi_intersect_t rows, cols;
    int64_t row_count, col_count;
} alchi_data_index_set_t;

/**
 * Narrow a rectangle of the part to its overlap with the place that has these axes.
 *
 * @param[in]     axes    of the other place; NULL: the whole rectangle
 * @param[in,out] rect_p  local indices, within the part. If the overlap has no gaps in the part, the rectangle becomes
 *                        the overlap, and the set is not periodic
 * @return ALCH_OK; ALCH_EPROTO: the axes are invalid
 */
int alchi_data_index_set_init(alchi_data_index_set_t *set, const alchi_store_part_t *part, const Alchw__Axes *axes,
                              alch_rect_t *rect_p, alch_error_t *err);

#endif
