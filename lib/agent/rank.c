/* One rank: its descriptors, its output, its PMI-1 connection, its end, and its start. */
#include "agent/agent_impl.h"
#include "agent/environment.h"

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/address.h"
#include "wire/exit_text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (64u << 10)  /* bytes per read(); a pipe on Linux holds as many by default */
#define LAST_OUTPUT (1u << 20) /* bytes of output that the agent reads at most after a rank has ended */

/* The descriptors that a child inherits. The agent closes its copies after the fork. */
typedef struct {
    int config, pmi, output;
} child_fds_t;

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- descriptors ---- */

/* Write the configuration that the child reads. It contains keys, so it is in a memfd, which has no path in a file
 * system. Returns the descriptor, or -1. */
static int
write_config(const Alchw__WorkerConfig *given, const char *driver_address, int listen_fd)
{
    Alchw__WorkerConfig config = *given;
    size_t size;
    uint8_t *bytes;
    int fd = -1;

    config.driver_address = (char *)driver_address;
    config.has_listen_fd = 1;
    config.listen_fd = (uint32_t)listen_fd;
    size = alchw__worker_config__get_packed_size(&config);
    bytes = malloc(size + 1);
    if (!bytes)
        return -1;
    alchw__worker_config__pack(&config, bytes);
    fd = alchi_agent_move_fd_above_stdio(memfd_create("alchemist-worker", MFD_CLOEXEC));
    if (fd >= 0 && (write(fd, bytes, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0))
        close_fd(&fd);
    explicit_bzero(bytes, size);
    free(bytes);
    return fd;
}

static int
open_pmi_socket(int *agent_end_p, int *child_end_p)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    *agent_end_p = fds[0];
    *child_end_p = alchi_agent_move_fd_above_stdio(fds[1]);
    return *child_end_p < 0 ? -1 : fcntl(*agent_end_p, F_SETFL, O_NONBLOCK);
}

static int
open_output_pipe(int *agent_end_p, int *child_end_p)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    *agent_end_p = fds[0];
    *child_end_p = alchi_agent_move_fd_above_stdio(fds[1]);
    return *child_end_p < 0 ? -1 : fcntl(*agent_end_p, F_SETFL, O_NONBLOCK);
}

/* ---- output ---- */

static void
log_line(void *context, const char *line)
{
    const alchi_agent_rank_t *rank = context;
    char who[32];

    snprintf(who, sizeof(who), "worker-%03u", rank->worker);
    alchi_log_output(who, line);
}

/* Returns the number of bytes read; 0: no bytes are there now; -1: the output has ended. */
static ssize_t
read_output(alchi_agent_rank_t *rank)
{
    char bytes[READ_SIZE];
    ssize_t n;

    do
        n = read(rank->output_fd, bytes, sizeof(bytes));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    alchi_agent_lines_feed(&rank->lines, bytes, (size_t)n, log_line, rank);
    return n;
}

static void
close_output(alchi_agent_rank_t *rank)
{
    alchi_agent_watch_close(rank->output_watch);
    rank->output_watch = NULL;
    close_fd(&rank->output_fd);
}

static void
on_output(void *context, int events)
{
    alchi_agent_rank_t *rank = context;

    (void)events;
    if (read_output(rank) < 0)
        close_output(rank);
}

/* ---- PMI ---- */

static void
close_pmi(alchi_agent_rank_t *rank)
{
    alchi_agent_watch_close(rank->pmi_watch);
    rank->pmi_watch = NULL;
    close_fd(&rank->pmi_fd);
}

/* A PMI-1 client sends one command and waits for the answer, so there is room for the answer in the socket. If there is
 * none, the client is faulty, and the agent closes the connection. */
static void
send_to_pmi_client(alchi_agent_rank_t *rank, const void *bytes, size_t size)
{
    if (rank->pmi_fd >= 0 && size && send(rank->pmi_fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size)
        close_pmi(rank);
}

/* Returns false if the connection must be closed. */
static bool
handle_pmi_event(alchi_agent_rank_t *rank, alchi_agent_pmi_event_t event)
{
    switch (event) {
    case ALCHI_AGENT_PMI_ENTERED:
        if (rank->in_barrier)
            return false;
        rank->in_barrier = true;
        alchi_agent_group_enter_barrier(rank->group);
        return true;
    case ALCHI_AGENT_PMI_ABORTED:
        rank->aborted = true;
        /* MPI_Abort waits for this signal. It would return if it got an answer. */
        alchi_agent_child_signal(&rank->child, SIGKILL);
        return true;
    case ALCHI_AGENT_PMI_MALFORMED:
        return false;
    default:
        return true;
    }
}

static bool
serve_pmi(alchi_agent_rank_t *rank)
{
    alchi_agent_pmi_event_t event;
    alchi_buf_t reply;
    bool good;

    alchi_buf_init(&reply);
    do {
        event = alchi_agent_pmi_serve_lines(rank->group->pmi, &rank->pmi_client, &rank->pmi_in, &reply);
        good = handle_pmi_event(rank, event);
    } while (good && event != ALCHI_AGENT_PMI_NONE);
    send_to_pmi_client(rank, alchi_buf_bytes(&reply), alchi_buf_size(&reply));
    alchi_buf_fini(&reply);
    if (!good)
        alchi_log(ALCHI_LOG_WARNING, "worker %u broke the PMI-1 protocol, and the agent closes its PMI connection",
                  rank->worker);
    return good;
}

/* Returns whether bytes were read. */
static bool
read_pmi(alchi_agent_rank_t *rank)
{
    uint8_t *room = alchi_buf_reserve(&rank->pmi_in, ALCHI_AGENT_PMI_LINE_MAX);
    ssize_t n;

    if (rank->pmi_fd < 0)
        return false;
    do
        n = room ? recv(rank->pmi_fd, room, ALCHI_AGENT_PMI_LINE_MAX, MSG_DONTWAIT) : 0;
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n > 0)
        alchi_buf_commit(&rank->pmi_in, (size_t)n);
    if (n <= 0 || !serve_pmi(rank))
        close_pmi(rank);
    return n > 0;
}

