#include "worker/stage.h"

#include <stdlib.h>

void
alchi_stages_fini(alchi_stages_t *stages)
{
    while (stages->spare_count > 0)
        free(stages->spare[--stages->spare_count]);
    stages->made = 0;
}

uint8_t *
alchi_stage_take(alchi_stages_t *stages)
{
    uint8_t *stage;

    if (stages->spare_count > 0)
        return stages->spare[--stages->spare_count];
    if (stages->made == ALCHI_STAGES || !(stage = malloc(ALCHI_STAGE_BYTES)))
        return NULL;
    stages->made++;
    return stage;
}

void
alchi_stage_put(alchi_stages_t *stages, uint8_t *stage)
{
    if (stage)
        stages->spare[stages->spare_count++] = stage;
}
