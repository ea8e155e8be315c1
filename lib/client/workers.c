/* Request, list and yield workers, move matrices to other workers, and the echo test of the driver. */
#include "client/client.h"
#include "base/error.h"
#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_STRING_MAX 65536

static void
fill_worker(const alch_session_t *session, const Alchw__Worker *message, alch_worker_t *worker)
{
    worker->id = (int)message->slot;
    worker->rank = message->rank;
    worker->port = (int)message->port;
    worker->state = (alch_worker_state_t)message->state;
    worker->session = message->session;
    worker->pid = message->pid;
    snprintf(worker->host, sizeof(worker->host), "%s", message->host ? message->host : "");
    snprintf(worker->address, sizeof(worker->address), "%s", alchi_cli_pool_worker_host(session, message));
}

int
alch_session_list_workers(alch_session_t *session, alch_worker_filter_t filter, alch_worker_t **workers_p,
                          size_t *count_p, alch_error_t *err)
{
    Alchw__ListWorkers request = ALCHW__LIST_WORKERS__INIT;
    Alchw__WorkerList *reply;
    alch_worker_t *workers;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!workers_p || !count_p || (int)filter < ALCH_WORKERS_ALL || filter > ALCH_WORKERS_ASSIGNED)
        return alchi_error_set(err, ALCH_EINVAL, "workers_p or count_p is NULL, or the filter %d is unknown", filter);
    request.has_filter = true;
    request.filter = filter;
    code = alchi_cli_session_request(session, ALCHI_LIST_WORKERS, &request, ALCHI_WORKER_LIST, 0, &reply, err);
    if (code != ALCH_OK)
        return code;
    workers = calloc(reply->n_workers + 1, sizeof(*workers));
    for (size_t k = 0; workers && k < reply->n_workers; k++)
        fill_worker(session, reply->workers[k], &workers[k]);
    if (workers) {
        *workers_p = workers;
        *count_p = reply->n_workers;
    }
    alchi_message_free(reply);
    return workers ? ALCH_OK : alchi_error_set(err, ALCH_ENOMEM, "out of memory for a list of workers");
}

void
alch_workers_free(alch_worker_t *workers)
{
    free(workers);
}

/* Ask for workers once. The driver answers when the group is ready, or after wait_ms. *ready_p: whether the group is
 * ready */
static int
request_workers_once(alch_session_t *session, int count, bool move, int wait_ms, bool *ready_p, alch_error_t *err)
{
    Alchw__RequestWorkers request = ALCHW__REQUEST_WORKERS__INIT;
    Alchw__Group *reply;
    int code;

    request.has_count = request.has_wait_ms = true;
    request.count = (uint32_t)count;
    request.wait_ms = (uint32_t)wait_ms;
    request.has_move = request.move = move;
    code = alchi_cli_session_request(session, ALCHI_REQUEST_WORKERS, &request, ALCHI_GROUP, wait_ms, &reply, err);
    if (code != ALCH_OK)
        return code;
    *ready_p = reply->ready;
    /* While the driver moves the matrices, the client reads them from the cached group. */
    if (!reply->moving)
        code = alchi_cli_pool_set_group(session, reply, err);
    alchi_message_free(reply);
    return code;
}

static int
request_workers(alch_session_t *session, int count, bool move, int timeout_ms, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    bool ready = false;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (count < 1)
        return alchi_error_set(err, ALCH_EINVAL, "the number of requested workers is %d, must be at least 1", count);
    do {
        code = request_workers_once(session, count, move, alchi_cli_session_wait_slice_ms(deadline), &ready, err);
        if (code != ALCH_OK)
            alchi_cli_pool_set_group(session, NULL, NULL);
    } while (code == ALCH_OK && !ready && alchi_deadline_left_ms(deadline) != 0);
    if (code == ALCH_OK && !ready)
        code = alchi_error_set(err, ALCH_EAGAIN, "%d workers are still starting", count);
    return code;
}

int
alch_session_request_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err)
{
    return request_workers(session, count, false, timeout_ms, err);
}

int
alch_session_move_workers(alch_session_t *session, int count, int timeout_ms, alch_error_t *err)
{
    return request_workers(session, count, true, timeout_ms, err);
}

int
alch_session_move_progress(alch_session_t *session, int64_t *done_p, int64_t *total_p, alch_error_t *err)
{
    Alchw__Group *reply;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!done_p || !total_p)
        return alchi_error_set(err, ALCH_EINVAL, "done_p or total_p is NULL");
    code = alchi_cli_session_request(session, ALCHI_GET_GROUP, NULL, ALCHI_GROUP, 0, &reply, err);
    if (code != ALCH_OK)
        return code;
    if (!reply->moving)
        code = alchi_error_set(err, ALCH_ESTATE, "no matrices are being moved");
    *done_p = reply->moved;
    *total_p = reply->total;
    alchi_message_free(reply);
    return code;
}

int
alch_session_yield_workers(alch_session_t *session, const int *ids, size_t count, alch_error_t *err)
{
    Alchw__YieldWorkers request = ALCHW__YIELD_WORKERS__INIT;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK || (ids && !count))
        return code;
    if (ids && !(request.slots = calloc(count, sizeof(*request.slots))))
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for a list of %zu slots", count);
    for (size_t k = 0; ids && k < count && code == ALCH_OK; k++) {
        request.slots[k] = (uint32_t)ids[k];
        if (ids[k] < 1)
            code = alchi_error_set(err, ALCH_ENOENT, "worker %d does not exist: slots are counted from 1", ids[k]);
    }
    request.n_slots = ids ? count : 0;
    if (code == ALCH_OK) {
        code = alchi_cli_session_request(session, ALCHI_YIELD_WORKERS, &request, ALCHI_WORKER_LIST, 0, NULL, err);
        alchi_cli_pool_set_group(session, NULL, NULL);
    }
    free(request.slots);
    return code;
}

int
alch_session_test_string(alch_session_t *session, const char *text, char **reply_p, alch_error_t *err)
{
    Alchw__TestString request = ALCHW__TEST_STRING__INIT;
    Alchw__TestString *reply;
    char *copy;
    int code = alchi_cli_session_check(session, err);

    if (code != ALCH_OK)
        return code;
    if (!text || !reply_p || !alchi_utf8_valid(text, strlen(text)))
        return alchi_error_set(err, ALCH_EINVAL, "text or reply_p is NULL, or the text is not valid UTF-8");
    if (strlen(text) > TEST_STRING_MAX)
        return alchi_error_set(err, ALCH_EINVAL, "the text has %zu bytes, at most %d can be echoed", strlen(text),
                               TEST_STRING_MAX);
    request.text = (char *)text;
    code = alchi_cli_session_request(session, ALCHI_TEST_STRING, &request, ALCHI_TEST_STRING, 0, &reply, err);
    if (code != ALCH_OK)
        return code;
    copy = strdup(reply->text ? reply->text : "");
    alchi_message_free(reply);
    if (!copy)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the reply");
    *reply_p = copy;
    return ALCH_OK;
}