static void
on_pmi(void *context, int events)
{
    (void)events;
    read_pmi(context);
}

void
alchi_agent_rank_leave_barrier(alchi_agent_rank_t *rank)
{
    static const char out[] = "cmd=barrier_out\n";

    if (!rank->in_barrier)
        return;
    rank->in_barrier = false;
    send_to_pmi_client(rank, out, sizeof(out) - 1);
}

/* ---- ending ---- */

static void
send_exit(const alchi_agent_rank_t *rank, Alchw__RankExit *rank_exit)
{
    char *last[ALCHI_AGENT_LINES_KEPT], text[256];

    rank_exit->has_group = rank_exit->has_rank = 1;
    rank_exit->group = rank->group->id;
    rank_exit->rank = (uint32_t)rank->rank;
    rank_exit->has_aborted = rank_exit->has_abort_code = 1;
    rank_exit->aborted = rank->aborted;
    rank_exit->abort_code = rank->pmi_client.abort_code;
    rank_exit->n_lines = alchi_agent_lines_last(&rank->lines, last);
    rank_exit->lines = last;
    alchi_log(ALCHI_LOG_DEBUG, "rank %d of group %llu (worker %u) %s", rank->rank, (unsigned long long)rank->group->id,
              rank->worker, alchi_exit_text(rank_exit, text, sizeof(text)));
    alchi_agent_send(rank->group->agent, ALCHI_RANK_EXIT, rank_exit);
}

static void
report_end(alchi_agent_rank_t *rank, const alchi_agent_child_end_t *end)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;
    char text[512] = "";

    rank_exit.has_signal = rank_exit.has_exit_code = 1;
    rank_exit.signal = rank->aborted ? 0 : (uint32_t)end->signal; /* the agent sent that signal */
    rank_exit.exit_code = rank->aborted ? rank->pmi_client.abort_code : end->code;
    if (end->not_run)
        snprintf(text, sizeof(text), "could not be started: cannot run %s: %s", rank->group->agent->exe,
                 strerror(end->reason));
    else if (end->lost)
        snprintf(text, sizeof(text), "ended, but the agent could not learn its exit code");
    alchi_utf8_clean(text);
    rank_exit.text = text[0] ? text : NULL;
    send_exit(rank, &rank_exit);
}

void
alchi_agent_rank_report_refusal(const alchi_agent_rank_t *rank, const char *why)
{
    Alchw__RankExit rank_exit = ALCHW__RANK_EXIT__INIT;
    char text[ALCH_ERROR_TEXT_MAX + 32];

    snprintf(text, sizeof(text), "could not be started: %s", why);
    alchi_utf8_clean(text);
    rank_exit.has_exit_code = 1;
    rank_exit.exit_code = 127;
    rank_exit.text = text;
    send_exit(rank, &rank_exit);
}

/* Before it ended, the rank may have called MPI_Abort and printed lines: read the rest of the socket and of the pipe.
 */
static void
read_remaining_pmi_and_output(alchi_agent_rank_t *rank)
{
    size_t total = 0;
    ssize_t n;

    while (read_pmi(rank))
        ;
    while (rank->output_fd >= 0 && total < LAST_OUTPUT && (n = read_output(rank)) > 0)
        total += (size_t)n;
    alchi_agent_lines_flush(&rank->lines, log_line, rank);
}

static void
on_end(void *context, int events)
{
    alchi_agent_rank_t *rank = context;
    alchi_agent_group_t *group = rank->group;
    alchi_agent_child_end_t end;

    (void)events;
    if (!alchi_agent_child_has_ended(&rank->child))
        return;
    /* This also kills the children of the rank, which could continue to write to the pipe. */
    alchi_agent_child_signal(&rank->child, SIGKILL);
    read_remaining_pmi_and_output(rank);
    alchi_agent_watch_close(rank->end_watch);
    rank->end_watch = NULL;
    alchi_agent_child_reap(&rank->child, &end);
    rank->running = false;
    report_end(rank, &end);
    alchi_agent_rank_fini(rank);
    alchi_agent_group_rank_ended(group);
}

