/**
 * @file worker/stage.h
 * Buffers in which a data thread puts short columns together before it sends them. A connection has one only while a
 * frame made in it is under way: however many there are, a thread has ALCHI_STAGES. Used by one thread.
 */
#ifndef ALCHI_WORKER_STAGE_H
#define ALCHI_WORKER_STAGE_H

#include <stddef.h>
#include <stdint.h>

#define ALCHI_STAGES 16
#define ALCHI_STAGE_BYTES ((size_t)64 << 10)

/** Zero at first. */
typedef struct {
    uint8_t *spare[ALCHI_STAGES];
    int spare_count, made;
} alchi_stages_t;

/** All must have been put back. */
void alchi_stages_fini(alchi_stages_t *stages);

/** A buffer of ALCHI_STAGE_BYTES. NULL: all are in use, do without. */
uint8_t *alchi_stage_take(alchi_stages_t *stages);
/** NULL is allowed. */
void alchi_stage_put(alchi_stages_t *stages, uint8_t *stage);

#endif
