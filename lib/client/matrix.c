/* Handles of matrices: create, open, list, free, refresh. Transfers are in transfer.c. */
#include "client/client.h"
#include "base/error.h"
#include "wire/layout_message.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Convert the driver's description of a matrix to an info and a layout. The caller owns the layout. */
static int
parse_matrix(const Alchw__Matrix *message, alch_matrix_info_t *info, alchi_layout_t *layout, alch_error_t *err)
{
    const alch_layout_t spec = alchi_wire_layout_in(message->layout);
    size_t entry = alch_dtype_size((alch_dtype_t)message->dtype);
    alch_error_t detail = {0};

    if (!message->id || !entry || !message->workers || message->workers > INT_MAX)
        return alchi_error_set(err, ALCH_EPROTO, "the driver described a matrix without id, entry type or workers");
    if (alchi_layout_init(layout, message->rows, message->cols, (int)message->workers, &spec, &detail) != ALCH_OK)
        return alchi_error_set(err, ALCH_EPROTO, "the driver described matrix %llu with an impossible layout: %s",
                               (unsigned long long)message->id, detail.text);
    memset(info, 0, sizeof(*info));
    info->id = message->id;
    info->rows = message->rows;
    info->cols = message->cols;
    info->dtype = (alch_dtype_t)message->dtype;
    info->layout = layout->spec;
    info->workers = layout->workers;
    info->replicas = layout->replicas;
    info->bytes = message->rows * message->cols * (int64_t)entry;
    snprintf(info->name, sizeof(info->name), "%s", message->name ? message->name : "");
    snprintf(info->busy, sizeof(info->busy), "%s", message->busy ? message->busy : "");
    return ALCH_OK;
}

int
alchi_cli_matrix_create(alch_session_t *session, const Alchw__Matrix *message, alch_matrix_t **matrix_p,
                        alch_error_t *err)
{
    alch_matrix_t *matrix = calloc(1, sizeof(*matrix));
    int code;

    if (!matrix)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a matrix handle");
    if ((code = parse_matrix(message, &matrix->facts, &matrix->layout, err)) != ALCH_OK) {
        free(matrix);
        return code;
    }
    matrix->version = message->version;
    matrix->group = message->group;
    pthread_mutex_init(&matrix->mutex, NULL);
    matrix->session = session;
    matrix->entry = alch_dtype_size(matrix->facts.dtype);
    *matrix_p = matrix;
    return ALCH_OK;
}

/* Create a handle from a MATRIX reply, and free the reply. */
static int
make_handle(alch_session_t *session, Alchw__Matrix *message, alch_matrix_t **matrix_p, alch_error_t *err)
{
    int code = alchi_cli_matrix_create(session, message, matrix_p, err);

    alchi_message_free(message);
    return code;
}

static int
check_shape(int64_t rows, int64_t cols, alch_dtype_t dtype, const char *name, alch_error_t *err)
{
    size_t entry = alch_dtype_size(dtype);

    if (rows < 0 || cols < 0)
        return alchi_error_set(err, ALCH_EINVAL, "matrix size %lld x %lld is negative", (long long)rows,
                               (long long)cols);
    if (!entry)
        return alchi_error_set(err, ALCH_EINVAL, "entry type %d is unknown", (int)dtype);
    if (cols && rows > INT64_MAX / cols / (int64_t)entry)
        return alchi_error_set(err, ALCH_EINVAL, "matrix size %lld x %lld is 2^63 bytes or more", (long long)rows,
                               (long long)cols);
    if (name && strlen(name) >= sizeof(((alch_matrix_info_t *)0)->name))
        return alchi_error_set(err, ALCH_EINVAL, "the matrix name \"%.20s...\" has more than 63 bytes", name);
    return ALCH_OK;
}

int
alch_matrix_create(alch_session_t *session, int64_t rows, int64_t cols, alch_dtype_t dtype, const alch_layout_t *layout,
                   const char *name, alch_matrix_t **matrix_p, alch_error_t *err)
{
    Alchw__CreateMatrix request = ALCHW__CREATE_MATRIX__INIT;
    Alchw__Layout spec;
    Alchw__Matrix *reply;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK || (code = check_shape(rows, cols, dtype, name, err)) != ALCH_OK)
        return code;
    if (!matrix_p || (layout && (layout->nprow < 0 || layout->npcol < 0 || (int)layout->dist < 0)))
        return alchi_error_set(err, ALCH_EINVAL, "matrix_p is NULL, or the layout has negative members");
    request.has_rows = request.has_cols = request.has_dtype = true;
    request.rows = rows;
    request.cols = cols;
    request.dtype = dtype;
    request.name = (char *)name;
    if (layout) {
        alchi_wire_layout_out(layout, &spec);
        request.layout = &spec;
    }
    code = alchi_cli_session_request(session, ALCHI_CREATE_MATRIX, &request, ALCHI_MATRIX, 0, &reply, err);
    return code == ALCH_OK ? make_handle(session, reply, matrix_p, err) : code;
}

