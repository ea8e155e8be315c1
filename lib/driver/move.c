/* Moves: a session's matrices go to a second group. Each step is one command; its on_done() takes the next step. */
#include "driver/move.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "driver/catalog.h"
#include "driver/command.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/group_state.h"
#include "driver/library.h"
#include "driver/no_memory.h"
#include "driver/request.h"
#include "driver/session.h"
#include "driver/slot_queue.h"
#include "driver/slots.h"
#include "driver/timer.h"
#include "layout/layout.h"
#include "wire/layout_message.h"
#include "wire/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_INTERVAL_NS (5 * INT64_C(1000000000)) /* between two log lines about progress */

/* ---- the matrices ---- */

static int
check_matrix(const alchi_drv_matrix_t *matrix, alch_error_t *err)
{
    char text[128];

    if (matrix->state == ALCHI_DRV_MATRIX_LIVE && !matrix->growing && !matrix->changing)
        return alchi_drv_catalog_check_unlocked(matrix, err);
    alchi_format_matrix(matrix->id, matrix->rows, matrix->cols, matrix->dtype, text, sizeof(text));
    return alchi_error_set(err, ALCH_EBUSY, "matrix %s is being %s", text,
                           matrix->state == ALCHI_DRV_MATRIX_RESERVING ? "created"
                           : matrix->state == ALCHI_DRV_MATRIX_FREEING ? "freed"
                           : matrix->growing                           ? "given more rows"
                                                                       : "replaced");
}

/* The layout in the second group: the same kind and blocks, on a process grid for the new number of workers. */
static int
resolve_layout(const alchi_drv_matrix_t *matrix, int workers, alchi_drv_move_matrix_t *target, alch_error_t *err)
{
    alch_layout_t spec = matrix->layout;
    alchi_layout_t layout;
    int code;

    spec.nprow = spec.npcol = 0;
    if ((code = alchi_layout_init(&layout, matrix->rows, matrix->cols, workers, &spec, err)))
        return code;
    *target =
        (alchi_drv_move_matrix_t){layout.spec, matrix->rows * matrix->cols * (int64_t)alch_dtype_size(matrix->dtype)};
    alchi_layout_fini(&layout);
    return ALCH_OK;
}

static int
list_matrices(alchi_drv_move_t *move, alch_error_t *err)
{
    const alchi_drv_catalog_t *catalog = &move->session->catalog;
    const alchi_drv_matrix_t *matrix;
    int code;

    move->matrices = calloc(HASH_COUNT(catalog->matrices) + 1, sizeof(*move->matrices));
    move->ids = calloc(HASH_COUNT(catalog->matrices) + 1, sizeof(*move->ids));
    move->fractions = calloc((size_t)move->count, sizeof(*move->fractions));
    if (!move->matrices || !move->ids || !move->fractions)
        return alchi_drv_error_no_memory(err);
    for (matrix = catalog->matrices; matrix; matrix = matrix->hh.next) {
        if (matrix->state == ALCHI_DRV_MATRIX_LOST)
            continue;
        if ((code = check_matrix(matrix, err)) ||
            (code = resolve_layout(matrix, move->count, &move->matrices[move->matrix_count], err)))
            return code;
        move->ids[move->matrix_count] = matrix->id;
        move->total += move->matrices[move->matrix_count++].bytes;
    }
    return ALCH_OK;
}

static int
check_session(const alchi_drv_session_t *session, int count, alch_error_t *err)
{
    alch_error_t error;
    int code;

    if (session->group->jobs)
        return alchi_error_set(err, ALCH_EBUSY,
                               "matrices cannot be moved while a task or a library load of session %llu has not ended",
                               (unsigned long long)session->id);
    if ((code = alchi_drv_slot_queue_check(session, count, 0, &error)))
        return alchi_error_set(err, code, "a move needs new workers in addition to the %d that hold the matrices: %s",
                               session->group->size, error.text);
    return ALCH_OK;
}

static void
move_free(alchi_drv_move_t *move)
{
    alchi_drv_timer_stop(&move->fail_timer);
    free(move->matrices);
    free(move->ids);
    free(move->fractions);
    free(move);
}

static const char *
format_label(const alchi_drv_move_t *move, char text[96])
{
    snprintf(text, 96, "task %llu (move to %d worker%s)", (unsigned long long)move->task, move->count,
             move->count == 1 ? "" : "s");
    return text;
}

