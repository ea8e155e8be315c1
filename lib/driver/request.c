/* Requests: created by handlers, kept in wait lists, answered and freed. */
#include "driver/request.h"
#include "base/error.h"
#include "base/util.h"
#include "driver/driver.h"
#include "driver/link.h"
#include "driver/no_memory.h"
#include "driver/timer.h"
#include <stdlib.h>
#include <utlist.h>

alchi_drv_request_t *
alchi_drv_request_create(alchi_drv_t *driver, alchi_drv_link_t *link, uint64_t id)
{
    alchi_drv_request_t *request = NULL;
    alch_error_t error;

    if (link->request_count >= ALCHI_DRV_REQUESTS_MAX) {
        alchi_error_set(&error, ALCH_ELIMIT, "%d requests of this connection wait for their replies, the limit is %d",
                        link->request_count, ALCHI_DRV_REQUESTS_MAX);
        alchi_drv_link_fail(link, id, &error);
        return NULL;
    }
    if (!(request = calloc(1, sizeof(*request)))) {
        alchi_drv_error_no_memory(&error);
        alchi_drv_link_fail(link, id, &error);
        return NULL;
    }
    request->link = link;
    request->id = id;
    request->driver = driver;
    request->session = link->session;
    DL_APPEND(link->requests, request);
    link->request_count++;
    return request;
}

static void
reply_on_timeout(alchi_drv_timer_t *timer)
{
    alchi_drv_request_t *request = ALCHI_CONTAINER(timer, alchi_drv_request_t, timer);

    request->reply_state(request);
}

void
alchi_drv_request_wait(alchi_drv_request_t *request, alchi_drv_request_t **list, uint32_t wait_ms,
                       alchi_drv_request_f reply_state, void *object)
{
    request->object = object;
    if (!request->link) {
        alchi_drv_request_reply_empty(request);
        return;
    }
    if (!wait_ms) {
        reply_state(request);
        return;
    }
    request->wait_list = list;
    request->reply_state = reply_state;
    DL_APPEND2(*list, request, wait_prev, wait_next);
    alchi_drv_timer_start(&request->driver->timers, &request->timer,
                          wait_ms < ALCHI_DRV_WAIT_MAX_MS ? wait_ms : ALCHI_DRV_WAIT_MAX_MS, reply_on_timeout);
}

static void
request_free(alchi_drv_request_t *request)
{
    alchi_drv_timer_stop(&request->timer);
    if (request->wait_list)
        DL_DELETE2(*request->wait_list, request, wait_prev, wait_next);
    if (request->link) {
        DL_DELETE(request->link->requests, request);
        request->link->request_count--;
    }
    free(request);
}

void
alchi_drv_request_reply(alchi_drv_request_t *request, unsigned type, const void *message)
{
    if (request->link)
        alchi_drv_link_reply(request->link, request->id, type, message);
    request_free(request);
}

void
alchi_drv_request_fail(alchi_drv_request_t *request, const alch_error_t *error)
{
    if (request->link)
        alchi_drv_link_fail(request->link, request->id, error);
    request_free(request);
}

void
alchi_drv_request_reply_empty(alchi_drv_request_t *request)
{
    alchi_drv_request_reply(request, ALCHI_EMPTY, NULL);
}

void
alchi_drv_requests_fail(alchi_drv_request_t **list, const alch_error_t *error)
{
    while (*list)
        alchi_drv_request_fail(*list, error);
}

void
alchi_drv_requests_detach_link(alchi_drv_link_t *link)
{
    alchi_drv_request_t *request, *next;

    DL_FOREACH_SAFE(link->requests, request, next)
    {
        if (request->wait_list) {
            request_free(request);
            continue;
        }
        DL_DELETE(link->requests, request);
        link->request_count--;
        request->link = NULL;
    }
}