static int
request_matrix(alch_session_t *session, unsigned type, uint64_t id, unsigned expect, void *reply_p, alch_error_t *err)
{
    Alchw__MatrixId request = ALCHW__MATRIX_ID__INIT;

    request.has_id = true;
    request.id = id;
    return alchi_cli_session_request(session, type, &request, expect, 0, reply_p, err);
}

int
alch_matrix_open(alch_session_t *session, uint64_t id, alch_matrix_t **matrix_p, alch_error_t *err)
{
    Alchw__Matrix *reply;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!matrix_p)
        return alchi_error_set(err, ALCH_EINVAL, "matrix_p is NULL");
    code = request_matrix(session, ALCHI_GET_MATRIX, id, ALCHI_MATRIX, &reply, err);
    return code == ALCH_OK ? make_handle(session, reply, matrix_p, err) : code;
}

int
alch_matrix_free(alch_matrix_t *matrix, alch_error_t *err)
{
    if (!matrix)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix is NULL");
    return request_matrix(matrix->session, ALCHI_FREE_MATRIX, matrix->facts.id, ALCHI_EMPTY, NULL, err);
}

void
alch_matrix_destroy(alch_matrix_t *matrix)
{
    if (!matrix)
        return;
    alchi_layout_fini(&matrix->layout);
    pthread_mutex_destroy(&matrix->mutex);
    free(matrix);
}

uint64_t
alch_matrix_id(const alch_matrix_t *matrix)
{
    return matrix->facts.id;
}

const alch_matrix_info_t *
alch_matrix_facts(const alch_matrix_t *matrix)
{
    return &matrix->facts;
}

int
alch_matrix_info(const alch_matrix_t *matrix, alch_matrix_info_t *info_p, alch_error_t *err)
{
    Alchw__Matrix *reply;
    alchi_layout_t layout;
    int code;

    if (!matrix || !info_p)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix or info_p is NULL");
    code = request_matrix(matrix->session, ALCHI_GET_MATRIX, matrix->facts.id, ALCHI_MATRIX, &reply, err);
    if (code != ALCH_OK)
        return code;
    code = parse_matrix(reply, info_p, &layout, err);
    if (code == ALCH_OK)
        alchi_layout_fini(&layout);
    alchi_message_free(reply);
    return code;
}

int
alch_matrix_refresh(alch_matrix_t *matrix, alch_error_t *err)
{
    Alchw__Matrix *reply;
    alch_matrix_info_t facts;
    alchi_layout_t layout;
    int code;

    if (!matrix)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix is NULL");
    code = request_matrix(matrix->session, ALCHI_GET_MATRIX, matrix->facts.id, ALCHI_MATRIX, &reply, err);
    if (code != ALCH_OK)
        return code;
    code = parse_matrix(reply, &facts, &layout, err);
    if (code == ALCH_OK) {
        pthread_mutex_lock(&matrix->mutex);
        matrix->version = reply->version;
        matrix->group = reply->group;
        alchi_layout_fini(&matrix->layout);
        matrix->layout = layout;
        matrix->facts = facts;
        matrix->entry = alch_dtype_size(facts.dtype);
        pthread_mutex_unlock(&matrix->mutex);
    }
    alchi_message_free(reply);
    return code;
}

/* Whether the description agrees with the handle, except for its group, layout and rows. */
static bool
is_same_but_for_group(const alch_matrix_t *matrix, const Alchw__Matrix *message)
{
    return message->version == matrix->version && message->cols == matrix->facts.cols &&
           message->dtype == (uint32_t)matrix->facts.dtype;
}

/* Set the handle's layout for the group of the driver's description. Call with the matrix's mutex held. */
static int
adopt_new_group(alch_matrix_t *matrix, const Alchw__Matrix *message, alch_error_t *err)
{
    alch_matrix_info_t facts;
    alchi_layout_t layout;
    int code;

    if (!is_same_but_for_group(matrix, message))
        return alchi_error_set(
            err, ALCH_ESTATE,
            "matrix %llu was replaced in place after this handle read its description: refresh the handle",
            (unsigned long long)matrix->facts.id);
    if ((code = parse_matrix(message, &facts, &layout, err)) != ALCH_OK)
        return code;
    layout.m = matrix->facts.rows;
    alchi_layout_fini(&matrix->layout);
    matrix->layout = layout;
    matrix->facts.layout = facts.layout;
    matrix->facts.workers = facts.workers;
    matrix->facts.replicas = facts.replicas;
    matrix->group = message->group;
    return ALCH_OK;
}

