/* Read this rank's part of a matrix from the ranks of another group. */
#include "worker/migrate.h"
#include "base/error.h"
#include "layout/overlap.h"
#include "net/address.h"
#include "net/auth.h"
#include "pack/product.h"
#include "wire/layout_message.h"
#include <alchemist/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX 4               /* maximum number of messages in flight */
#define DIRECT_MIN ((size_t)32 << 10) /* shorter runs are received into a buffer and then copied, which is cheaper */
#define CONNECT_MS 10000
#define CANCEL_POLL_MS 200 /* a cancel is noticed within this time */

typedef struct {
    const alchi_rank_migrate_env_t *env;
    const Alchw__WorkerFetch *request;
    const alchi_rank_migrate_watch_t *watch;
    alchi_store_part_t *part;
    alchi_layout_t from; /* layout of the matrix in the other group */
    uint8_t *scratch;
    int64_t entries, done; /* of the part */

    /* of the worker from which this rank reads now */
    int source;
    char where[320];
    alchi_channel_t *channel;
    alchi_deadline_t deadline;
    alchi_overlap_splitter_t splitter;
    bool exhausted;
    alchi_overlap_t in_flight[IN_FLIGHT_MAX]; /* a ring: replies come in the order of requests. Side a is this part */
    int first, count;
    uint64_t last_id; /* ids are consecutive */

    /* of the message that is being received */
    alchi_product_t product;
    size_t left;  /* bytes that are still to be received */
    bool direct;  /* its runs are long, so they are received in place */
    uint8_t *run; /* if direct: where the next bytes go */
    size_t run_left;
} migration_t;

/* ---- waiting ---- */

static void
reset_deadline(migration_t *m)
{
    m->deadline = alchi_deadline_in_ms(m->env->io_timeout_ms);
}

static bool
is_canceled(const migration_t *m)
{
    return m->watch->cancel && atomic_load(m->watch->cancel);
}

static int
wait_for_stream(const migration_t *m, short events, alch_error_t *err)
{
    for (;;) {
        alchi_deadline_t poll_end = alchi_deadline_in_ms(CANCEL_POLL_MS);

        if (is_canceled(m))
            return alchi_error_set(err, ALCH_ECANCELED, "the migration was canceled");
        if (alchi_deadline_left_ms(m->deadline) == 0)
            return alchi_error_set(err, ALCH_ETIMEDOUT, "%s made no progress for %g s (--io-timeout)", m->where,
                                   m->env->io_timeout_ms * 1e-3);
        if (alchi_stream_wait(alchi_channel_stream(m->channel), events,
                              poll_end < m->deadline ? poll_end : m->deadline) == ALCH_OK)
            return ALCH_OK;
    }
}

static int
connection_error(const migration_t *m, int code, alch_error_t *err)
{
    const char *fault = alchi_channel_fault(m->channel);

    if (code == ALCH_ECONNECT)
        return alchi_error_set(err, code, "the connection to %s was lost", m->where);
    return alchi_error_set(err, code, "%s: %s", m->where, fault[0] ? fault : alch_strerror(code));
}

/* ---- connecting ---- */

static int
check_source(const migration_t *m, const Alchw__Source *source, alchi_address_t *address, alch_error_t *err)
{
    int code = alchi_address_parse(m->env->driver_address, ALCH_DEFAULT_PORT, address, err);

    if (code)
        return code;
    if (source->key.len != ALCHI_KEY_SIZE || source->port < 1 || source->port > 65535)
        return alchi_error_set(err, ALCH_EINVAL, "the driver named no valid port or key of rank %d of the other group",
                               m->source);
    if (source->address && *source->address)
        snprintf(address->host, sizeof(address->host), "%s", source->address);
    address->port = (int)source->port;
    return ALCH_OK;
}

static int
open_channel(migration_t *m, const alchi_address_t *address, const uint8_t *key, alch_error_t *err)
{
    const alchi_claim_t claim = {ALCHI_ROLE_DATA, m->env->session, m->request->matrix->group, m->source};
    alchi_deadline_t deadline = alchi_deadline_in_ms(CONNECT_MS);
    alchi_granted_t granted;
    int fd, code = alchi_connect(address, deadline, &fd, err);

    if (code)
        return code;
    m->channel = alchi_channel_create(alchi_stream_create(fd));
    if (!m->channel)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a migration");
    return alchi_authenticate(m->channel, &claim, key, m->env->name, ALCHI_PAYLOAD_MAX, deadline, &granted, err);
}

