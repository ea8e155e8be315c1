/* Elemental's named distributions, as a table of pairs of schemes: see named.h. */
#include "layout/named.h"
#include "base/util.h"
#include "layout/layout.h"

/* How a scheme distributes one dimension over the r x c grid of workers. */
typedef struct {
    int (*places)(int r, int c); /* how many places the dimension has */
    int (*place)(int r, int c, int row,
                 int col); /* the place of the worker in this row and column; -1: it has no place */
} scheme_t;

typedef struct {
    const char *name;
    const scheme_t *rows, *cols;
} named_t;

static int
one_places(int r, int c)
{
    (void)r;
    (void)c;
    return 1;
}

static int
star_place(int r, int c, int row, int col)
{
    (void)r;
    (void)c;
    (void)row;
    (void)col;
    return 0;
}

static int
circ_place(int r, int c, int row, int col)
{
    (void)r;
    (void)c;
    return row == 0 && col == 0 ? 0 : -1;
}

static int
mc_places(int r, int c)
{
    (void)c;
    return r;
}

static int
mc_place(int r, int c, int row, int col)
{
    (void)r;
    (void)c;
    (void)col;
    return row;
}

static int
mr_places(int r, int c)
{
    (void)r;
    return c;
}

static int
mr_place(int r, int c, int row, int col)
{
    (void)r;
    (void)c;
    (void)row;
    return col;
}

static int
all_places(int r, int c)
{
    return r * c;
}

static int
vc_place(int r, int c, int row, int col)
{
    (void)c;
    return row + col * r;
}

static int
vr_place(int r, int c, int row, int col)
{
    (void)r;
    return col + row * c;
}

static int
md_places(int r, int c)
{
    return r / (int)alchi_gcd(r, c) * c;
}

/* MD distributes along the diagonal of the grid that is repeated in both directions: place d belongs to the worker at
 * (d mod r, d mod c). In lcm(r, c) steps the diagonal meets each worker whose row and column are congruent modulo
 * gcd(r, c) exactly once, and no other worker. */
static int
md_place(int r, int c, int row, int col)
{
    int end = md_places(r, c);

    for (int d = row; d < end; d += r)
        if (d % c == col)
            return d;
    return -1;
}

static const scheme_t star = {one_places, star_place};
static const scheme_t circ = {one_places, circ_place};
static const scheme_t mc = {mc_places, mc_place};
static const scheme_t mr = {mr_places, mr_place};
static const scheme_t vc = {all_places, vc_place};
static const scheme_t vr = {all_places, vr_place};
static const scheme_t md = {md_places, md_place};

static const named_t table[ALCHI_DIST_COUNT] = {
    [ALCH_BLOCK_CYCLIC] = {"BLOCK_CYCLIC", NULL, NULL},
    [ALCH_MC_MR] = {"MC_MR", &mc, &mr},
    [ALCH_MC_STAR] = {"MC_STAR", &mc, &star},
    [ALCH_MD_STAR] = {"MD_STAR", &md, &star},
    [ALCH_MR_MC] = {"MR_MC", &mr, &mc},
    [ALCH_MR_STAR] = {"MR_STAR", &mr, &star},
    [ALCH_STAR_MC] = {"STAR_MC", &star, &mc},
    [ALCH_STAR_MD] = {"STAR_MD", &star, &md},
    [ALCH_STAR_MR] = {"STAR_MR", &star, &mr},
    [ALCH_STAR_STAR] = {"STAR_STAR", &star, &star},
    [ALCH_STAR_VC] = {"STAR_VC", &star, &vc},
    [ALCH_STAR_VR] = {"STAR_VR", &star, &vr},
    [ALCH_VC_STAR] = {"VC_STAR", &vc, &star},
    [ALCH_VR_STAR] = {"VR_STAR", &vr, &star},
    [ALCH_CIRC_CIRC] = {"CIRC_CIRC", &circ, &circ},
};

const char *
alch_dist_name(alch_dist_t dist)
{
    return (unsigned)dist < ALCHI_COUNT(table) ? table[dist].name : NULL;
}

void
alchi_named_place(alch_dist_t dist, int r, int c, int rank, int *row_p, int *col_p)
{
    int row = table[dist].rows->place(r, c, rank % r, rank / r);
    int col = table[dist].cols->place(r, c, rank % r, rank / r);

    *row_p = row < 0 || col < 0 ? -1 : row;
    *col_p = row < 0 || col < 0 ? -1 : col;
}

void
alchi_named_shape(alch_dist_t dist, int r, int c, int *nprow_p, int *npcol_p, int *replicas_p)
{
    int holders = 0;

    *nprow_p = table[dist].rows->places(r, c);
    *npcol_p = table[dist].cols->places(r, c);
    for (int rank = 0; rank < r * c; rank++) {
        int row, col;

        alchi_named_place(dist, r, c, rank, &row, &col);
        holders += row >= 0;
    }
    *replicas_p = holders / (*nprow_p * *npcol_p);
}