int
alchi_cli_matrix_follow_group(alch_matrix_t *matrix, alch_error_t *err)
{
    alchi_cli_group_t *group;
    Alchw__Matrix *reply;
    uint64_t group_id;
    int code;

    if (!matrix->group || alchi_cli_pool_get_group(matrix->session, false, &group, NULL) != ALCH_OK)
        return ALCH_OK;
    group_id = group->id;
    alchi_cli_group_release(group);
    if (group_id == matrix->group)
        return ALCH_OK;
    code = request_matrix(matrix->session, ALCHI_GET_MATRIX, matrix->facts.id, ALCHI_MATRIX, &reply, err);
    if (code != ALCH_OK)
        return code;
    code = adopt_new_group(matrix, reply, err);
    alchi_message_free(reply);
    return code;
}

bool
alchi_cli_matrix_has_moved(alch_matrix_t *matrix)
{
    uint64_t before = matrix->group;

    return alchi_cli_matrix_follow_group(matrix, NULL) == ALCH_OK && matrix->group != before;
}

/* Get a page of the list: matrices with higher ids than `after`. */
static int
request_page(alch_session_t *session, uint64_t after, Alchw__MatrixList **reply_p, alch_error_t *err)
{
    Alchw__ListMatrices request = ALCHW__LIST_MATRICES__INIT;
    int code;

    request.has_after = true;
    request.after = after;
    code = alchi_cli_session_request(session, ALCHI_LIST_MATRICES, &request, ALCHI_MATRIX_LIST, 0, reply_p, err);
    if (code != ALCH_OK || !(*reply_p)->more)
        return code;
    if ((*reply_p)->n_matrices > 0 && (*reply_p)->matrices[(*reply_p)->n_matrices - 1]->id > after)
        return ALCH_OK;
    alchi_message_free(*reply_p);
    return alchi_error_set(err, ALCH_EPROTO, "the driver announced more matrices after id %llu but listed none",
                           (unsigned long long)after);
}

static void
free_handles(alch_matrix_t **matrices, size_t count)
{
    for (size_t k = 0; k < count; k++)
        alch_matrix_destroy(matrices[k]);
    free(matrices);
}

/* Create handles of the matrices on a page. Each entry is freed and removed from the message. */
static int
add_page(alch_session_t *session, Alchw__MatrixList *page, alch_matrix_t ***matrices_p, size_t *count_p,
         alch_error_t *err)
{
    alch_matrix_t **matrices = realloc(*matrices_p, (*count_p + page->n_matrices + 1) * sizeof(*matrices));
    int code = ALCH_OK;

    if (!matrices)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a list of matrices");
    *matrices_p = matrices;
    for (size_t k = 0; code == ALCH_OK && k < page->n_matrices; k++) {
        Alchw__Matrix *message = page->matrices[k];
        page->matrices[k] = NULL;
        code = make_handle(session, message, &matrices[*count_p], err);
        *count_p += code == ALCH_OK;
    }
    return code;
}

int
alch_matrix_open_all(alch_session_t *session, alch_matrix_t ***matrices_p, size_t *count_p, alch_error_t *err)
{
    alch_matrix_t **matrices = NULL;
    uint64_t last = 0;
    size_t count = 0;
    bool more = true;
    int code = alchi_cli_session_check(session, err);

    if (code == ALCH_OK && (!matrices_p || !count_p))
        code = alchi_error_set(err, ALCH_EINVAL, "matrices_p or count_p is NULL");
    while (code == ALCH_OK && more) {
        Alchw__MatrixList *page;
        if ((code = request_page(session, last, &page, err)) != ALCH_OK)
            break;
        more = page->more;
        if (more)
            last = page->matrices[page->n_matrices - 1]->id;
        code = add_page(session, page, &matrices, &count, err);
        alchi_message_free(page);
    }
    if (code != ALCH_OK) {
        free_handles(matrices, count);
        return code;
    }
    *matrices_p = matrices;
    *count_p = count;
    return ALCH_OK;
}

int
alch_matrix_list(alch_session_t *session, alch_matrix_info_t **infos_p, size_t *count_p, alch_error_t *err)
{
    alch_matrix_info_t *infos;
    alch_matrix_t **matrices;
    size_t count;
    int code;

    if (!infos_p || !count_p)
        return alchi_error_set(err, ALCH_EINVAL, "infos_p or count_p is NULL");
    if ((code = alch_matrix_open_all(session, &matrices, &count, err)) != ALCH_OK)
        return code;
    infos = calloc(count + 1, sizeof(*infos));
    for (size_t k = 0; infos && k < count; k++)
        infos[k] = matrices[k]->facts;
    free_handles(matrices, count);
    if (!infos)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a list of matrices");
    *infos_p = infos;
    *count_p = count;
    return ALCH_OK;
}