static void
close_channel(migration_t *m)
{
    alchi_channel_destroy(m->channel);
    m->channel = NULL;
}

static int
connect_to_source(migration_t *m, alch_error_t *err)
{
    const Alchw__Source *source = m->request->sources[m->source];
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t detail = {0};
    alchi_address_t address;
    char text[300];
    int code = check_source(m, source, &address, err);

    if (code)
        return code;
    snprintf(m->where, sizeof(m->where), "worker %u at %s", source->slot,
             alchi_address_format(&address, text, sizeof(text)));
    alchi_key_wrap(m->env->control_key, m->request->matrix->group, m->source, source->key.data, key);
    code = open_channel(m, &address, key, &detail);
    explicit_bzero(key, sizeof(key));
    m->first = m->count = 0;
    m->last_id = 0;
    reset_deadline(m);
    return code ? alchi_error_set(err, code, "%s: %s", m->where, detail.text) : ALCH_OK;
}

/* ---- requests ---- */

static void
describe_axes(const alchi_store_part_t *part, Alchw__Axes *axes)
{
    const alchi_axis_t *rows = &part->rows, *cols = &part->cols;

    alchi_wire_axes_out((int64_t[]){rows->block, rows->period, rows->first},
                        (int64_t[]){cols->block, cols->period, cols->first}, axes);
}

static int
send_request(migration_t *m, const alchi_overlap_t *overlap)
{
    Alchw__DataRead request = ALCHW__DATA_READ__INIT;
    Alchw__Rect rect;
    Alchw__Axes axes;

    describe_axes(m->part, &axes);
    alchi_wire_rect_out(&overlap->local, &rect);
    request.has_matrix = request.has_version = request.has_written = true;
    request.matrix = m->part->id;
    request.version = m->part->version;
    request.written = !m->request->complete;
    request.rect = &rect;
    request.axes = &axes;
    m->in_flight[(m->first + m->count++) % IN_FLIGHT_MAX] = *overlap;
    return alchi_channel_send(m->channel, ALCHI_DATA_READ, 0, ++m->last_id, &request);
}

static int
send_requests(migration_t *m, alch_error_t *err)
{
    alchi_overlap_t overlap;
    int code = ALCH_OK;

    if (is_canceled(m))
        return alchi_error_set(err, ALCH_ECANCELED, "the migration was canceled");
    while (!code && m->count < IN_FLIGHT_MAX && !m->exhausted) {
        m->exhausted = !alchi_overlap_splitter_next(&m->splitter, &overlap);
        if (!m->exhausted)
            code = send_request(m, &overlap);
    }
    while (!code && alchi_channel_wants_write(m->channel)) {
        code = alchi_channel_flush(m->channel);
        if (code == ALCH_EAGAIN && (code = wait_for_stream(m, POLLOUT, err)))
            return code;
    }
    return code ? connection_error(m, code, err) : ALCH_OK;
}

/* ---- receiving ---- */

static int
receive_frame(migration_t *m, alchi_frame_t *frame, ProtobufCMessage **message_p, alch_error_t *err)
{
    for (;;) {
        int code = alchi_channel_receive(m->channel, frame, message_p);

        if (code == ALCH_OK)
            return code;
        if (code != ALCH_EAGAIN)
            return connection_error(m, code, err);
        if ((code = wait_for_stream(m, POLLIN, err)))
            return code;
    }
}

/* Receive up to `size` bytes of payload into the part. @return as alchi_channel_read_payload() */
static ssize_t
receive_payload(migration_t *m, size_t size)
{
    ssize_t n;

    if (!m->direct) {
        n = alchi_channel_read_payload(m->channel, m->scratch,
                                       size < ALCHI_RANK_MIGRATE_BYTES ? size : ALCHI_RANK_MIGRATE_BYTES);
        if (n > 0)
            alchi_product_put(&m->product, m->scratch, (size_t)n);
        return n;
    }
    if (m->run_left == 0)
        m->run = alchi_product_next_bytes(&m->product, m->left, &m->run_left);
    n = alchi_channel_read_payload(m->channel, m->run, size < m->run_left ? size : m->run_left);
    if (n > 0) {
        m->run += n;
        m->run_left -= (size_t)n;
    }
    return n;
}

