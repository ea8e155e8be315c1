/* Transform a matrix on the workers: change its layout or type, transpose or conjugate it. */
#include "client/client.h"
#include "base/error.h"
#include "wire/layout_message.h"

#define KNOWN_FLAGS \
    (ALCH_TRANSFORM_TRANSPOSE | ALCH_TRANSFORM_CONJUGATE | ALCH_TRANSFORM_UNSAFE | ALCH_TRANSFORM_IN_PLACE)

static int
check_transform(const alch_matrix_t *matrix, const alch_layout_t *layout, alch_dtype_t dtype, unsigned flags,
                alch_task_t **task_p, alch_error_t *err)
{
    if (!matrix || !task_p)
        return alchi_error_set(err, ALCH_EINVAL, "the matrix or task_p is NULL");
    if (layout && (layout->nprow < 0 || layout->npcol < 0 || (int)layout->dist < 0))
        return alchi_error_set(err, ALCH_EINVAL, "the layout has negative members");
    if ((int)dtype && !alch_dtype_size(dtype))
        return alchi_error_set(err, ALCH_EINVAL, "entry type %d is unknown", (int)dtype);
    if (flags & ~KNOWN_FLAGS)
        return alchi_error_set(err, ALCH_EINVAL, "flags 0x%x are unknown", flags & ~KNOWN_FLAGS);
    return alchi_cli_session_check(matrix->session, err);
}

int
alch_matrix_transform_submit(alch_matrix_t *matrix, const alch_layout_t *layout, alch_dtype_t dtype, unsigned flags,
                             const char *name, alch_task_t **task_p, alch_error_t *err)
{
    Alchw__Transform request = ALCHW__TRANSFORM__INIT;
    Alchw__Layout spec;
    Alchw__Task *reply;
    int code = check_transform(matrix, layout, dtype, flags, task_p, err);

    if (code != ALCH_OK)
        return code;
    request.has_matrix = request.has_dtype = request.has_transpose = request.has_conjugate = true;
    request.has_unsafe = request.has_in_place = true;
    request.matrix = matrix->facts.id;
    request.dtype = dtype;
    request.transpose = (flags & ALCH_TRANSFORM_TRANSPOSE) != 0;
    request.conjugate = (flags & ALCH_TRANSFORM_CONJUGATE) != 0;
    request.unsafe = (flags & ALCH_TRANSFORM_UNSAFE) != 0;
    request.in_place = (flags & ALCH_TRANSFORM_IN_PLACE) != 0;
    request.name = (char *)name;
    if (layout) {
        alchi_wire_layout_out(layout, &spec);
        request.layout = &spec;
    }
    code = alchi_cli_session_request(matrix->session, ALCHI_TRANSFORM, &request, ALCHI_TASK, 0, &reply, err);
    return code == ALCH_OK ? alchi_cli_task_create(matrix->session, reply, task_p, err) : code;
}
