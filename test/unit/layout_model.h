/** @file layout_model.h  A brute-force model of layouts, which deals indices to places one by one like cards, and
 *  helpers of all tests of layouts. */
#ifndef ALCHI_LAYOUT_MODEL_H
#define ALCHI_LAYOUT_MODEL_H

#include "layout/layout.h"
#include "unit.h"
#include <stdint.h>
#include <stdlib.h>

#define MODEL_MAX 256
#define MODEL_WORKERS_MAX 13

/** For each index of a dimension: its place, and how many lower indices are at the same place. */
typedef struct {
    int place[MODEL_MAX];
    int64_t local[MODEL_MAX];
} model_axis_t;

/** Deal `count` indices to `procs` places, `block` at a time. */
static inline void
model_deal(model_axis_t *axis, int64_t count, int64_t block, int procs)
{
    int64_t dealt[MODEL_MAX] = {0};
    int64_t left = block;
    int place = 0;

    for (int64_t i = 0; i < count; i++) {
        if (left == 0) {
            left = block;
            place = place + 1 == procs ? 0 : place + 1;
        }
        left--;
        axis->place[i] = place;
        axis->local[i] = dealt[place]++;
    }
}

/** @return whether an axis holds an index */
static inline bool
model_holds(const alchi_axis_t *axis, int64_t index)
{
    return index >= axis->first && (index - axis->first) % axis->period < axis->block;
}

/** @return the rank that holds entry (i, j) in a replica; -1: no rank does */
static inline int
model_owner(const alchi_layout_t *layout, int replica, int64_t i, int64_t j)
{
    for (int rank = 0; rank < layout->workers; rank++) {
        alchi_axis_t rows, cols;
        int here, row, col;

        if (!alchi_layout_place(layout, rank, &here, &row, &col) || here != replica)
            continue;
        alchi_layout_axes(layout, row, col, &rows, &cols);
        if (model_holds(&rows, i) && model_holds(&cols, j))
            return rank;
    }
    return -1;
}

/** Advance a pseudorandom sequence (xorshift). */
static inline uint64_t
model_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/** @return a random number within lo..hi */
static inline int64_t
model_pick(uint64_t *state, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(model_random(state) % (uint64_t)(hi - lo + 1));
}

/** Fill memory with random bytes. */
static inline void
model_fill(unsigned char *bytes, size_t count, uint64_t *state)
{
    for (size_t k = 0; k < count; k++)
        bytes[k] = (unsigned char)(model_random(state) >> 32);
}

/** @return a random rectangle within m x n: the whole in one of eight cases; it may be empty */
static inline alch_rect_t
model_rect(uint64_t *state, int64_t m, int64_t n)
{
    alch_rect_t rect = {0, 0, m, n};

    if (model_pick(state, 0, 7) == 0)
        return rect;
    rect.i = model_pick(state, 0, m);
    rect.j = model_pick(state, 0, n);
    rect.m = model_pick(state, 0, m - rect.i);
    rect.n = model_pick(state, 0, n - rect.j);
    return rect;
}

static const int64_t model_shapes[][2] = {
    {0, 0}, {0, 5}, {5, 0}, {1, 1}, {1, 17}, {17, 1}, {7, 9}, {13, 11}, {3, 131}, {131, 2}, {65, 37}, {133, 19},
};
#define MODEL_SHAPES (sizeof(model_shapes) / sizeof(*model_shapes))

/** Every named distribution, and block-cyclic layouts with several block sizes, on given grids and on default grids. */
static const alch_layout_t model_layouts[] = {
    {ALCH_BLOCK_CYCLIC, 0, 0, 0, 0},     {ALCH_BLOCK_CYCLIC, 1, 1, 0, 0}, {ALCH_BLOCK_CYCLIC, 2, 3, 0, 0},
    {ALCH_BLOCK_CYCLIC, 7, 2, 1, 0},     {ALCH_BLOCK_CYCLIC, 3, 7, 0, 1}, {ALCH_BLOCK_CYCLIC, 64, 7, 1, 1},
    {ALCH_BLOCK_CYCLIC, 300, 300, 0, 0}, {ALCH_MC_MR, 0, 0, 0, 0},        {ALCH_MC_STAR, 0, 0, 0, 0},
    {ALCH_MD_STAR, 0, 0, 0, 0},          {ALCH_MR_MC, 0, 0, 0, 0},        {ALCH_MR_STAR, 0, 0, 0, 0},
    {ALCH_STAR_MC, 0, 0, 0, 0},          {ALCH_STAR_MD, 0, 0, 0, 0},      {ALCH_STAR_MR, 0, 0, 0, 0},
    {ALCH_STAR_STAR, 0, 0, 0, 0},        {ALCH_STAR_VC, 0, 0, 0, 0},      {ALCH_STAR_VR, 0, 0, 0, 0},
    {ALCH_VC_STAR, 0, 0, 0, 0},          {ALCH_VR_STAR, 0, 0, 0, 0},      {ALCH_CIRC_CIRC, 0, 0, 0, 0},
};
#define MODEL_LAYOUTS (sizeof(model_layouts) / sizeof(*model_layouts))

typedef void model_visit_f(const alchi_layout_t *layout, uint64_t *random);

/** Call `visit` for every shape and every layout on 1..MODEL_WORKERS_MAX workers. */
static inline void
model_each(model_visit_f *visit)
{
    uint64_t random = 88172645463325252u;

    for (int p = 1; p <= MODEL_WORKERS_MAX; p++)
        for (size_t shape = 0; shape < MODEL_SHAPES; shape++)
            for (size_t k = 0; k < MODEL_LAYOUTS; k++) {
                alchi_layout_t layout;

                unit_code(alchi_layout_init(&layout, model_shapes[shape][0], model_shapes[shape][1], p,
                                            &model_layouts[k], NULL),
                          ALCH_OK);
                visit(&layout, &random);
                alchi_layout_fini(&layout);
            }
}

#endif