static int
receive_frame_payload(migration_t *m, const alchi_frame_t *frame, alch_error_t *err)
{
    size_t size = frame->payload;
    int code;

    while (size > 0) {
        ssize_t n = receive_payload(m, size);

        if (n < 0)
            return connection_error(m, ALCH_ECONNECT, err);
        if (n == 0) {
            if ((code = wait_for_stream(m, POLLIN, err)))
                return code;
            continue;
        }
        size -= (size_t)n;
        m->left -= (size_t)n;
        reset_deadline(m);
    }
    return ALCH_OK;
}

static int
check_frame(const migration_t *m, const alchi_frame_t *frame, const void *message, bool begun, alch_error_t *err)
{
    const Alchw__Error *error = message;

    if (frame->type == ALCHI_ERROR)
        return alchi_error_set(err, alchi_message_code(error), "%s: %s", m->where,
                               error && error->text ? error->text : "it gave no reason");
    if (frame->type != ALCHI_DATA_BLOCK || frame->id != m->last_id - (uint64_t)m->count + 1 ||
        (message == NULL) != begun || frame->payload == 0 || frame->payload > m->left ||
        !(frame->flags & ALCHI_FRAME_MORE) != (frame->payload == m->left))
        return alchi_error_set(err, ALCH_EPROTO, "%s sent a %s that does not match the request", m->where,
                               alchi_message_name(frame->type));
    return ALCH_OK;
}

/* ---- written entries ---- */

/* Mark the entries of a message as written. A complete matrix is marked as a whole at the end. */
static int
mark_written(const migration_t *m, const alchi_overlap_t *overlap, const Alchw__DataBlock *block, alch_error_t *err)
{
    alchi_intersect_t rows = alchi_intersect_swapped(&overlap->rows), cols = alchi_intersect_swapped(&overlap->cols);
    int code;

    if (m->request->complete)
        return ALCH_OK;
    if (block->has_mask && block->mask.len < (size_t)(overlap->entries + 7) / 8)
        return alchi_error_set(err, ALCH_EPROTO, "%s sent a mask of %zu bytes for the %lld entries of a message",
                               m->where, block->mask.len, (long long)overlap->entries);
    code = block->has_mask ? alchi_store_part_mark_mask(m->part, &rows, &cols, block->mask.data)
                           : alchi_store_part_mark_set(m->part, &rows, &cols);
    return code ? alchi_error_set(err, code, "the rank is out of memory for the set of written entries") : ALCH_OK;
}

/* ---- messages ---- */

static void
begin_message(migration_t *m, const alchi_overlap_t *overlap)
{
    alchi_store_part_t *part = m->part;
    alchi_strided_run_t run = {0};

    alchi_intersect_next(&overlap->rows, overlap->rows.begin, &run);
    alchi_product_init(&m->product, &overlap->rows, &overlap->cols, ALCHI_PRODUCT_SIDE_A, part->data, part->lld,
                       part->entry);
    m->left = (size_t)overlap->entries * part->entry;
    m->direct = (size_t)run.length * part->entry >= DIRECT_MIN;
    m->run_left = 0;
}

/* Receive the oldest message in flight. */
static int
receive_message(migration_t *m, alch_error_t *err)
{
    const alchi_overlap_t *overlap = &m->in_flight[m->first];
    ProtobufCMessage *block = NULL;
    int code = ALCH_OK;

    begin_message(m, overlap);
    while (!code && m->left > 0) {
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;

        if ((code = receive_frame(m, &frame, &message, err)))
            break;
        code = check_frame(m, &frame, message, block != NULL, err);
        if (!code && !block) {
            block = message;
            message = NULL;
        }
        alchi_message_free(message);
        if (!code)
            code = receive_frame_payload(m, &frame, err);
    }
    if (!code)
        code = mark_written(m, overlap, (const Alchw__DataBlock *)block, err);
    alchi_message_free(block);
    m->done += overlap->entries;
    m->first = (m->first + 1) % IN_FLIGHT_MAX;
    m->count--;
    return code;
}

