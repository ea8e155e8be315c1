/* The ranks of one group on this host: starting them, killing them, and their barrier. */
#include "agent/agent_impl.h"
#include "agent/sweep.h"
#include "net/shm.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <utlist.h>

alchi_agent_group_t *
alchi_agent_group_find(alchi_agent_t *agent, uint64_t id)
{
    alchi_agent_group_t *group;

    DL_FOREACH(agent->groups, group)
    if (group->id == id)
        return group;
    return NULL;
}

static void
free_group(alchi_agent_group_t *group)
{
    for (int i = 0; i < group->count; i++)
        alchi_agent_rank_fini(&group->ranks[i]);
    alchi_agent_watch_close(group->kill_timer);
    alchi_agent_pmi_destroy(group->pmi);
    free(group->ranks);
    free(group->pids);
    free(group);
}

/* Remove the shared memory that the group's ranks have left behind. */
static void
remove_shared_memory(const alchi_agent_group_t *group)
{
    int files = alchi_agent_sweep_files("/dev/shm"),
        segments = alchi_agent_sweep_segments(group->pids, group->pid_count);

    alchi_shm_sweep_sockets();
    if (files + segments)
        alchi_log(ALCHI_LOG_INFO, "removed shared memory that dead ranks left: %d files, and %d segments of group %llu",
                  files, segments, (unsigned long long)group->id);
}

static void
signal_group(alchi_agent_group_t *group, int number)
{
    for (int i = 0; i < group->count; i++)
        if (group->ranks[i].running)
            alchi_agent_child_signal(&group->ranks[i].child, number);
}

void
alchi_agent_group_destroy(alchi_agent_group_t *group)
{
    signal_group(group, SIGKILL);
    for (int i = 0; i < group->count; i++)
        alchi_agent_rank_fini(&group->ranks[i]);
    remove_shared_memory(group);
    DL_DELETE(group->agent->groups, group);
    free_group(group);
}

/* ---- ending ---- */

static void
end_group(alchi_agent_group_t *group)
{
    Alchw__GroupEnded ended = ALCHW__GROUP_ENDED__INIT;
    alchi_agent_t *agent = group->agent;

    remove_shared_memory(group);
    ended.has_group = 1;
    ended.group = group->id;
    DL_DELETE(agent->groups, group);
    free_group(group);
    alchi_agent_send(agent, ALCHI_GROUP_ENDED, &ended);
    alchi_agent_end_if_idle(agent);
}

void
alchi_agent_group_rank_ended(alchi_agent_group_t *group)
{
    if (--group->running_count == 0)
        end_group(group);
}

static void
on_grace_over(void *context, int events)
{
    (void)events;
    signal_group(context, SIGKILL);
}

void
alchi_agent_group_kill(alchi_agent_group_t *group, int64_t grace_ms)
{
    int64_t kill_at_ns = alchi_now_ns() + grace_ms * 1000000;

    if (group->killing && kill_at_ns >= group->kill_at_ns)
        return;
    if (!group->killing && grace_ms > 0)
        signal_group(group, SIGTERM);
    group->killing = true;
    group->kill_at_ns = kill_at_ns;
    alchi_agent_watch_close(group->kill_timer);
    group->kill_timer =
        grace_ms > 0 ? alchi_agent_watch_timer(group->agent->loop, grace_ms, on_grace_over, group) : NULL;
    if (!group->kill_timer)
        signal_group(group, SIGKILL);
}

/* ---- barrier ---- */

void
alchi_agent_group_enter_barrier(alchi_agent_group_t *group)
{
    Alchw__PmiBarrier barrier = ALCHW__PMI_BARRIER__INIT;

    if (++group->barrier_count < group->count)
        return;
    barrier.has_group = 1;
    barrier.group = group->id;
    if (alchi_agent_pmi_take_unsent(group->pmi, &barrier.pairs, &barrier.n_pairs) != ALCH_OK) {
        /* Out of memory. The barrier cannot complete, so the ranks would wait in it forever. */
        alchi_agent_group_kill(group, 0);
        return;
    }
    alchi_agent_send(group->agent, ALCHI_PMI_BARRIER, &barrier);
    free(barrier.pairs);
}