int
alchi_drv_move_start(alchi_drv_session_t *session, int count, alch_error_t *err)
{
    alchi_drv_move_t *move;
    char text[96];
    int code = check_session(session, count, err);

    if (code)
        return code;
    if (!(move = calloc(1, sizeof(*move))))
        return alchi_drv_error_no_memory(err);
    move->session = session;
    move->count = count;
    move->start_ns = move->logged_ns = alchi_now_ns();
    if ((code = list_matrices(move, err)) || (code = alchi_drv_slot_queue_add(session, count, NULL, err))) {
        move_free(move);
        return code;
    }
    move->task = session->driver->next_task++;
    alchi_drv_catalog_lock(&session->catalog, move->ids, move->matrix_count, format_label(move, text));
    session->move = move;
    session->unreported_error.code = ALCH_OK;
    alchi_drv_slot_queue_start_next(session->driver);
    /* The start has failed during the call: alchi_drv_move_fail() has freed the move and left its error here. */
    if (!session->move && session->unreported_error.code) {
        *err = session->unreported_error;
        session->unreported_error.code = ALCH_OK;
        return err->code;
    }
    return ALCH_OK;
}

/* ---- the end of a move ---- */

static void
release_hold(const alchi_drv_move_t *move)
{
    Alchw__WorkerUnhold message = ALCHW__WORKER_UNHOLD__INIT;

    if (!move->holding || !move->session->group)
        return;
    message.has_task = 1;
    message.task = move->task;
    alchi_drv_command_send(move->session->group, ALCHI_WORKER_UNHOLD, &message, NULL, NULL, NULL);
}

void
alchi_drv_move_fail(alchi_drv_move_t *move, const alch_error_t *error)
{
    alchi_drv_session_t *session = move->session;
    alchi_drv_group_t *to = move->to;
    alch_error_t why = *error;

    alchi_log(ALCHI_LOG_WARNING, "session %llu: moving its matrices to %d workers failed: %s",
              (unsigned long long)session->id, move->count, why.text);
    session->move = NULL;
    alchi_drv_slot_queue_remove(session);
    if (move->command)
        alchi_drv_command_discard(move->command);
    alchi_drv_catalog_unlock(&session->catalog, move->ids, move->matrix_count);
    release_hold(move);
    if (to) {
        to->session = NULL;
        alchi_drv_group_kill(to, &why);
    }
    if (!move->waiters)
        session->unreported_error = why;
    alchi_drv_requests_fail(&move->waiters, &why);
    move_free(move);
}

static void
on_fail_timer(alchi_drv_timer_t *timer)
{
    alchi_drv_move_t *move = ALCHI_CONTAINER(timer, alchi_drv_move_t, fail_timer);

    alchi_drv_move_fail(move, &move->error);
}

/* Fail the move at the next turn of the loop. A callback of a command must not fail it at once, because that would end
 * the group whose command is being handled. */
static void
schedule_failure(alchi_drv_move_t *move, const alch_error_t *error)
{
    if (move->fail_timer.timers)
        return;
    move->error = *error;
    alchi_drv_timer_start(&move->session->driver->timers, &move->fail_timer, 0, on_fail_timer);
}

static void
update_matrices(const alchi_drv_move_t *move)
{
    alchi_drv_matrix_t *matrix;

    alchi_drv_catalog_unlock(&move->session->catalog, move->ids, move->matrix_count);
    for (size_t k = 0; k < move->matrix_count; k++) {
        if (!(matrix = alchi_drv_catalog_get(&move->session->catalog, move->ids[k])))
            continue;
        matrix->group = move->to->id;
        matrix->workers = move->to->size;
        matrix->layout = move->matrices[k].layout;
    }
}

/* Requests that wait for the move are answered only after the old ranks have exited, so no client can read stale data
 * from them. */
static void
defer_replies_until_end(alchi_drv_move_t *move, alchi_drv_group_t *old)
{
    alchi_drv_request_t *request;

    move->session->old_group = old;
    while ((request = move->waiters)) {
        DL_DELETE2(move->waiters, request, wait_prev, wait_next);
        request->wait_list = &old->end_waiters;
        DL_APPEND2(old->end_waiters, request, wait_prev, wait_next);
    }
}

/* The second group becomes the session's group. */
static void
finish_move(alchi_drv_move_t *move)
{
    alchi_drv_session_t *session = move->session;
    alchi_drv_group_t *old = session->group;
    double seconds = (double)(alchi_now_ns() - move->start_ns) / 1e9;
    alch_error_t why;
    char bytes[32];

    alchi_log(ALCHI_LOG_INFO, "session %llu: moved %zu matrices (%s) from %d to %d workers in %.2f s",
              (unsigned long long)session->id, move->matrix_count,
              alchi_format_bytes(move->total, bytes, sizeof(bytes)), session->group->size, move->count, seconds);
    alchi_error_set(&why, ALCH_EGROUP, "worker group %llu was resized", (unsigned long long)session->group->id);
    session->move = NULL;
    update_matrices(move);
    defer_replies_until_end(move, old);
    alchi_drv_group_release(old, &why);
    session->group = move->to;
    move_free(move);
    alchi_drv_libraries_reload(session);
}

