/* Requests about the session itself: ping, test string, close. */
#include "base/error.h"
#include "driver/catalog.h"
#include "driver/driver.h"
#include "driver/group_actions.h"
#include "driver/handlers.h"
#include "driver/link.h"
#include "driver/move.h"
#include "driver/request.h"
#include "driver/session.h"
#include "wire/message.h"
#include <string.h>
#include <utlist.h>

#define TEST_STRING_MAX 65536 /* bytes */

void
alchi_drv_on_ping(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    (void)driver, (void)message;
    alchi_drv_link_reply(link, frame->id, ALCHI_EMPTY, NULL);
}

void
alchi_drv_on_test_string(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    const Alchw__TestString *test = message;
    alch_error_t error;

    (void)driver;
    if (test->text && strlen(test->text) > TEST_STRING_MAX) {
        alchi_error_set(&error, ALCH_ELIMIT, "the test string has %zu bytes, the limit is %d", strlen(test->text),
                        TEST_STRING_MAX);
        alchi_drv_link_fail(link, frame->id, &error);
        return;
    }
    alchi_drv_link_reply(link, frame->id, ALCHI_TEST_STRING, test);
}

void
alchi_drv_on_close_session(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message)
{
    alchi_drv_session_t *session = link->session;
    alchi_drv_request_t *request;
    alch_error_t why;

    (void)message;
    if (!(request = alchi_drv_request_create(driver, link, frame->id)))
        return;
    if (link != session->owner || !session->group) {
        session->closing = session->closing || link == session->owner;
        alchi_drv_request_reply_empty(request);
        return;
    }
    session->closing = true;
    alchi_error_set(&why, ALCH_ECONNECT, "session %llu is closing", (unsigned long long)session->id);
    if (session->move)
        alchi_drv_move_fail(session->move, &why);
    /* The request is answered when the ranks have ended. The reply is empty, because request->session is NULL. */
    request->session = NULL;
    request->wait_list = &session->group->end_waiters;
    DL_APPEND2(session->group->end_waiters, request, wait_prev, wait_next);
    alchi_drv_catalog_mark_lost(&session->catalog, session->group->id, why.text);
    alchi_drv_group_release(session->group, &why);
}
