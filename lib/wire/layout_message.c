/* Convert layouts, axes and rectangles to messages and back. */
#include "wire/layout_message.h"

/* A value that does not fit into an int becomes INT32_MAX, which alchi_layout_init() refuses. */
static int
clamp(uint32_t x)
{
    return x > INT32_MAX ? INT32_MAX : (int)x;
}

alch_layout_t
alchi_wire_layout_in(const Alchw__Layout *message)
{
    if (!message)
        return (alch_layout_t)ALCH_LAYOUT_DEFAULT;
    return (alch_layout_t){(alch_dist_t)clamp(message->dist), message->mb, message->nb, clamp(message->nprow),
                           clamp(message->npcol)};
}

void
alchi_wire_layout_out(const alch_layout_t *layout, Alchw__Layout *message)
{
    alchw__layout__init(message);
    message->has_dist = message->has_mb = message->has_nb = message->has_nprow = message->has_npcol = true;
    message->dist = (uint32_t)layout->dist;
    message->mb = layout->mb;
    message->nb = layout->nb;
    message->nprow = (uint32_t)layout->nprow;
    message->npcol = (uint32_t)layout->npcol;
}

void
alchi_wire_axes_out(const int64_t rows[3], const int64_t cols[3], Alchw__Axes *message)
{
    alchw__axes__init(message);
    message->has_row_block = message->has_row_period = message->has_row_first = true;
    message->has_col_block = message->has_col_period = message->has_col_first = true;
    message->row_block = rows[0];
    message->row_period = rows[1];
    message->row_first = rows[2];
    message->col_block = cols[0];
    message->col_period = cols[1];
    message->col_first = cols[2];
}

alch_rect_t
alchi_wire_rect_in(const Alchw__Rect *message)
{
    return (alch_rect_t){message->i, message->j, message->m, message->n};
}

void
alchi_wire_rect_out(const alch_rect_t *rect, Alchw__Rect *message)
{
    alchw__rect__init(message);
    message->has_i = message->has_j = message->has_m = message->has_n = true;
    message->i = rect->i;
    message->j = rect->j;
    message->m = rect->m;
    message->n = rect->n;
}
