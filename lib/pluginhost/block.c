/* Services for rectangles: which entries of a rectangle a rank holds, and copies between these entries and a buffer of
 * the whole rectangle. */
#include "pack/pack.h"
#include "pluginhost/call.h"

void
alchi_host_block_local_rect(const alch_block_t *block, const alch_rect_t *rect, alch_rect_t *local_p)
{
    const alch_layout_t *spec = &block->layout;
    alchi_layout_t layout = {.mb = spec->mb, .nb = spec->nb, .nprow = spec->nprow, .npcol = spec->npcol};

    if (block->myrow >= 0)
        alchi_layout_local_rect(&layout, block->myrow, block->mycol, rect, local_p);
    else
        *local_p = (alch_rect_t){0, 0, 0, 0};
}

static alchi_pack_t
pack_shape_of(const alch_block_t *block, const alch_rect_t *rect, int64_t row_stride, int64_t col_stride)
{
    const alch_layout_t *spec = &block->layout;
    alchi_pack_t shape = {.rows = {spec->mb, spec->mb * spec->nprow, block->myrow * spec->mb},
                          .cols = {spec->nb, spec->nb * spec->npcol, block->mycol * spec->nb},
                          .i0 = rect->i,
                          .j0 = rect->j,
                          .row_stride = row_stride,
                          .col_stride = col_stride,
                          .size = alch_dtype_size(block->dtype)};

    alchi_host_block_local_rect(block, rect, &shape.local);
    return shape;
}

void
alchi_host_block_pack(const alch_block_t *block, const alch_rect_t *rect, const void *buffer, int64_t row_stride,
                      int64_t col_stride, void *packed, int64_t ld)
{
    alchi_pack_t shape = pack_shape_of(block, rect, row_stride, col_stride);

    if (shape.local.m > 0 && shape.local.n > 0)
        alchi_pack(&shape, buffer, packed, ld);
}

void
alchi_host_block_unpack(const alch_block_t *block, const alch_rect_t *rect, const void *packed, int64_t ld,
                        void *buffer, int64_t row_stride, int64_t col_stride)
{
    alchi_pack_t shape = pack_shape_of(block, rect, row_stride, col_stride);

    if (shape.local.m > 0 && shape.local.n > 0)
        alchi_unpack(&shape, packed, ld, buffer);
}
