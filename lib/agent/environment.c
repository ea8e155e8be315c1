/* The environment variables of a rank. */
#include "agent/environment.h"

#include "base/util.h"

#include <stdlib.h>
#include <string.h>

/*
 * An MPI library that finds variables of another launcher would join that launcher's job instead of the group. Of a
 * batch system only the variables of a step are removed (they say "you are task 3 of 8"). Those of the job are kept,
 * because a library may want them. The variables ALCHEMIST_* configure daemons, and one of them is the token.
 */
static const char *const removed_prefixes[] = {
    "PMI_",
    "PMI2_",
    "PMIX_",
    "OMPI_",
    "OPAL_",
    "ORTE_",
    "PRTE_",
    "HYDRA_",
    "HYDI_",
    "MPIR_",
    "MPIEXEC_",
    "MPI_LOCAL",
    "MPICH_INTERFACE_HOSTNAME",
    "PALS_",
    "ALPS_APP_",
    "ALCHEMIST_",
    "SLURM_STEP",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_GTIDS",
    "SLURM_TASK_PID",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_SRUN_",
    "SLURM_LAUNCH_",
    "SLURM_PMI",
    "SLURM_MPI_TYPE",
    "SLURM_CPU_BIND",
    "SLURM_MEM_BIND",
    "SLURM_DISTRIBUTION",
    "SLURM_UMASK",
    "SLURM_PTY_",
    "PBS_TASKNUM",
    "PBS_NODENUM",
    "PBS_VNODENUM",
    "JSM_",
    "LSB_MCPU_",
};
/* These tune the yielding MPI calls (lib/interpose), which run in ranks. */
static const char *const kept_prefixes[] = {"ALCHEMIST_YIELD_"};

static bool
has_prefix(const char *variable, const char *const *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

bool
alchi_agent_environment_removes(const char *variable)
{
    return has_prefix(variable, removed_prefixes, ALCHI_COUNT(removed_prefixes)) &&
           !has_prefix(variable, kept_prefixes, ALCHI_COUNT(kept_prefixes));
}

/* Add a variable to the list, which owns it from now on, or replace the variable of the same name. The list must have
 * room for it. Returns false if `variable` is NULL (out of memory). */
static bool
set_variable(char **list, size_t *count, char *variable)
{
    size_t name, i = 0;

    if (!variable)
        return false;
    name = strcspn(variable, "=");
    while (i < *count && (strncmp(list[i], variable, name) != 0 || list[i][name] != '='))
        i++;
    if (i < *count)
        free(list[i]);
    else
        ++*count;
    list[i] = variable;
    return true;
}

static size_t
count_variables(char *const *list)
{
    size_t count = 0;

    while (list && list[count])
        count++;
    return count;
}

char **
alchi_agent_environment_create(char *const *base, char *const *extra, size_t extra_count,
                               const alchi_agent_environment_t *environment)
{
    size_t count = 0;
    char **list = calloc(count_variables(base) + extra_count + 8, sizeof(*list)); /* 7 set below, and a NULL */
    bool good = list != NULL;

    for (size_t i = 0; good && base && base[i]; i++)
        if (!alchi_agent_environment_removes(base[i]))
            good = (list[count++] = strdup(base[i])) != NULL;
    good = good && set_variable(list, &count, alchi_asprintf("OPENBLAS_NUM_THREADS=%d", environment->threads));
    good = good && set_variable(list, &count, alchi_asprintf("OMP_NUM_THREADS=%d", environment->threads));
    for (size_t i = 0; good && i < extra_count; i++)
        if (strchr(extra[i], '='))
            good = set_variable(list, &count, strdup(extra[i]));
    good = good && set_variable(list, &count, alchi_asprintf("PMI_FD=%d", environment->pmi_fd));
    good = good && set_variable(list, &count, alchi_asprintf("PMI_RANK=%d", environment->rank));
    good = good && set_variable(list, &count, alchi_asprintf("PMI_SIZE=%d", environment->size));
    good = good && set_variable(list, &count, alchi_asprintf("PMI_SPAWNED=0"));
    good = good && set_variable(list, &count, alchi_asprintf("ALCHEMIST_WORKER_FD=%d", environment->config_fd));
    if (good)
        return list;
    alchi_agent_environment_free(list);
    return NULL;
}

void
alchi_agent_environment_free(char **variables)
{
    for (size_t i = 0; variables && variables[i]; i++)
        free(variables[i]);
    free(variables);
}
