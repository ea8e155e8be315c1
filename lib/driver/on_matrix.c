/* Requests about matrices: create, free, describe, list. */
#include "base/error.h"
#include "driver/catalog.h"
#include "driver/command.h"
#include "driver/driver.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "layout/layout.h"
#include "wire/layout_message.h"
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>

/* A request about one matrix that is answered when all ranks have replied. */
typedef struct {
    alchi_drv_request_t *request;
    alchi_drv_session_t *session;
    uint64_t id;
} pending_t;

static pending_t *
pending_create(alchi_drv_t *driver, alchi_drv_link_t *link, uint64_t request_id, uint64_t id)
{
    alchi_drv_request_t *request = alchi_drv_request_create(driver, link, request_id);
    pending_t *pending;
    alch_error_t error;

    if (!request)
        return NULL;
    if (!(pending = calloc(1, sizeof(*pending)))) {
        alchi_drv_error_no_memory(&error);
        alchi_drv_request_fail(request, &error);
        return NULL;
    }
    *pending = (pending_t){request, link->session, id};
    return pending;
}

void
alchi_drv_matrix_reply(alchi_drv_request_t *request, const alchi_drv_matrix_t *matrix)
{
    alchi_drv_matrix_description_t described;

    alchi_drv_catalog_describe(matrix, &described);
    alchi_drv_request_reply(request, ALCHI_MATRIX, &described.message);
}

/* ---- create ---- */

/* Some ranks could not reserve their part. The ranks that have reserved theirs free it. */
static void
free_reserved_parts(const alchi_drv_command_t *command, uint64_t id)
{
    Alchw__WorkerFree message = ALCHW__WORKER_FREE__INIT;

    message.has_id = 1;
    message.id = id;
    alchi_drv_command_send(command->group, ALCHI_WORKER_FREE, &message, command->succeeded, NULL, NULL);
}

static void
finish_create(alchi_drv_command_t *command)
{
    pending_t *pending = command->context;
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&pending->session->catalog, pending->id);

    if (command->failed) {
        free_reserved_parts(command, pending->id);
        if (matrix)
            alchi_drv_catalog_remove(&pending->session->catalog, matrix);
        alchi_drv_request_fail(pending->request, &command->error);
    } else {
        matrix->state = ALCHI_DRV_MATRIX_LIVE;
        alchi_drv_matrix_reply(pending->request, matrix);
    }
    free(pending);
}

static int
send_reserve(pending_t *pending, alchi_drv_group_t *group, const alchi_drv_matrix_t *matrix, alch_error_t *err)
{
    alchi_drv_command_t model = {.on_done = finish_create, .context = pending};
    Alchw__WorkerReserve message = ALCHW__WORKER_RESERVE__INIT;
    alchi_drv_matrix_description_t described;

    alchi_drv_catalog_describe(matrix, &described);
    described.message.busy = NULL;
    message.matrix = &described.message;
    if (alchi_drv_command_send(group, ALCHI_WORKER_RESERVE, &message, NULL, &model, NULL))
        return alchi_drv_error_no_memory(err);
    return ALCH_OK;
}

/* Resolve the layout for the group, and add the matrix to the catalog. */
static int
add_matrix(alchi_drv_session_t *session, const alchi_drv_group_t *group, const Alchw__CreateMatrix *create,
           alchi_drv_matrix_t **matrix_p, alch_error_t *err)
{
    Alchw__Matrix description = ALCHW__MATRIX__INIT;
    Alchw__Layout resolved;
    alch_layout_t spec;
    alchi_layout_t layout;
    int code;

    if (create->rows < 0 || create->cols < 0)
        return alchi_error_set(err, ALCH_EINVAL, "matrix size %lld x %lld is negative", (long long)create->rows,
                               (long long)create->cols);
    spec = alchi_wire_layout_in(create->layout);
    if ((code = alchi_layout_init(&layout, create->rows, create->cols, group->size, &spec, err)))
        return code;
    alchi_wire_layout_out(&layout.spec, &resolved);
    alchi_layout_fini(&layout);
    description.rows = create->rows;
    description.cols = create->cols;
    description.dtype = create->dtype;
    description.layout = &resolved;
    description.name = create->name;
    return alchi_drv_catalog_add(&session->catalog, session->driver->next_matrix++, group->id, group->size,
                                 &description, matrix_p, err);
}

void
alchi_drv_on_create_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    alchi_drv_session_t *session = link->session;
    alchi_drv_matrix_t *matrix;
    alchi_drv_group_t *group;
    pending_t *pending;
    alch_error_t error;

    if (alchi_drv_session_ready(session, &group, &error) || add_matrix(session, group, message, &matrix, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(pending = pending_create(driver, link, frame->id, matrix->id))) {
        alchi_drv_catalog_remove(&session->catalog, matrix);
        return;
    }
    if (send_reserve(pending, group, matrix, &error)) {
        alchi_drv_catalog_remove(&session->catalog, matrix);
        alchi_drv_request_fail(pending->request, &error);
        free(pending);
    }
}

/* ---- free ---- */

