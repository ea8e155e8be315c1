/* Append rows to a matrix. */
#include "client/client.h"
#include "base/error.h"

/* Whether the description agrees with the handle, except for its rows. */
static bool
is_same_but_for_rows(const alch_matrix_info_t *facts, const Alchw__Matrix *message)
{
    const Alchw__Layout *layout = message->layout;

    return message->id == facts->id && message->cols == facts->cols && message->dtype == (uint32_t)facts->dtype &&
           message->workers == (uint32_t)facts->workers && layout && layout->dist == (uint32_t)facts->layout.dist &&
           layout->mb == facts->layout.mb && layout->nb == facts->layout.nb &&
           layout->nprow == (uint32_t)facts->layout.nprow && layout->npcol == (uint32_t)facts->layout.npcol;
}

/* Store the number of rows in the handle. Call with the matrix's mutex held. Transfers in progress use the number in
 * error texts only. */
static int
update_rows(alch_matrix_t *matrix, const Alchw__Matrix *message, alch_error_t *err)
{
    alch_matrix_info_t *facts = &matrix->facts;
    int64_t row_bytes = facts->cols * (int64_t)matrix->entry;

    if (!is_same_but_for_rows(facts, message))
        return alchi_error_set(err, ALCH_ESTATE, "the layout of matrix %llu has changed: open the matrix again",
                               (unsigned long long)facts->id);
    if (message->rows < 0 || (row_bytes > 0 && message->rows > INT64_MAX / row_bytes))
        return alchi_error_set(err, ALCH_EPROTO,
                               "the driver described matrix %llu with the impossible number of %lld rows",
                               (unsigned long long)facts->id, (long long)message->rows);
    facts->rows = message->rows;
    facts->bytes = message->rows * row_bytes;
    matrix->layout.m = message->rows;
    return ALCH_OK;
}

int
alch_matrix_grow(alch_matrix_t *matrix, int64_t rows, alch_error_t *err)
{
    Alchw__GrowMatrix request = ALCHW__GROW_MATRIX__INIT;
    Alchw__Matrix *reply;
    int code;

    if (!matrix)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix is NULL");
    if ((code = alchi_cli_session_check(matrix->session, err)) != ALCH_OK)
        return code;
    if (rows < 0)
        return alchi_error_set(err, ALCH_EINVAL, "matrix %llu cannot grow by %lld rows, which is negative",
                               (unsigned long long)matrix->facts.id, (long long)rows);
    pthread_mutex_lock(&matrix->mutex);
    code = alchi_cli_matrix_follow_group(matrix, err);
    pthread_mutex_unlock(&matrix->mutex);
    if (code != ALCH_OK)
        return code;
    request.has_id = request.has_rows = true;
    request.id = matrix->facts.id;
    request.rows = rows;
    code = alchi_cli_session_request(matrix->session, ALCHI_GROW_MATRIX, &request, ALCHI_MATRIX, 0, &reply, err);
    if (code != ALCH_OK)
        return code;
    pthread_mutex_lock(&matrix->mutex);
    code = update_rows(matrix, reply, err);
    pthread_mutex_unlock(&matrix->mutex);
    alchi_message_free(reply);
    return code;
}
