/* The main function of a rank: it joins its group, starts the threads, and runs jobs until it must quit. */
#include "worker/worker.h"
#include "base/error.h"
#include "base/log.h"
#include "dataserver/dataserver.h"
#include "net/auth.h"
#include "pluginhost/plugins.h"
#include "store/mem.h"
#include "worker/control_thread.h"
#include "worker/join.h"
#include "worker/runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Alchw__WorkerConfig *config;
    alchi_channel_t *channel;
    alchi_store_t *store;
    alchi_rank_queue_t *queue;
    alchi_rank_control_t *control;
    MPI_Comm comm;
    alchi_host_plugins_t *plugins;
    alchi_data_server_t *data;
} rank_t;

static void
start_log(const Alchw__WorkerConfig *config)
{
    int level = config->log_level ? alchi_log_level_parse(config->log_level) : -1;
    char who[32];

    snprintf(who, sizeof(who), "worker-%03u", config->slot);
    alchi_log_init(who, level < 0 ? ALCHI_LOG_INFO : (alchi_log_level_t)level);
    /* Buffer by line: if a library crashes the process, the lines that it printed are in the log. */
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static void
report_stage(rank_t *rank, unsigned stage, int port)
{
    Alchw__WorkerJoin join = ALCHW__WORKER_JOIN__INIT;

    join.has_stage = true;
    join.stage = stage;
    join.has_port = port > 0;
    join.port = (uint32_t)port;
    alchi_rank_control_send(rank->control, ALCHI_WORKER_JOIN, 0, &join);
}

/* Connect to the driver and start the control thread. This comes before MPI_Init_thread(), which may take long or never
 * return. */
static int
join_driver(rank_t *rank, alch_error_t *err)
{
    const Alchw__WorkerConfig *config = rank->config;
    alchi_rank_control_env_t env;
    int code = alchi_rank_join_driver(config, &rank->channel, err);

    if (code)
        return code;
    rank->store = alchi_store_create((int)config->rank, (int)config->size, config->memory_limit);
    rank->queue = rank->store ? alchi_rank_queue_create(rank->store) : NULL;
    if (!rank->queue)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for its store");
    alchi_store_set_slot(rank->store, (int)config->slot);
    alchi_store_mem_set_keep((size_t)config->keep_memory);
    env = (alchi_rank_control_env_t){rank->channel, rank->store, rank->queue, (int)config->rank, (int)config->size};
    code = alchi_rank_control_start(&env, &rank->control, err);
    if (!code)
        report_stage(rank, ALCHW__JOIN_STAGE__JOIN_CONNECTED, 0);
    return code;
}

static void
report_progress(void *context, uint64_t task, double fraction, const char *text)
{
    alchi_rank_control_progress(context, task, fraction, text);
}

static int
start_plugins(rank_t *rank, alch_error_t *err)
{
    alchi_host_plugins_env_t env = {
        .store = rank->store,
        .comm = rank->comm,
        .dirs = rank->config->plugin_dirs,
        .dir_count = rank->config->n_plugin_dirs,
        .data_dirs = rank->config->data_dirs,
        .data_dir_count = rank->config->n_data_dirs,
        .progress = report_progress,
        .context = rank->control,
    };

    rank->plugins = alchi_host_plugins_create(&env);
    return rank->plugins ? ALCH_OK
                         : alchi_error_set(err, ALCH_ENOMEM,
                                           "the rank cannot create its plugin host: out of memory, or MPI failed");
}

static int
start_data_server(rank_t *rank, alch_error_t *err)
{
    const Alchw__WorkerConfig *config = rank->config;
    alchi_data_config_t data = {
        .store = rank->store,
        .listen_fd = (int)config->listen_fd,
        .session = config->session,
        .group = config->group,
        .rank = (int)config->rank,
        .threads = (int)config->data_threads,
        .connection_limit = (int)config->connection_limit,
        .message_limit = config->message_limit,
        .io_timeout_ms = (int)config->io_timeout_ms,
        .shared_memory = config->shared_memory,
    };
    int port = 0, code;

    memcpy(data.key, config->data_key.data, ALCHI_KEY_SIZE);
    code = alchi_data_server_start(&data, &rank->data, &port, err);
    explicit_bzero(data.key, sizeof(data.key));
    if (!code)
        report_stage(rank, ALCHW__JOIN_STAGE__JOIN_READY, port);
    return code;
}

static int
join_group(rank_t *rank, alch_error_t *err)
{
    int code = join_driver(rank, err);

    if (!code)
        code = alchi_rank_join_mpi(rank->config, &rank->comm, err);
    if (!code) {
        report_stage(rank, ALCHW__JOIN_STAGE__JOIN_MPI, 0);
        code = start_plugins(rank, err);
    }
    if (!code)
        code = start_data_server(rank, err);
    return code;
}

/* If another rank has already exited, MPI_Finalize() may not return. The control thread then ends the process. */
static _Noreturn void
leave_group(rank_t *rank)
{
    alchi_data_server_stop(rank->data);
    alchi_host_plugins_destroy(rank->plugins);
    MPI_Comm_free(&rank->comm);
    MPI_Finalize();
    alchi_log(ALCHI_LOG_DEBUG, "the rank has left its group");
    fflush(NULL);
    _exit(EXIT_SUCCESS);
}

static alchi_rank_migrate_env_t
migrate_env(const rank_t *rank, char *name, size_t size)
{
    const Alchw__WorkerConfig *config = rank->config;

    snprintf(name, size, "worker-%03u", config->slot);
    return (alchi_rank_migrate_env_t){.store = rank->store,
                                      .driver_address = config->driver_address,
                                      .control_key = config->control_key.data,
                                      .session = config->session,
                                      .name = name,
                                      .rank = (int)config->rank,
                                      .message_limit = config->message_limit,
                                      .io_timeout_ms = config->io_timeout_ms > 0 ? (int)config->io_timeout_ms : 60000};
}

int
alchi_rank_main(void)
{
    alch_error_t err = {ALCH_OK, -1, ""};
    rank_t rank = {.comm = MPI_COMM_NULL};
    alchi_rank_runner_t runner;
    char name[32];
    int code = alchi_rank_join_config(&rank.config, &err);

    if (code) {
        fprintf(stderr, "alchemistd: %s\n", err.text);
        return code;
    }
    start_log(rank.config);
    code = join_group(&rank, &err);
    if (code) {
        alchi_log(ALCHI_LOG_ERROR, "cannot join group %llu: %s", (unsigned long long)rank.config->group, err.text);
        if (rank.control)
            alchi_rank_control_send_error(rank.control, 0, &err);
        fflush(NULL);
        _exit(code);
    }
    alchi_log(ALCHI_LOG_DEBUG, "rank %u of %u of group %llu is ready", rank.config->rank, rank.config->size,
              (unsigned long long)rank.config->group);
    runner = (alchi_rank_runner_t){.queue = rank.queue,
                                   .control = rank.control,
                                   .store = rank.store,
                                   .plugins = rank.plugins,
                                   .comm = rank.comm,
                                   .migrate = migrate_env(&rank, name, sizeof(name))};
    alchi_rank_runner_run(&runner);
    leave_group(&rank);
}