/* ---- starting ---- */

void
alchi_agent_rank_init(alchi_agent_rank_t *rank, alchi_agent_group_t *group, const Alchw__SpawnRank *spawn_rank,
                      int size)
{
    alchi_agent_t *agent = group->agent;

    *rank = (alchi_agent_rank_t){.group = group, .rank = (int)spawn_rank->rank, .size = size};
    rank->worker = spawn_rank->config->slot;
    rank->pmi_fd = rank->output_fd = -1;
    alchi_buf_init(&rank->pmi_in);
    alchi_agent_lines_init(&rank->lines);
    if (spawn_rank->local_slot >= (uint32_t)agent->slot_count || agent->slots[spawn_rank->local_slot].busy)
        return;
    rank->slot = &agent->slots[spawn_rank->local_slot];
    rank->slot->busy = true;
}

static int
open_child_fds(alchi_agent_rank_t *rank, const Alchw__WorkerConfig *config, child_fds_t *fds, alch_error_t *err)
{
    fds->config = write_config(config, rank->group->agent->driver_address, rank->slot->fd);
    if (fds->config < 0)
        return alchi_error_errno(err, errno, "the agent cannot write the rank's configuration");
    if (open_pmi_socket(&rank->pmi_fd, &fds->pmi) != 0 || open_output_pipe(&rank->output_fd, &fds->output) != 0)
        return alchi_error_errno(err, errno, "the agent cannot create the rank's PMI socket and output pipe");
    return ALCH_OK;
}

static int
fork_rank(alchi_agent_rank_t *rank, const child_fds_t *fds, char *const *extra, size_t extra_count, alch_error_t *err)
{
    const alchi_agent_t *agent = rank->group->agent;
    alchi_agent_environment_t place = {rank->rank, rank->size, fds->pmi, fds->config, 1};
    int keep[] = {fds->pmi, fds->config, rank->slot->fd};
    char *argv[] = {"alchemistd", "--rank", NULL};
    alchi_agent_child_options_t spawn = {.exe = agent->exe, .argv = argv, .output_fd = fds->output, .keep = keep};
    char **environment;
    int code;

    if (agent->cores > agent->slot_count)
        place.threads = agent->cores / agent->slot_count;
    environment = alchi_agent_environment_create(environ, extra, extra_count, &place);
    if (!environment)
        return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory");
    spawn.environment = environment;
    spawn.keep_count = ALCHI_COUNT(keep);
    code = alchi_agent_child_start(&spawn, &rank->child, err);
    alchi_agent_environment_free(environment);
    rank->running = code == ALCH_OK;
    return code;
}

static int
watch_rank(alchi_agent_rank_t *rank, alch_error_t *err)
{
    uv_loop_t *loop = rank->group->agent->loop;

    rank->end_watch = alchi_agent_watch_open(loop, rank->child.pidfd, UV_READABLE, on_end, rank);
    rank->pmi_watch = alchi_agent_watch_open(loop, rank->pmi_fd, UV_READABLE, on_pmi, rank);
    rank->output_watch = alchi_agent_watch_open(loop, rank->output_fd, UV_READABLE, on_output, rank);
    if (rank->end_watch && rank->pmi_watch && rank->output_watch)
        return ALCH_OK;
    return alchi_error_set(err, ALCH_ENOMEM, "the agent is out of memory");
}

int
alchi_agent_rank_start(alchi_agent_rank_t *rank, const Alchw__SpawnRank *spawn_rank, char *const *environment,
                       size_t environment_count, alch_error_t *err)
{
    child_fds_t fds = {-1, -1, -1};
    int code;

    if (!rank->slot)
        return alchi_error_set(err, ALCH_EBUSY,
                               "slot %u of the agent is in use or does not exist (the agent has %d slots)",
                               spawn_rank->local_slot, rank->group->agent->slot_count);
    code = open_child_fds(rank, spawn_rank->config, &fds, err);
    if (code == ALCH_OK)
        code = fork_rank(rank, &fds, environment, environment_count, err);
    if (code == ALCH_OK)
        code = watch_rank(rank, err);
    close_fd(&fds.config);
    close_fd(&fds.pmi);
    close_fd(&fds.output);
    return code;
}

void
alchi_agent_rank_fini(alchi_agent_rank_t *rank)
{
    alchi_agent_child_end_t end;

    alchi_agent_watch_close(rank->end_watch);
    rank->end_watch = NULL;
    close_pmi(rank);
    close_output(rank);
    if (rank->running)
        alchi_agent_child_reap(&rank->child, &end);
    rank->running = false;
    if (rank->slot) {
        alchi_unlisten(rank->slot->fd);
        rank->slot->busy = false;
        rank->slot = NULL;
    }
    alchi_buf_fini(&rank->pmi_in);
    alchi_agent_lines_fini(&rank->lines);
}