/* ---- the steps ---- */

static void take_next_step(alchi_drv_move_t *move);

static void
finish_step(alchi_drv_command_t *command)
{
    alchi_drv_move_t *move = command->context;

    move->command = NULL;
    if (command->failed)
        schedule_failure(move, &command->error);
    else
        take_next_step(move);
}

/* A fetch has failed on one rank: do not wait for the other ranks. */
static bool
fail_at_first_failure(alchi_drv_command_t *command, int rank)
{
    (void)rank;
    schedule_failure(command->context, &command->error);
    return false;
}

/* Fail the move if its next command could not be sent. */
static void
fail_unless_sent(alchi_drv_move_t *move, int code)
{
    alch_error_t error;

    if (!code)
        return;
    if (code == ALCH_ENOMEM)
        alchi_drv_error_no_memory(&error);
    else
        alchi_error_set(&error, code, "the worker group has ended");
    schedule_failure(move, &error);
}

static void
finish_hold(alchi_drv_command_t *command)
{
    alchi_drv_move_t *move = command->context;

    move->holding = true;
    finish_step(command);
}

static void
send_hold(alchi_drv_move_t *move)
{
    alchi_drv_command_t model = {.on_done = finish_hold, .context = move};
    Alchw__WorkerHold message = ALCHW__WORKER_HOLD__INIT;
    char text[64];

    snprintf(text, sizeof(text), "move to %d worker%s", move->count, move->count == 1 ? "" : "s");
    message.has_task = 1;
    message.task = move->task;
    message.name = text;
    message.n_ids = move->matrix_count;
    message.ids = move->ids;
    fail_unless_sent(
        move, alchi_drv_command_send(move->session->group, ALCHI_WORKER_HOLD, &message, NULL, &model, &move->command));
}

static void
finish_reserve(alchi_drv_command_t *command)
{
    alchi_drv_move_t *move = command->context;

    move->reserved += !command->failed;
    finish_step(command);
}

static void
send_reserve(alchi_drv_move_t *move, const alchi_drv_matrix_t *matrix)
{
    alchi_drv_command_t model = {.on_done = finish_reserve, .context = move};
    Alchw__WorkerReserve message = ALCHW__WORKER_RESERVE__INIT;
    alchi_drv_matrix_description_t described;

    alchi_drv_catalog_describe(matrix, &described);
    alchi_wire_layout_out(&move->matrices[move->reserved].layout, &described.layout);
    described.message.busy = NULL;
    described.message.workers = (uint32_t)move->count;
    described.message.group = move->to->id;
    message.matrix = &described.message;
    fail_unless_sent(move,
                     alchi_drv_command_send(move->to, ALCHI_WORKER_RESERVE, &message, NULL, &model, &move->command));
}

static void
finish_fetch(alchi_drv_command_t *command)
{
    alchi_drv_move_t *move = command->context;

    if (!command->failed) {
        move->bytes += move->matrices[move->moved++].bytes;
        memset(move->fractions, 0, (size_t)move->count * sizeof(*move->fractions));
    }
    finish_step(command);
}

/* Each new rank gets the old ranks' keys wrapped with its own control key. */
static void
wrap_keys(const alchi_drv_command_t *command, int rank)
{
    const alchi_drv_move_t *move = command->context;
    const alchi_drv_group_t *from = move->session->group;

    for (int k = 0; k < from->size; k++)
        alchi_key_wrap(move->to->ranks[rank].control_key, from->id, k, from->ranks[k].data_key, move->keys[k]);
}

static void
fill_sources(const alchi_drv_move_t *move, Alchw__Source *sources, Alchw__Source **list)
{
    const alchi_drv_group_t *from = move->session->group;
    const alchi_drv_slot_t *slot;

    for (int k = 0; k < from->size; k++) {
        slot = from->ranks[k].slot;
        alchw__source__init(&sources[k]);
        sources[k].has_port = sources[k].has_slot = sources[k].has_key = 1;
        sources[k].address = slot->node->address;
        sources[k].port = (uint32_t)slot->port;
        sources[k].slot = (uint32_t)slot->id;
        sources[k].key = (ProtobufCBinaryData){ALCHI_KEY_SIZE, move->keys[k]};
        list[k] = &sources[k];
    }
}

