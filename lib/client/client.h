/** @file client/client.h  Sessions and handles of matrices, and the functions that the client's files share. */
#ifndef ALCHI_CLIENT_CLIENT_H
#define ALCHI_CLIENT_CLIENT_H

#include "client/control.h"
#include "client/pool.h"
#include "layout/layout.h"
#include "net/auth.h"
#include <alchemist/alchemist.h>
#include <pthread.h>
#include <sys/types.h>

/** Bytes of a session's name, with NUL. */
#define ALCHI_CLI_NAME_MAX 64

/* All members but `closed` are constant once the session is open. `control` and `pool` guard their state themselves. */
struct alch_session {
    pid_t pid; /* the process that opened the session; no other process may use it */
    uint64_t id;
    bool executor; /* attached with alch_session_attach() */
    bool closed;   /* atomic */
    uint8_t key[ALCHI_KEY_SIZE];
    char name[ALCHI_CLI_NAME_MAX];
    char address[300]; /* host:port that the caller asked for */
    char host[256];    /* the driver's host, as the connection reached it */
    char server_version[32];
    alch_session_options_t options; /* the caller's, completed with defaults; the strings are NULL */
    alchi_cli_control_t *control;
    alchi_cli_pool_t *pool;
};

struct alch_matrix {
    alch_session_t *session;
    pthread_mutex_t mutex; /* held while the members below change, and while a transfer is planned from them. A transfer
                            * in progress reads id, rows, columns, dtype and version without the mutex: only
                            * alch_matrix_grow() and alch_matrix_refresh() change those */
    alch_matrix_info_t facts; /* returned by alch_matrix_facts() */
    alchi_layout_t layout;
    size_t entry;     /* bytes of an entry */
    uint32_t version; /* how often the matrix was replaced in place */
    uint64_t group;   /* the worker group to which the layout belongs; 0: not known */
};

/** Create a handle from the driver's description.
 *  @param[in]  message   borrowed
 *  @param[out] matrix_p  owned by the caller: alch_matrix_destroy()
 *  @return ALCH_OK; ALCH_EPROTO: the description is impossible; ALCH_ENOMEM */
int alchi_cli_matrix_create(alch_session_t *session, const Alchw__Matrix *message, alch_matrix_t **matrix_p,
                            alch_error_t *err);

/** If the session's cached group is not the group of the handle's layout, ask the driver for the matrix, and set the
 *  layout for its new group. The handle's number of rows does not change. Call with the matrix's mutex held.
 *  @return ALCH_OK, also if either group is not known; ALCH_ESTATE: the matrix was replaced in place; ALCH_EPROTO; as
 *          alchi_cli_session_request() */
int alchi_cli_matrix_follow_group(alch_matrix_t *matrix, alch_error_t *err);
/** Call after a failure, with the matrix's mutex held: follow the group as above.
 *  @return true: the handle has the layout for another group now, which explains the failure: try again */
bool alchi_cli_matrix_has_moved(alch_matrix_t *matrix);

/** Whether this process may use the session. @return ALCH_OK; ALCH_EINVAL: it is NULL; ALCH_EFORKED */
int alchi_cli_session_check(const alch_session_t *session, alch_error_t *err);

/**
 * Check the session, send a request, and wait for its reply.
 *
 * @threads  MT-Safe
 * @param[in]  wait_ms  how long the driver may take in addition to the session's request timeout
 * @param[out] reply_p  as alchi_cli_control_request()
 * @return as alchi_cli_session_check() and alchi_cli_control_request()
 */
int alchi_cli_session_request(alch_session_t *session, unsigned type, const void *message, unsigned expect, int wait_ms,
                              void *reply_p, alch_error_t *err);

/** How long one request asks the driver to wait, in milliseconds: until the deadline, but at most 20 s. */
int alchi_cli_session_wait_slice_ms(alchi_deadline_t deadline);

/** Connect to the driver or a rank over TCP and authenticate.
 *  @param[in]  key          borrowed; which one depends on the claim's role (net/auth.h)
 *  @param[in]  payload_max  maximum payload of a frame, bytes; 0: a connection without payload
 *  @param[out] channel_p    owned by the caller
 *  @param[out] granted_p    or NULL
 *  @return ALCH_OK; ALCH_ENOMEM; as alchi_connect() and alchi_authenticate() */
int alchi_cli_session_dial(const alchi_address_t *address, const alchi_claim_t *claim, const uint8_t *key,
                           const char *name, uint32_t payload_max, alchi_deadline_t deadline,
                           alchi_channel_t **channel_p, alchi_granted_t *granted_p, alch_error_t *err);

/** Connect to a rank on the same host through shared memory. The caller owns the channel.
 *  @return NULL: the connection failed, or the session's options forbid shared memory; use TCP */
alchi_channel_t *alchi_cli_dial_shm(const alch_session_t *session, const alchi_claim_t *claim, const uint8_t *key,
                                    alchi_deadline_t deadline);

/** Create a task handle from a TASK reply.
 *  @param[in] message  freed, also on failure
 *  @return ALCH_OK; ALCH_EPROTO: the reply is impossible; ALCH_ENOMEM */
int alchi_cli_task_create(alch_session_t *session, Alchw__Task *message, alch_task_t **task_p, alch_error_t *err);

/** Create a set from the named values of a message. The set owns the array and its entries from now on.
 *  @return NULL: out of memory; the array and its entries are freed */
alch_values_t *alchi_cli_values_adopt(Alchw__NamedValue **items, size_t count);
/** The items of a set, borrowed. NULL for NULL */
Alchw__NamedValue **alchi_cli_values_items(const alch_values_t *values);

#endif
