/**
 * @file dataserver/stage.h
 * Stages: buffers into which a data thread packs short columns before it sends them. A connection has one only while
 * the frame packed in it is being sent, so ALCHI_DATA_STAGES of them serve any number of connections.
 *
 * @threads  not safe: each data thread has its own stages
 */
#ifndef ALCHI_DATASERVER_STAGE_H
#define ALCHI_DATASERVER_STAGE_H

#include <stddef.h>
#include <stdint.h>

#define ALCHI_DATA_STAGES 16
#define ALCHI_DATA_STAGE_BYTES ((size_t)64 << 10)

/** The pool of stages of one data thread. A zeroed struct is an empty pool. */
typedef struct {
    uint8_t *spare[ALCHI_DATA_STAGES];
    int spare_count;
    int made; /* allocated stages, in use or spare */
} alchi_data_stages_t;

/** Free all stages. All of them must have been released. */
void alchi_data_stages_fini(alchi_data_stages_t *stages);

/** Take a buffer of ALCHI_DATA_STAGE_BYTES. @return NULL: all stages are in use, or out of memory. The caller then
 * sends without a stage */
uint8_t *alchi_data_stage_acquire(alchi_data_stages_t *stages);
/** Return a stage to the pool. NULL is allowed. */
void alchi_data_stage_release(alchi_data_stages_t *stages, uint8_t *stage);

#endif
