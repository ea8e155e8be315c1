/* procs: 1 */
/* The services block_share, block_pack and block_unpack, compared with a calculation entry by entry. */
#include "pluginhost/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition) && ++failures < 20)                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    } while (0)

#define M 23
#define N 17

static const struct {
    int64_t mb, nb;
    int nprow, npcol;
} grids[] = {{1, 1, 2, 3}, {4, 3, 2, 2}, {5, 30, 3, 1}, {30, 2, 1, 3}, {64, 64, 1, 1}};
static const alch_rect_t rects[] = {{0, 0, M, N}, {3, 2, 11, 9}, {22, 16, 1, 1}, {7, 5, 0, 4}, {5, 4, 10, 1}};

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static alch_block_t
make_block(size_t grid, int row, int col)
{
    alch_block_t block = {.m = M, .n = N, .dtype = ALCH_FLOAT64, .myrow = row, .mycol = col};

    block.layout.mb = grids[grid].mb;
    block.layout.nb = grids[grid].nb;
    block.layout.nprow = grids[grid].nprow;
    block.layout.npcol = grids[grid].npcol;
    return block;
}

/* The local index of a global one. -1: another rank has it. */
static int64_t
local(int64_t i, int64_t block, int place, int places)
{
    return i / block % places == place ? i / block / places * block + i % block : -1;
}

/* At one place of one grid, each entry of the rectangle is packed into its position, and unpacked from there. */
static void
check_rect(const alch_block_t *block, const alch_rect_t *rect)
{
    double rows[M * N], packed[(M + 1) * N], back[M * N];
    const alch_layout_t *layout = &block->layout;
    alch_rect_t rank_rect;
    int64_t mine = 0, ld;

    alchi_host_block_local_rect(block, rect, &rank_rect);
    ld = rank_rect.m + 1;
    for (int k = 0; k < M * N; k++)
        rows[k] = k, back[k] = -1;
    memset(packed, 0xff, sizeof(packed));
    alchi_host_block_pack(block, rect, rows, rect->n, 1, packed, ld);
    alchi_host_block_unpack(block, rect, packed, ld, back, rect->n, 1);
    for (int64_t i = 0; i < rect->m; i++)
        for (int64_t j = 0; j < rect->n; j++) {
            int64_t li = local(rect->i + i, layout->mb, block->myrow, layout->nprow);
            int64_t lj = local(rect->j + j, layout->nb, block->mycol, layout->npcol);
            int64_t at = i * rect->n + j;

            if (li < 0 || lj < 0) {
                CHECK(back[at] == -1);
                continue;
            }
            mine++;
            CHECK(packed[li - rank_rect.i + (lj - rank_rect.j) * ld] == rows[at]);
            CHECK(back[at] == rows[at]);
        }
    CHECK(mine == rank_rect.m * rank_rect.n);
}

static void
a_rank_packs_and_unpacks_the_entries_that_it_holds(void)
{
    for (size_t g = 0; g < COUNT(grids); g++)
        for (int row = 0; row < grids[g].nprow; row++)
            for (int col = 0; col < grids[g].npcol; col++)
                for (size_t r = 0; r < COUNT(rects); r++) {
                    alch_block_t block = make_block(g, row, col);

                    check_rect(&block, &rects[r]);
                }
}

static void
a_rank_outside_of_the_grid_packs_nothing(void)
{
    alch_block_t block = make_block(0, -1, -1);
    alch_rect_t rect = {3, 4, 5, 6};
    double untouched = 7;

    alchi_host_block_pack(&block, &rect, &untouched, 1, 1, &untouched, 1);
    alchi_host_block_unpack(&block, &rect, &untouched, 1, &untouched, 1, 1);
    CHECK(untouched == 7);
    alchi_host_block_local_rect(&block, &rect, &rect); /* the result may replace the argument */
    CHECK(rect.m * rect.n == 0);
}

int
main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    a_rank_packs_and_unpacks_the_entries_that_it_holds();
    a_rank_outside_of_the_grid_packs_nothing();
    MPI_Finalize();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
