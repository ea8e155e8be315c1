/**
 * @file driver/handlers.h
 * Handlers of messages, one for each type. driver.c has a table of those for clients and executors, one of those for
 * ranks, and one of those for agents.
 *
 * A handler answers a client at once through the link, or creates a request that is answered later. `message` is the
 * decoded message of the frame, borrowed, never NULL. Handlers of clients' messages run only while link->session is
 * set; link->group of a rank and link->node of an agent may be NULL.
 */
#ifndef ALCHI_DRIVER_HANDLERS_H
#define ALCHI_DRIVER_HANDLERS_H

#include "driver/catalog.h"
#include "driver/link.h"
#include "driver/request.h"
#include "wire/frame.h"

typedef void (*alchi_drv_handler_f)(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                    const void *message);

/* ---- on_session.c ---- */

void alchi_drv_on_close_session(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                const void *message);
void alchi_drv_on_ping(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message);
void alchi_drv_on_test_string(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);

/* ---- on_group.c ---- */

void alchi_drv_on_list_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                               const void *message);
void alchi_drv_on_get_group(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                            const void *message);
void alchi_drv_on_request_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                  const void *message);
void alchi_drv_on_yield_workers(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                const void *message);
/** Answer with the list of workers that serve request->session, or with an empty message if that is NULL. */
void alchi_drv_reply_assigned_workers(alchi_drv_request_t *request);

/* ---- on_matrix.c ---- */

void alchi_drv_on_create_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                const void *message);
void alchi_drv_on_get_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                             const void *message);
void alchi_drv_on_free_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_list_matrices(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                const void *message);
/** Answer with the present description of a matrix. */
void alchi_drv_matrix_reply(alchi_drv_request_t *request, const alchi_drv_matrix_t *matrix);

/* ---- on_matrix_grow.c ---- */

void alchi_drv_on_grow_matrix(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);

/* ---- on_matrix_transform.c ---- */

void alchi_drv_on_transform(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                            const void *message);

/* ---- on_library.c ---- */

void alchi_drv_on_load_library(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                               const void *message);
void alchi_drv_on_list_libraries(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                 const void *message);

/* ---- on_task.c ---- */

void alchi_drv_on_submit_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_wait_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                            const void *message);
void alchi_drv_on_cancel_task(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_worker_progress(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                                  const void *message);

/* ---- on_rank.c ---- */

void alchi_drv_on_worker_join(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_error(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame, const void *message);

/* ---- on_agent.c ---- */

void alchi_drv_on_agent_hello(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_rank_started(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                               const void *message);
void alchi_drv_on_rank_exit(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                            const void *message);
void alchi_drv_on_group_ended(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
void alchi_drv_on_pmi_barrier(alchi_drv_t *driver, alchi_drv_link_t *link, const alchi_frame_t *frame,
                              const void *message);
/** The connection of an agent has ended: count its ranks as ended, and remove its node and slots. */
void alchi_drv_node_lost(alchi_drv_t *driver, alchi_drv_link_t *link);

#endif
