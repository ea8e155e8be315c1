/** @file client/client.h  What a session consists of. Constant after it was opened but for what its parts guard. */
#ifndef ALCHI_CLIENT_CLIENT_H
#define ALCHI_CLIENT_CLIENT_H

#include "client/control.h"
#include "client/pool.h"
#include "layout/layout.h"
#include "net/auth.h"
#include <alchemist/alchemist.h>
#include <pthread.h>
#include <sys/types.h>

#define ALCHI_CLI_NAME_MAX 64

struct alch_session {
    pid_t pid; /* who opened it: nobody else may use it */
    uint64_t id;
    bool executor;
    bool closed; /* atomic */
    uint8_t key[ALCHI_KEY_SIZE];
    char name[ALCHI_CLI_NAME_MAX];
    char address[300]; /* host:port, as asked for */
    char host[256];    /* the driver's host as it was reached */
    char server_version[32];
    alch_session_options_t options; /* numbers only, with defaults */
    alchi_cli_control_t *control;
    alchi_cli_pool_t *pool;
};

struct alch_matrix {
    alch_session_t *session;
    pthread_mutex_t mutex; /* held while what follows changes, and while a transfer is planned by it. Transfers that run
                            * read id, rows, columns and version: only grow and refresh change these, as asked */
    alch_matrix_info_t facts;
    alchi_layout_t layout;
    size_t entry;     /* bytes */
    uint32_t version; /* how often it was replaced in place */
    uint64_t group;   /* whose ranks the layout is of; 0: not known */
};

/** A handle of what the driver described. @param message borrowed @param matrix_p owned by the caller */
int alchi_cli_matrix_create(alch_session_t *session, const Alchw__Matrix *message, alch_matrix_t **matrix_p,
                            alch_error_t *err);

/** If the session has another group by now and the matrix came along: lay the handle out for that one. What a handle
 *  knows of rows stays. With the matrix's mutex held.
 *  @return ALCH_OK, also if nothing is known; ALCH_ESTATE: it was replaced in place; what requests return */
int alchi_cli_matrix_follow_group(alch_matrix_t *matrix, alch_error_t *err);
/** Do so after a failure, and say whether that explains it: it was laid out anew. */
bool alchi_cli_matrix_has_moved(alch_matrix_t *matrix);

/** @return ALCH_OK, ALCH_EINVAL (NULL), ALCH_EFORKED */
int alchi_cli_session_check(const alch_session_t *session, alch_error_t *err);

/**
 * Check the session, send a request, wait for its reply.
 *
 * @param wait_ms  how long the driver may take beyond the session's request timeout
 * @param reply_p  as alchi_cli_control_request()
 */
int alchi_cli_session_request(alch_session_t *session, unsigned type, const void *message, unsigned expect, int wait_ms,
                              void *reply_p, alch_error_t *err);

/** How long the driver is asked to wait in one request: the rest of the time, cut into slices. */
int alchi_cli_session_wait_slice_ms(alchi_deadline_t deadline);

/** Connect and authenticate by the deadline. `host_p`, `granted_p` may be NULL. */
int alchi_cli_session_dial(const alchi_address_t *address, const alchi_claim_t *claim, const uint8_t *key,
                           const char *name, uint32_t payload_max, alchi_deadline_t deadline,
                           alchi_channel_t **channel_p, alchi_granted_t *granted_p, alch_error_t *err);

/** Connect to a rank of this host, by shared memory. NULL: that is not possible, or not wanted; try TCP. */
alchi_channel_t *alchi_cli_dial_shm(const alch_session_t *session, const alchi_claim_t *claim, const uint8_t *key,
                                    alchi_deadline_t deadline);

/** A handle from a TASK reply, which is freed. */
int alchi_cli_task_create(alch_session_t *session, Alchw__Task *message, alch_task_t **task_p, alch_error_t *err);

/** Values that came with a message: takes the array and its entries over. NULL: out of memory (they are freed). */
alch_values_t *alchi_cli_values_adopt(Alchw__NamedValue **items, size_t count);
/** The items, borrowed. */
Alchw__NamedValue **alchi_cli_values_items(const alch_values_t *values);

#endif
