/**
 * @file driver/request.h
 * Requests: messages of clients and executors that are answered later than they were received.
 *
 * A handler creates a request. From then on exactly one of these owns it:
 * - the object that will answer it (a matrix under construction, a task that is not accepted yet), or
 * - a wait list: the list's owner answers all requests of the list when the awaited event happens. A request whose time
 *   limit passes before is answered with the state at that time.
 *
 * Every function that answers a request also frees it. If the sender disconnects, requests in wait lists are freed, and
 * the others lose their link: answering them then only frees them.
 */
#ifndef ALCHI_DRIVER_REQUEST_H
#define ALCHI_DRIVER_REQUEST_H

#include "driver/link.h"
#include "driver/timer.h"

#define ALCHI_DRV_REQUESTS_MAX 1024 /* requests of one connection that wait for their replies */
#define ALCHI_DRV_WAIT_MAX_MS 60000 /* a client that wants to wait longer asks again */

/** Answers the request, and so frees it. */
typedef void (*alchi_drv_request_f)(alchi_drv_request_t *request);

struct alchi_drv_request {
    alchi_drv_link_t *link; /* NULL: the sender disconnected */
    uint64_t id;
    alchi_drv_t *driver;
    alchi_drv_session_t *session;
    alchi_drv_request_t **wait_list; /* the list that holds it; NULL: none */
    alchi_drv_timer_t timer;
    alchi_drv_request_f reply_state; /* answers with the present state of the object; NULL: no time limit is set */
    void *object;                    /* for reply_state */
    alchi_drv_request_t *prev, *next;
    alchi_drv_request_t *wait_prev, *wait_next;
};

/** Create a request for a message with this id. NULL: the connection has ALCHI_DRV_REQUESTS_MAX requests, or the driver
 *  is out of memory; the error was sent. */
alchi_drv_request_t *alchi_drv_request_create(alchi_drv_t *driver, alchi_drv_link_t *link, uint64_t id);
/**
 * Put the request into a wait list. After wait_ms (at most ALCHI_DRV_WAIT_MAX_MS) reply_state answers it. With wait_ms
 * 0, or without a link, it is answered, and so freed, during this call.
 *
 * @param list    the list's head; it must not move or disappear before the list is empty
 * @param object  borrowed; becomes request->object
 */
void alchi_drv_request_wait(alchi_drv_request_t *request, alchi_drv_request_t **list, uint32_t wait_ms,
                            alchi_drv_request_f reply_state, void *object);
/* These three answer the request and free it. */
void alchi_drv_request_reply(alchi_drv_request_t *request, unsigned type, const void *message);
void alchi_drv_request_fail(alchi_drv_request_t *request, const alch_error_t *error);
void alchi_drv_request_reply_empty(alchi_drv_request_t *request);
/** Fail every request of a wait list. */
void alchi_drv_requests_fail(alchi_drv_request_t **list, const alch_error_t *error);
/** The sender disconnected: free its requests in wait lists, and set the link of the others to NULL. */
void alchi_drv_requests_detach_link(alchi_drv_link_t *link);

#endif
