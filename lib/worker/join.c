/* How a rank joins its group: see join.h. */
#include "worker/join.h"
#include "base/error.h"
#include "base/util.h"
#include "net/address.h"
#include "net/auth.h"
#include <alchemist/session.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define CONNECT_MS 15000 /* to connect to the driver and authenticate */

/* The descriptor is a memfd or a pipe. The position of a memfd is where the writer left it, so read it with pread(). */
static ssize_t
read_config(int fd, uint8_t *bytes, size_t size)
{
    bool seekable = lseek(fd, 0, SEEK_CUR) >= 0;
    size_t got = 0;

    while (got < size) {
        ssize_t n = seekable ? pread(fd, bytes + got, size - got, (off_t)got) : read(fd, bytes + got, size - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int
check_config(const Alchw__WorkerConfig *config, alch_error_t *err)
{
    if (!config->driver_address || !config->has_listen_fd || !config->has_rank || config->size == 0 ||
        config->size > INT32_MAX || config->rank >= config->size)
        return alchi_error_set(
            err, ALCH_EPROTO,
            "the rank's configuration (rank %u of %u) has no driver address, no listening socket or no valid rank",
            config->rank, config->size);
    if (config->control_key.len != ALCHI_KEY_SIZE || config->data_key.len != ALCHI_KEY_SIZE)
        return alchi_error_set(err, ALCH_EPROTO, "the rank's configuration has no valid key");
    return ALCH_OK;
}

static int
load_config(int fd, Alchw__WorkerConfig **config_p, alch_error_t *err)
{
    uint8_t *bytes = malloc(CONFIG_MAX);
    Alchw__WorkerConfig *config;
    ssize_t size;
    int code;

    if (!bytes)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for its configuration");
    size = read_config(fd, bytes, CONFIG_MAX);
    if (size < 0) {
        code = alchi_error_errno(err, errno, "cannot read the rank's configuration from descriptor %d", fd);
        free(bytes);
        return code;
    }
    config = alchw__worker_config__unpack(NULL, (size_t)size, bytes);
    explicit_bzero(bytes, (size_t)size);
    free(bytes);
    if (!config)
        return alchi_error_set(err, ALCH_EPROTO, "the rank's configuration is malformed");
    code = check_config(config, err);
    if (code)
        alchi_message_free(config);
    else
        *config_p = config;
    return code;
}

int
alchi_rank_join_config(Alchw__WorkerConfig **config_p, alch_error_t *err)
{
    const char *text = getenv(ALCHI_RANK_FD_ENV);
    int64_t fd;
    int code;

    if (!text || !alchi_parse_int64(text, 0, INT32_MAX, &fd))
        return alchi_error_set(err, ALCH_ESTATE, "--rank is for processes that an agent starts, and %s is not set",
                               ALCHI_RANK_FD_ENV);
    code = load_config((int)fd, config_p, err);
    close((int)fd);
    unsetenv(ALCHI_RANK_FD_ENV);
    return code;
}

int
alchi_rank_join_driver(const Alchw__WorkerConfig *config, alchi_channel_t **channel_p, alch_error_t *err)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(CONNECT_MS);
    alchi_claim_t claim = {ALCHI_ROLE_RANK, config->session, config->group, (int)config->rank};
    alchi_granted_t granted;
    alchi_address_t address;
    alchi_channel_t *channel;
    char name[32];
    int fd, code;

    code = alchi_address_parse(config->driver_address, ALCH_DEFAULT_PORT, &address, err);
    if (!code)
        code = alchi_connect(&address, deadline, &fd, err);
    if (code)
        return code;
    channel = alchi_channel_create(alchi_stream_create(fd));
    if (!channel)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for its connection to the driver");
    snprintf(name, sizeof(name), "worker-%03u", config->slot);
    code = alchi_authenticate(channel, &claim, config->control_key.data, name, 0, deadline, &granted, err);
    if (code)
        alchi_channel_destroy(channel);
    else
        *channel_p = channel;
    return code;
}

static int
mpi_error(int code, const char *call, alch_error_t *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;

    MPI_Error_string(code, text, &length);
    return alchi_error_set(err, ALCH_EGROUP, "%s failed: %s", call, text);
}

int
alchi_rank_join_mpi(const Alchw__WorkerConfig *config, MPI_Comm *comm_p, alch_error_t *err)
{
    int provided, size, rank, code;

    code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code)
        return mpi_error(code, "MPI_Init_thread", err);
    if (provided < MPI_THREAD_FUNNELED)
        return alchi_error_set(err, ALCH_EUNSUPPORTED,
                               "this MPI offers thread level %d, but MPI_THREAD_FUNNELED is needed", provided);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (size != (int)config->size || rank != (int)config->rank)
        return alchi_error_set(err, ALCH_EGROUP,
                               "MPI made this process rank %d of %d instead of rank %u of %u: is the library or the "
                               "launcher of another MPI in use?",
                               rank, size, config->rank, config->size);
    code = MPI_Comm_dup(MPI_COMM_WORLD, comm_p);
    if (code)
        return mpi_error(code, "MPI_Comm_dup", err);
    MPI_Comm_set_errhandler(*comm_p, MPI_ERRORS_RETURN);
    return ALCH_OK;
}
