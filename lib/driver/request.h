/** @file driver/request.h  Requests that are answered later than they were received. */
#ifndef ALCHI_DRIVER_REQUEST_H
#define ALCHI_DRIVER_REQUEST_H

#include "driver/link.h"
#include "driver/timer.h"

#define ALCHI_DRV_REQUESTS_MAX 1024 /* requests of one connection that wait for their answers */
#define ALCHI_DRV_WAIT_MAX_MS 60000 /* a client that wants to wait longer asks again */

typedef void (*alchi_drv_request_f)(alchi_drv_request_t *request);

struct alchi_drv_request {
    alchi_drv_link_t *link; /* NULL: its sender left, answers go nowhere */
    uint64_t id;
    alchi_drv_t *driver;
    alchi_drv_session_t *session;
    alchi_drv_request_t **waiters; /* list it stands in; NULL: its owner keeps it */
    alchi_drv_timer_t timer;
    alchi_drv_request_f expired; /* answers "not yet" */
    void *object;                /* what it waits for */
    alchi_drv_request_t *prev, *next;
    alchi_drv_request_t *wait_prev, *wait_next;
};

/** Note a request that will be answered later. NULL: refused and answered already. */
alchi_drv_request_t *alchi_drv_request_create(alchi_drv_t *driver, alchi_drv_link_t *link, uint64_t id);
/** Stand in a list, at most wait_ms (capped), then `expired`. 0: it runs at once and the request is gone. */
void alchi_drv_request_wait(alchi_drv_request_t *request, alchi_drv_request_t **waiters, uint32_t wait_ms,
                            alchi_drv_request_f expired, void *object);
/* Each answers, if the sender is still there, and frees. */
void alchi_drv_request_reply(alchi_drv_request_t *request, unsigned type, const void *message);
void alchi_drv_request_fail(alchi_drv_request_t *request, const alch_error_t *error);
void alchi_drv_request_reply_empty(alchi_drv_request_t *request);
/** Answer everyone in a list. */
void alchi_drv_waiters_fail(alchi_drv_request_t **waiters, const alch_error_t *error);
/** The sender left: waiting ones are freed, owned ones are kept without a link. */
void alchi_drv_requests_detach_link(alchi_drv_link_t *link);

#endif
