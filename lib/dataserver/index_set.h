/**
 * @file dataserver/index_set.h
 * Messages of periodic sets: of a local rectangle only what a place of another block-cyclic grid has too.
 */
#ifndef ALCHI_DATASERVER_INDEX_SET_H
#define ALCHI_DATASERVER_INDEX_SET_H

#include "pack/product.h"
#include "wire/message.h"
#include "store/store.h"

/** The rows and columns of a message within a part (axis b). */
typedef struct {
    bool periodic; /* else the message is the rectangle */
    alchi_intersect_t rows, cols;
    int64_t row_count, col_count;
} alchi_data_index_set_t;

/**
 * Narrow a rectangle of the part to what a place with these axes has in common with it.
 *
 * @param[in]     axes    NULL: everything
 * @param[in,out] rect_p  within the part; if the common entries are without gaps they become the rectangle
 * @return ALCH_OK, ALCH_EPROTO
 */
int alchi_data_index_set_init(alchi_data_index_set_t *set, const alchi_store_part_t *part, const Alchw__Axes *axes,
                              alch_rect_t *rect_p, alch_error_t *err);

#endif