/* Split the overlap of this part and the source's part into messages. If the matrix has replicas, this rank reads all
 * entries from one replica. @return false: this rank reads nothing from the source */
static bool
split_overlap(migration_t *m)
{
    int64_t limit = ALCHI_MASK_ENTRIES;
    alchi_intersect_t rows, cols;
    alchi_axis_t row_axis, col_axis;
    int replica, row, col;

    if (!alchi_layout_place(&m->from, m->source, &replica, &row, &col) || replica != m->env->rank % m->from.replicas)
        return false;
    alchi_layout_axes(&m->from, row, col, &row_axis, &col_axis);
    alchi_intersect_init(&rows, &m->part->rows, &row_axis, 0, m->from.m);
    alchi_intersect_init(&cols, &m->part->cols, &col_axis, 0, m->from.n);
    if (alchi_intersect_count(&rows) == 0 || alchi_intersect_count(&cols) == 0)
        return false;
    if (m->env->message_limit > 0 && m->env->message_limit / (int64_t)m->part->entry < limit)
        limit = m->env->message_limit / (int64_t)m->part->entry;
    alchi_overlap_splitter_init(&m->splitter, &rows, &cols, limit > 1 ? limit : 1);
    m->exhausted = false;
    return true;
}

static int
read_source(migration_t *m, alch_error_t *err)
{
    int code = connect_to_source(m, err);

    while (!code && !(code = send_requests(m, err)) && m->count > 0) {
        code = receive_message(m, err);
        if (!code && m->watch->progress)
            m->watch->progress(m->watch->context, (double)m->done / (double)m->entries);
    }
    close_channel(m);
    return code;
}

/* Each rank begins with a different source, so that the sources share the load. */
static int
read_all(migration_t *m, alch_error_t *err)
{
    int code = ALCH_OK, count = (int)m->request->n_sources;

    for (int k = 0; k < count && !code; k++) {
        m->source = (m->env->rank + k) % count;
        if (split_overlap(m))
            code = read_source(m, err);
    }
    if (!code && m->request->complete)
        alchi_store_part_mark_written(m->part);
    return code;
}

static int
prepare_part(migration_t *m, alch_error_t *err)
{
    const Alchw__Matrix *matrix = m->request->matrix;
    alch_layout_t spec;
    int code;

    if (!matrix || !matrix->layout || matrix->workers < 1 || matrix->workers != m->request->n_sources)
        return alchi_error_set(err, ALCH_EPROTO,
                               "the driver sent a migration without a layout, or without all workers of the matrix");
    spec = alchi_wire_layout_in(matrix->layout);
    if ((code = alchi_store_acquire(m->env->store, matrix->id, &m->part, err)))
        return code;
    if (matrix->rows != m->part->layout.m || matrix->cols != m->part->layout.n ||
        matrix->dtype != (uint32_t)m->part->dtype)
        return alchi_error_set(err, ALCH_EPROTO, "matrix %llu has a different shape or type in this group",
                               (unsigned long long)matrix->id);
    code = alchi_layout_init(&m->from, matrix->rows, matrix->cols, (int)matrix->workers, &spec, err);
    if (!code && !(m->scratch = malloc(ALCHI_RANK_MIGRATE_BYTES)))
        code = alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a migration");
    return code;
}

int
alchi_rank_migrate(const alchi_rank_migrate_env_t *env, const Alchw__WorkerFetch *request,
                   const alchi_rank_migrate_watch_t *watch, alch_error_t *err)
{
    migration_t *m = calloc(1, sizeof(*m));
    int code;

    if (!m)
        return alchi_error_set(err, ALCH_ENOMEM, "the rank is out of memory for a migration");
    m->env = env;
    m->request = request;
    m->watch = watch;
    code = prepare_part(m, err);
    if (!code) {
        m->entries = m->part->local_m * m->part->local_n;
        if (m->entries > 0)
            code = read_all(m, err);
    }
    free(m->scratch);
    alchi_layout_fini(&m->from);
    alchi_store_release(env->store, m->part);
    free(m);
    return code;
}
