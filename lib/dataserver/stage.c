/* The pool of stages of one data thread. */
#include "dataserver/stage.h"

#include <stdlib.h>

void
alchi_data_stages_fini(alchi_data_stages_t *stages)
{
    while (stages->spare_count > 0)
        free(stages->spare[--stages->spare_count]);
    stages->made = 0;
}

uint8_t *
alchi_data_stage_acquire(alchi_data_stages_t *stages)
{
    uint8_t *stage;

    if (stages->spare_count > 0)
        return stages->spare[--stages->spare_count];
    if (stages->made == ALCHI_DATA_STAGES || !(stage = malloc(ALCHI_DATA_STAGE_BYTES)))
        return NULL;
    stages->made++;
    return stage;
}

void
alchi_data_stage_release(alchi_data_stages_t *stages, uint8_t *stage)
{
    if (stage)
        stages->spare[stages->spare_count++] = stage;
}
