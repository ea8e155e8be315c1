/**
 * @file dataserver/stage.h
 * Buffers in which a data thread puts short columns together before it sends them. A connection has one only while a
 * frame made in it is under way: however many there are, a thread has ALCHI_DATA_STAGES. Used by one thread.
 */
#ifndef ALCHI_DATASERVER_STAGE_H
#define ALCHI_DATASERVER_STAGE_H

#include <stddef.h>
#include <stdint.h>

#define ALCHI_DATA_STAGES 16
#define ALCHI_DATA_STAGE_BYTES ((size_t)64 << 10)

/** Zero at first. */
typedef struct {
    uint8_t *spare[ALCHI_DATA_STAGES];
    int spare_count, made;
} alchi_data_stages_t;

/** All must have been put back. */
void alchi_data_stages_fini(alchi_data_stages_t *stages);

/** A buffer of ALCHI_DATA_STAGE_BYTES. NULL: all are in use, do without. */
uint8_t *alchi_data_stage_acquire(alchi_data_stages_t *stages);
/** NULL is allowed. */
void alchi_data_stage_release(alchi_data_stages_t *stages, uint8_t *stage);

#endif