static int
send_fetch_from(alchi_drv_move_t *move, const alchi_drv_matrix_t *matrix, Alchw__Source *sources, Alchw__Source **list)
{
    alchi_drv_command_t model = {
        .before_send = wrap_keys, .on_done = finish_fetch, .on_failure = fail_at_first_failure, .context = move};
    Alchw__WorkerFetch message = ALCHW__WORKER_FETCH__INIT;
    alchi_drv_matrix_description_t described;

    alchi_drv_catalog_describe(matrix, &described);
    described.message.busy = NULL;
    fill_sources(move, sources, list);
    message.has_task = message.has_complete = 1;
    message.task = move->task;
    message.matrix = &described.message;
    message.complete = matrix->complete;
    message.n_sources = (size_t)move->session->group->size;
    message.sources = list;
    return alchi_drv_command_send(move->to, ALCHI_WORKER_FETCH, &message, NULL, &model, &move->command);
}

static void
send_fetch(alchi_drv_move_t *move, const alchi_drv_matrix_t *matrix)
{
    size_t size = (size_t)move->session->group->size;
    Alchw__Source *sources = calloc(size, sizeof(*sources)), **list = calloc(size, sizeof(Alchw__Source *));

    move->keys = calloc(size, sizeof(*move->keys));
    fail_unless_sent(move, sources && list && move->keys ? send_fetch_from(move, matrix, sources, list) : ALCH_ENOMEM);
    if (move->keys)
        explicit_bzero(move->keys, size * sizeof(*move->keys));
    free(move->keys);
    move->keys = NULL;
    free(sources);
    free(list);
}

/* An incomplete matrix is moved as well, but the new ranks must ask which of its entries are written. */
static void
finish_check(alchi_drv_command_t *command)
{
    alchi_drv_move_t *move = command->context;
    alchi_drv_matrix_t *matrix = alchi_drv_catalog_get(&move->session->catalog, move->ids[move->moved]);

    move->command = NULL;
    if (command->failed && command->error.code != ALCH_EINCOMPLETE) {
        schedule_failure(move, &command->error);
        return;
    }
    matrix->complete = !command->failed;
    send_fetch(move, matrix);
}

static void
send_check(alchi_drv_move_t *move, uint64_t id)
{
    alchi_drv_command_t model = {.on_done = finish_check, .context = move};
    Alchw__WorkerCheck message = ALCHW__WORKER_CHECK__INIT;

    message.n_ids = 1;
    message.ids = &id;
    fail_unless_sent(
        move, alchi_drv_command_send(move->session->group, ALCHI_WORKER_CHECK, &message, NULL, &model, &move->command));
}

static void
take_next_step(alchi_drv_move_t *move)
{
    const alchi_drv_catalog_t *catalog = &move->session->catalog;
    const alchi_drv_matrix_t *matrix;

    if (move->fail_timer.timers)
        return;
    if (!move->holding) {
        send_hold(move);
    } else if (move->reserved < move->matrix_count) {
        send_reserve(move, alchi_drv_catalog_get(catalog, move->ids[move->reserved]));
    } else if (move->moved < move->matrix_count) {
        matrix = alchi_drv_catalog_get(catalog, move->ids[move->moved]);
        if (matrix->complete)
            send_fetch(move, matrix);
        else
            send_check(move, matrix->id);
    } else {
        finish_move(move);
    }
}

void
alchi_drv_move_ready(alchi_drv_move_t *move)
{
    char bytes[32];

    alchi_log(ALCHI_LOG_INFO, "session %llu: moving %zu matrices (%s) from %d to %d workers",
              (unsigned long long)move->session->id, move->matrix_count,
              alchi_format_bytes(move->total, bytes, sizeof(bytes)), move->session->group->size, move->count);
    take_next_step(move);
}

/* ---- progress ---- */

int64_t
alchi_drv_move_bytes_done(const alchi_drv_move_t *move)
{
    double sum = 0;

    for (int k = 0; move->moved < move->matrix_count && k < move->count; k++)
        sum += move->fractions[k];
    if (move->moved == move->matrix_count)
        return move->bytes;
    return move->bytes + (int64_t)(sum / move->count * (double)move->matrices[move->moved].bytes);
}

void
alchi_drv_move_progress(alchi_drv_move_t *move, int rank, double fraction)
{
    char done[32], total[32];

    move->fractions[rank] = fraction;
    if (alchi_now_ns() - move->logged_ns < LOG_INTERVAL_NS)
        return;
    move->logged_ns = alchi_now_ns();
    alchi_log(ALCHI_LOG_INFO, "session %llu: %s of %s are moved to %d workers", (unsigned long long)move->session->id,
              alchi_format_bytes(alchi_drv_move_bytes_done(move), done, sizeof(done)),
              alchi_format_bytes(move->total, total, sizeof(total)), move->count);
}
