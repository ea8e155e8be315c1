/* The request to add rows to a matrix. If a rank cannot add them, the ranks that have added them remove them again. */
#include "base/error.h"
#include "base/util.h"
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
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>

/* A growth that the ranks are working on. */
typedef struct {
    alchi_drv_request_t *request;
    alchi_drv_session_t *session;
    uint64_t id;
    int64_t rows;       /* of the matrix after the growth */
    alch_error_t error; /* why the growth is undone */
} growth_t;

/* The growth has ended: other requests may use the matrix again. @return the matrix; NULL: it was lost or removed */
static alchi_drv_matrix_t *
clear_growing(const growth_t *growth)
{
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&growth->session->catalog, growth->id);

    if (!matrix || matrix->state != ALCHI_DRV_MATRIX_LIVE)
        return NULL;
    matrix->growing = false;
    return matrix;
}

static void
fail_growth(growth_t *growth)
{
    clear_growing(growth);
    alchi_drv_request_fail(growth->request, &growth->error);
    free(growth);
}

static int
send_rows(growth_t *growth, alchi_drv_group_t *group, const bool *ranks, int64_t rows,
          void (*on_done)(alchi_drv_command_t *))
{
    alchi_drv_command_t model = {.on_done = on_done, .context = growth};
    Alchw__WorkerGrow message = ALCHW__WORKER_GROW__INIT;

    message.has_id = message.has_rows = 1;
    message.id = growth->id;
    message.rows = rows;
    return alchi_drv_command_send(group, ALCHI_WORKER_GROW, &message, ranks, &model, NULL);
}

/* If a rank cannot undo its growth, the ranks have different shapes of the matrix, which is therefore LOST. */
static void
finish_undo(alchi_drv_command_t *command)
{
    growth_t *growth = command->context;
    alchi_drv_matrix_t *matrix = clear_growing(growth);

    if (command->failed && matrix) {
        matrix->state = ALCHI_DRV_MATRIX_LOST;
        matrix->lost_reason =
            alchi_asprintf("its ranks have different numbers of rows, because a failed growth could not be undone: %s",
                           command->error.text);
    }
    fail_growth(growth);
}

static bool
any_true(const bool *ranks, int size)
{
    for (int rank = 0; rank < size; rank++) {
        if (ranks[rank])
            return true;
    }
    return false;
}

static void
finish_growth(alchi_drv_command_t *command)
{
    growth_t *growth = command->context;
    alchi_drv_matrix_t *matrix;

    if (!command->failed) {
        if ((matrix = clear_growing(growth))) {
            matrix->rows = growth->rows;
            matrix->complete = matrix->complete && matrix->cols == 0;
            alchi_drv_matrix_reply(growth->request, matrix);
        } else {
            alchi_error_set(&growth->error, ALCH_ENOENT, "matrix %llu was lost while it grew",
                            (unsigned long long)growth->id);
            alchi_drv_request_fail(growth->request, &growth->error);
        }
        free(growth);
        return;
    }
    growth->error = command->error;
    matrix = alchi_drv_catalog_get(&growth->session->catalog, growth->id);
    if (!matrix || matrix->state != ALCHI_DRV_MATRIX_LIVE || !any_true(command->succeeded, command->group->size) ||
        send_rows(growth, command->group, command->succeeded, matrix->rows, finish_undo))
        fail_growth(growth);
}

/* Whether the matrix may grow now. @param[out] rows_p  its rows after the growth */
static int
check_growth(const alchi_drv_matrix_t *matrix, int64_t more, int64_t *rows_p, alch_error_t *err)
{
    alchi_layout_t layout;
    char text[128];
    int code;

    alchi_format_matrix(matrix->id, matrix->rows, matrix->cols, matrix->dtype, text, sizeof(text));
    if (more < 0 || more > INT64_MAX - matrix->rows)
        return alchi_error_set(
            err, ALCH_EINVAL,
            "matrix %s cannot be given %lld more rows: the number is negative, or the matrix would have more than "
            "2^63 - 1 rows",
            text, (long long)more);
    if ((code = alchi_drv_catalog_check_unlocked(matrix, err)))
        return code;
    code = alchi_layout_init(&layout, matrix->rows + more, matrix->cols, matrix->workers, &matrix->layout, err);
    if (code)
        return code;
    alchi_layout_fini(&layout);
    *rows_p = matrix->rows + more;
    return ALCH_OK;
}

static int
start_growth(alchi_drv_request_t *request, alchi_drv_session_t *session, alchi_drv_matrix_t *matrix, int64_t rows,
             alch_error_t *err)
{
    growth_t *growth = calloc(1, sizeof(*growth));
    alchi_drv_group_t *group;
    int code;

    if (!growth)
        return alchi_drv_error_no_memory(err);
    *growth = (growth_t){.request = request, .session = session, .id = matrix->id, .rows = rows};
    code = alchi_drv_session_ready(session, &group, err);
    if (!code && (code = send_rows(growth, group, NULL, rows, finish_growth)))
        alchi_error_set(err, code, "the driver cannot ask the ranks to add rows to matrix %llu: %s",
                        (unsigned long long)matrix->id, alch_strerror(code));
    if (code)
        free(growth);
    else
        matrix->growing = true;
    return code;
}

void
alchi_drv_on_grow_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__GrowMatrix *params = message;
    alchi_drv_request_t *request;
    alchi_drv_matrix_t *matrix;
    alch_error_t error;
    int64_t rows = 0;

    if (alchi_drv_catalog_find(&link->session->catalog, params->id, &matrix, &error) ||
        (params->rows != 0 && check_growth(matrix, params->rows, &rows, &error))) {
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    if (!(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    if (params->rows == 0)
        alchi_drv_matrix_reply(request, matrix);
    else if (start_growth(request, link->session, matrix, rows, &error))
        alchi_drv_request_fail(request, &error);
}
