/** @file agent/environment.h  The environment of a rank: the agent's own without what belongs to other jobs. Pure. */
#ifndef ALCHI_AGENT_ENVIRONMENT_H
#define ALCHI_AGENT_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int rank, size;
    int pmi_fd, config_fd;
    int threads; /* of BLAS */
} alchi_agent_environment_t;

/** Whether a variable "NAME=value" stays out of ranks: an MPI starter's, a batch step's, or a secret of ours. */
bool alchi_agent_environment_removes(const char *variable);

/**
 * Build it: `base` without what is dropped, then BLAS threads, then `extra` (each "NAME=value"), then what the rank
 * needs to find its job; later ones replace earlier ones.
 *
 * @return NULL-terminated, to be freed with alchi_agent_environment_free(); NULL: out of memory
 */
char **alchi_agent_environment_create(char *const *base, char *const *extra, size_t extra_count,
                                      const alchi_agent_environment_t *environment);
void alchi_agent_environment_free(char **variables);

#endif
