/* Conversion of distributed vectors to matrices: the ranks that share rows exchange columns. */
#include "operator.h"

#include <complex.h>
#include <string.h>

/* The block-cyclic distribution of k vectors over the other axis of the grid: blocks of nb over `procs` processes. */
typedef struct {
    int64_t k, nb;
    int procs;
} column_map_t;

static int64_t
global_vector(const column_map_t *map, int proc, int64_t local)
{
    return (local / map->nb * map->procs + proc) * map->nb + local % map->nb;
}

/* Set lengths and displacements of the messages. To each rank that shares the side goes this rank's slice of the
 * vectors that the other rank owns; from it comes its slice of the vectors that this rank owns. */
static void
set_message_counts(const linalg_side_t *side, const column_map_t *map, int reals, int *send_counts, int *send_displs,
                   int *receive_counts, int *receive_displs)
{
    int64_t sent = 0, received = 0, my_vectors = linalg_numroc(map->k, map->nb, side->part, map->procs);

    for (int t = 0; t < side->parts; t++) {
        int64_t rows = side->count * (t + 1) / side->parts - side->count * t / side->parts;

        send_counts[t] = (int)(side->rows * linalg_numroc(map->k, map->nb, t, map->procs)) * reals;
        receive_counts[t] = (int)(rows * my_vectors) * reals;
        send_displs[t] = (int)sent;
        receive_displs[t] = (int)received;
        sent += send_counts[t];
        received += receive_counts[t];
    }
}

/* Copy the columns of X in the order of the ranks that own them. */
static void
pack_columns(const linalg_kernels_t *k, const linalg_side_t *side, const column_map_t *map, const void *X, void *packed)
{
    int64_t column = 0;

    for (int t = 0; t < side->parts; t++)
        for (int64_t l = 0; l < linalg_numroc(map->k, map->nb, t, map->procs); l++)
            linalg_local_lacpy(k, side->rows, 1, linalg_address(k, X, side->rows, 0, global_vector(map, t, l)), 1,
                               linalg_address(k, packed, side->rows, 0, column++), 1);
}

/* Copy consecutive slices into the matrix; right vectors are conjugated and transposed. */
static void
unpack_slices(const linalg_kernels_t *k, const linalg_side_t *side, int64_t my_vectors, const void *packed, bool right,
              const alch_block_t *to)
{
    for (int t = 0; t < side->parts; t++) {
        int64_t start = side->count * t / side->parts, rows = side->count * (t + 1) / side->parts - start;
        const void *slice = linalg_address(k, packed, 1, start * my_vectors, 0);

        if (!right) {
            linalg_local_lacpy(k, rows, my_vectors, slice, rows, linalg_address(k, to->data, 1, start, 0), to->lld);
            continue;
        }
        for (int64_t i = 0; i < rows; i++)
            for (int64_t l = 0; l < my_vectors; l++)
                linalg_set_entry(k->dtype, to->data, l + (start + i) * to->lld,
                                 conj(linalg_get_entry(k->dtype, slice, i + l * rows)));
    }
}

static int
vectors_to_matrix(linalg_operator_t *op, const linalg_side_t *side, const void *X, int64_t k_vectors,
                  linalg_matrix_t *M)
{
    linalg_t *la = op->la;
    const linalg_kernels_t *k = la->k;
    bool right = side == &op->right;
    column_map_t map = {k_vectors, right ? la->layout.mb : la->layout.nb, right ? la->nprow : la->npcol};
    int64_t my_vectors = la->in_grid ? linalg_numroc(k_vectors, map.nb, side->part, map.procs) : 0;
    int *send_counts, reals = linalg_reals_per_entry(k), code;
    void *out, *in;

    if ((code = linalg_create(la, right ? k_vectors : op->A->m, right ? op->A->n : k_vectors, M)) ||
        (code = linalg_alloc(la, side->rows * k_vectors * (int64_t)k->entry_bytes, &out)) ||
        (code = linalg_alloc(la, side->count * my_vectors * (int64_t)k->entry_bytes, &in)) ||
        (code = linalg_alloc(la, 4 * side->parts * (int64_t)sizeof(int), &send_counts)))
        return code;
    pack_columns(k, side, &map, X, out);
    if (side->comm == MPI_COMM_NULL) {
        in = out;
    } else {
        int *send_displs = send_counts + side->parts, *receive_counts = send_displs + side->parts,
            *receive_displs = receive_counts + side->parts;

        set_message_counts(side, &map, reals, send_counts, send_displs, receive_counts, receive_displs);
        MPI_Alltoallv(out, send_counts, send_displs, linalg_mpi_type(k), in, receive_counts, receive_displs,
                      linalg_mpi_type(k), side->comm);
    }
    if (la->in_grid)
        unpack_slices(k, side, my_vectors, in, right, &M->block);
    return ALCH_OK;
}

int
linalg_gather_right_vectors(linalg_operator_t *op, const void *X, int64_t k, linalg_matrix_t *M)
{
    return vectors_to_matrix(op, &op->right, X, k, M);
}

int
linalg_return_left_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k)
{
    linalg_matrix_t M;
    int code = vectors_to_matrix(op, &op->left, X, k, &M);

    return code ? code : linalg_return_matrix(op->la, name, &M);
}

int
linalg_return_right_vectors(linalg_operator_t *op, const char *name, const void *X, int64_t k)
{
    linalg_matrix_t M;
    int code = vectors_to_matrix(op, &op->right, X, k, &M);

    return code ? code : linalg_return_matrix(op->la, name, &M);
}
