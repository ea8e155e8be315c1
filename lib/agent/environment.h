/**
 * @file agent/environment.h
 * The environment variables of a rank: those of the agent, except variables of other jobs, and those of the rank's job.
 */
#ifndef ALCHI_AGENT_ENVIRONMENT_H
#define ALCHI_AGENT_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/** The rank's place in its job. */
typedef struct {
    int rank, size;
    int pmi_fd, config_fd; /* descriptors that the rank inherits: its PMI socket and its configuration */
    int threads;           /* BLAS threads */
} alchi_agent_environment_t;

/** Whether ranks must not inherit a variable "NAME=value": it belongs to an MPI launcher, to a step of a batch system,
 *  or to the daemon (ALCHEMIST_*, one of which is the token). */
bool alchi_agent_environment_removes(const char *variable);

/**
 * Build an environment in four steps, each of which replaces variables of the earlier steps:
 *
 * 1. `base` without the variables that alchi_agent_environment_removes()
 * 2. the number of BLAS threads
 * 3. `extra`; an entry without "=" is ignored
 * 4. the variables with which the rank finds its job
 *
 * @param base   NULL-terminated list of "NAME=value", or NULL; copied
 * @param extra  `extra_count` entries; copied
 *
 * @return a NULL-terminated list, to be freed with alchi_agent_environment_free(); NULL: out of memory
 */
char **alchi_agent_environment_create(char *const *base, char *const *extra, size_t extra_count,
                                      const alchi_agent_environment_t *environment);
/** NULL is allowed. */
void alchi_agent_environment_free(char **variables);

#endif