/* A rank that no longer has the matrix (ENOENT), or whose group has ended (EGROUP), counts as having freed it. */
static void
finish_free(alchi_drv_command_t *command)
{
    pending_t *pending = command->context;
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&pending->session->catalog, pending->id);

    if (command->failed && command->error.code == ALCH_EBUSY) {
        if (matrix)
            matrix->state = ALCHI_DRV_MATRIX_LIVE;
        alchi_drv_request_fail(pending->request, &command->error);
    } else {
        if (matrix)
            alchi_drv_catalog_remove(&pending->session->catalog, matrix);
        if (command->failed && command->error.code != ALCH_ENOENT && command->error.code != ALCH_EGROUP)
            alchi_drv_request_fail(pending->request, &command->error);
        else
            alchi_drv_request_reply_empty(pending->request);
    }
    free(pending);
}

static int
find_matrix_to_free(alchi_drv_session_t *session, uint64_t id, alchi_drv_matrix_t **matrix_p, alch_error_t *err)
{
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&session->catalog, id);
    int code;

    if (!matrix || matrix->state != ALCHI_DRV_MATRIX_LOST) {
        if ((code = alchi_drv_catalog_find(&session->catalog, id, &matrix, err)) ||
            (code = alchi_drv_catalog_check_unlocked(matrix, err)))
            return code;
    }
    *matrix_p = matrix;
    return ALCH_OK;
}

void
alchi_drv_on_free_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__MatrixId *params = message;
    alchi_drv_session_t *session = link->session;
    Alchw__WorkerFree free_message = ALCHW__WORKER_FREE__INIT;
    alchi_drv_command_t model = {.on_done = finish_free};
    alchi_drv_matrix_t *matrix;
    pending_t *pending;
    alch_error_t error;

    if (find_matrix_to_free(session, params->id, &matrix, &error)) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(pending = pending_create(driver, link, frame->id, params->id)))
        return;
    /* No rank has a part of the matrix any more. */
    if (matrix->state == ALCHI_DRV_MATRIX_LOST || !session->group) {
        alchi_drv_catalog_remove(&session->catalog, matrix);
        alchi_drv_request_reply_empty(pending->request);
        free(pending);
        return;
    }
    free_message.has_id = 1;
    free_message.id = params->id;
    model.context = pending;
    if (alchi_drv_command_send(session->group, ALCHI_WORKER_FREE, &free_message, NULL, &model, NULL)) {
        alchi_drv_error_no_memory(&error);
        alchi_drv_request_fail(pending->request, &error);
        free(pending);
        return;
    }
    matrix->state = ALCHI_DRV_MATRIX_FREEING;
}

/* ---- describe and list ---- */

void
alchi_drv_on_get_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__MatrixId *params = message;
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&link->session->catalog, params->id);
    alchi_drv_request_t *request;
    alch_error_t error;

    /* While a matrix grows or is replaced, its description is still the old one. */
    if (!(matrix && (matrix->growing || matrix->changing)) &&
        alchi_drv_catalog_find(&link->session->catalog, params->id, &matrix, &error))
        alchi_drv_link_fail(link, frame->id, &error);
    else if ((request = alchi_drv_request_create(driver, link, frame->id)))
        alchi_drv_matrix_reply(request, matrix);
}

#define LIST_MAX 1000 /* matrices in one reply: with the longest names they stay well under ALCHI_META_MAX */

static int
compare_ids(const void *a, const void *b)
{
    uint64_t x = (*(const alchi_drv_matrix_t *const *)a)->id, y = (*(const alchi_drv_matrix_t *const *)b)->id;

    return (x > y) - (x < y);
}

/* The live matrices with higher ids than `after`, in order of ids, for the caller to free. NULL: out of memory. */
static const alchi_drv_matrix_t **
list_matrices_after(const alchi_drv_catalog_t *catalog, uint64_t after, size_t *count_p)
{
    const alchi_drv_matrix_t **found = calloc(HASH_COUNT(catalog->matrices) + 1, sizeof(*found)), *matrix;

    *count_p = 0;
    for (matrix = found ? catalog->matrices : NULL; matrix; matrix = matrix->hh.next) {
        if (matrix->state == ALCHI_DRV_MATRIX_LIVE && matrix->id > after)
            found[(*count_p)++] = matrix;
    }
    if (found)
        qsort(found, *count_p, sizeof(*found), compare_ids);
    return found;
}

void
alchi_drv_on_list_matrices(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__ListMatrices *params = message;
    Alchw__MatrixList list = ALCHW__MATRIX_LIST__INIT;
    size_t count;
    const alchi_drv_matrix_t **found = list_matrices_after(&link->session->catalog, params->after, &count);
    alchi_drv_matrix_description_t *described = calloc(LIST_MAX, sizeof(*described));
    alch_error_t error;

    (void)driver;
    list.matrices = calloc(LIST_MAX, sizeof(*list.matrices));
    if (found && described && list.matrices) {
        list.has_more = list.more = count > LIST_MAX;
        list.n_matrices = count > LIST_MAX ? LIST_MAX : count;
        for (size_t k = 0; k < list.n_matrices; k++) {
            list.matrices[k] = &described[k].message;
            alchi_drv_catalog_describe(found[k], &described[k]);
        }
        alchi_drv_link_reply(link, frame->id, ALCHI_MATRIX_LIST, &list);
    } else {
        alchi_drv_error_no_memory(&error);
        alchi_drv_link_fail(link, frame->id, &error);
    }
    free(found);
    free(described);
    free(list.matrices);
}