void
alchi_agent_group_leave_barrier(alchi_agent_group_t *group, const Alchw__PmiBarrierOut *out)
{
    for (size_t i = 0; i < out->n_pairs; i++)
        if (alchi_agent_pmi_store(group->pmi, out->pairs[i]->key, out->pairs[i]->value) != ALCH_OK) {
            alchi_log(ALCHI_LOG_ERROR,
                      "the agent cannot store PMI pair \"%.64s\" of group %llu and kills the group's ranks",
                      out->pairs[i]->key ? out->pairs[i]->key : "", (unsigned long long)group->id);
            alchi_agent_group_kill(group, 0);
            return;
        }
    group->barrier_count = 0;
    for (int i = 0; i < group->count; i++)
        alchi_agent_rank_leave_barrier(&group->ranks[i]);
}

/* ---- starting ---- */

static int
check_spawn(alchi_agent_t *agent, const Alchw__Spawn *spawn, alch_error_t *err)
{
    bool good = spawn->n_ranks > 0 && spawn->n_ranks <= (size_t)agent->slot_count && spawn->size >= spawn->n_ranks &&
                spawn->size <= INT32_MAX && spawn->process_mapping && !alchi_agent_group_find(agent, spawn->group);

    for (size_t i = 0; good && i < spawn->n_ranks; i++)
        good = spawn->ranks[i]->config && spawn->ranks[i]->rank < spawn->size;
    if (good)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_EPROTO,
                           "the driver's request to start group %llu is invalid: %zu of %u ranks on %d slots",
                           (unsigned long long)spawn->group, spawn->n_ranks, spawn->size, agent->slot_count);
}

static alchi_agent_group_t *
create_group(alchi_agent_t *agent, const Alchw__Spawn *spawn)
{
    alchi_agent_group_t *group = calloc(1, sizeof(*group));

    if (!group)
        return NULL;
    group->agent = agent;
    group->id = spawn->group;
    group->pmi = alchi_agent_pmi_create(spawn->group, (int)spawn->size, spawn->process_mapping);
    group->ranks = calloc(spawn->n_ranks, sizeof(*group->ranks));
    group->pids = calloc(spawn->n_ranks, sizeof(*group->pids));
    if (!group->pmi || !group->ranks || !group->pids) {
        free_group(group);
        return NULL;
    }
    for (size_t i = 0; i < spawn->n_ranks; i++)
        alchi_agent_rank_init(&group->ranks[group->count++], group, spawn->ranks[i], (int)spawn->size);
    return group;
}

static void
start_rank(alchi_agent_group_t *group, const Alchw__Spawn *spawn, int i)
{
    Alchw__RankStarted started = ALCHW__RANK_STARTED__INIT;
    alchi_agent_rank_t *rank = &group->ranks[i];
    bool stopping = group->agent->stopping || group->agent->failure.code;
    alch_error_t err;

    if (stopping)
        alchi_error_set(&err, ALCH_ESTATE, "the agent is stopping");
    if (stopping || alchi_agent_rank_start(rank, spawn->ranks[i], spawn->environment, spawn->n_environment, &err)) {
        alchi_agent_rank_fini(rank);
        alchi_agent_rank_report_refusal(rank, err.text);
        return;
    }
    group->running_count++;
    group->pids[group->pid_count++] = rank->child.pid;
    started.has_group = started.has_rank = started.has_pid = 1;
    started.group = group->id;
    started.rank = (uint32_t)rank->rank;
    started.pid = rank->child.pid;
    alchi_agent_send(group->agent, ALCHI_RANK_STARTED, &started);
}

int
alchi_agent_group_start(alchi_agent_t *agent, const Alchw__Spawn *spawn, alch_error_t *err)
{
    alchi_agent_group_t *group;
    int code = check_spawn(agent, spawn, err);

    if (code != ALCH_OK)
        return code;
    group = create_group(agent, spawn);
    if (!group)
        return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory");
    DL_APPEND(agent->groups, group);
    for (int i = 0; i < group->count; i++)
        start_rank(group, spawn, i);
    if (group->running_count == 0)
        end_group(group);
    return ALCH_OK;
}
