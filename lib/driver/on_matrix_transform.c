/* Transforms: a matrix in another layout, transposed, converted or copied. Like calls of libraries, they are tasks. */
#include "base/error.h"
#include "base/types.h"
#include "driver/catalog.h"
#include "driver/driver.h"
#include "driver/group_state.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/task.h"
#include "layout/layout.h"
#include "wire/layout_message.h"
#include "wire/message.h"
#include "wire/value.h"
#include <stdlib.h>

/* The description of the result, which points to `layout`. */
typedef struct {
    Alchw__Matrix description;
    Alchw__Layout layout;
} result_t;

static const char *
function_name(const Alchw__Transform *params, const alchi_drv_matrix_t *matrix, const result_t *result)
{
    if (params->transpose)
        return "transpose";
    if (result->description.dtype != matrix->dtype)
        return "convert";
    return params->layout ? "relayout" : "copy";
}

static int
describe_result(const Alchw__Transform *params, const alchi_drv_matrix_t *matrix, result_t *result, alch_error_t *err)
{
    Alchw__Matrix *description = &result->description;
    alch_layout_t spec = matrix->layout;
    alchi_layout_t layout;
    int code;

    alchw__matrix__init(description);
    description->has_id = description->has_rows = description->has_cols = description->has_dtype = 1;
    description->has_workers = 1;
    description->rows = params->transpose ? matrix->cols : matrix->rows;
    description->cols = params->transpose ? matrix->rows : matrix->cols;
    description->dtype = params->dtype ? params->dtype : matrix->dtype;
    description->workers = (uint32_t)matrix->workers;
    description->has_version = 1;
    description->version = params->in_place ? matrix->version + 1 : 0;
    description->layout = &result->layout;
    description->name = params->name;
    if (params->in_place && !(params->name && *params->name))
        description->name = (char *)matrix->name;
    if ((code = alchi_drv_catalog_check_name(params->name, err)))
        return code;
    code = alchi_dtype_check_conversion(
        matrix->dtype, description->dtype > INT32_MAX ? 0 : (alch_dtype_t)description->dtype, params->unsafe, err);
    if (code)
        return code;
    if (params->layout)
        spec = alchi_wire_layout_in(params->layout);
    if ((code = alchi_layout_init(&layout, description->rows, description->cols, matrix->workers, &spec, err)))
        return code;
    alchi_wire_layout_out(&layout.spec, &result->layout);
    alchi_layout_fini(&layout);
    return ALCH_OK;
}

static int
fill_task(alchi_drv_task_t *task, const Alchw__Transform *params, const alchi_drv_matrix_t *matrix, result_t *result,
          alch_error_t *err)
{
    Alchw__WorkerTransform message = ALCHW__WORKER_TRANSFORM__INIT;

    message.has_task = message.has_matrix = message.has_transpose = message.has_conjugate = 1;
    message.has_unsafe = message.has_in_place = 1;
    message.matrix = matrix->id;
    message.result = &result->description;
    message.transpose = params->transpose;
    message.conjugate = params->conjugate;
    message.unsafe = params->unsafe;
    message.in_place = params->in_place;
    task->library = strdup("matrix");
    task->function = strdup(function_name(params, matrix, result));
    task->transform = alchi_message_copy(&message);
    task->inputs = calloc(1, sizeof(*task->inputs));
    if (!task->library || !task->function || !task->transform || !task->inputs)
        return alchi_drv_error_no_memory(err);
    task->inputs[task->input_count++] = matrix->id;
    task->result_count = !params->in_place;
    return ALCH_OK;
}

/* Create and register the task; it is not queued yet. */
static int
create_task(alchi_drv_session_t *session, const Alchw__Transform *params, alchi_drv_task_t **task_p, alch_error_t *err)
{
    alchi_drv_matrix_t *matrix;
    alchi_drv_group_t *group;
    alchi_drv_task_t *task;
    result_t result;
    int code;

    if ((code = alchi_drv_session_ready(session, &group, err)) ||
        (code = alchi_drv_catalog_find(&session->catalog, params->matrix, &matrix, err)) ||
        (params->in_place && (code = alchi_drv_catalog_check_unlocked(matrix, err))) ||
        (code = describe_result(params, matrix, &result, err)))
        return code;
    if (!(task = alchi_drv_task_create(session, err)))
        return ALCH_ENOMEM;
    if ((code = fill_task(task, params, matrix, &result, err))) {
        alchi_drv_task_free(task);
        return code;
    }
    alchi_drv_task_register(session, task);
    task->transform->task = task->id;
    task->transform->result->id = params->in_place ? matrix->id : task->first_result;
    matrix->changing = params->in_place;
    *task_p = task;
    return ALCH_OK;
}

void
alchi_drv_on_transform(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__Transform *params = message;
    alchi_drv_request_t *request = alchi_drv_request_create(driver, link, frame->id);
    alchi_drv_task_t *task = NULL;
    alch_error_t error;

    if (!request)
        return;
    if (create_task(link->session, params, &task, &error))
        alchi_drv_request_fail(request, &error);
    else
        alchi_drv_task_queue(task, link->session->group, request, params->wait_ms);
}
