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

#define FLIGHTS 4                     /* messages that are asked for ahead */
#define DIRECT_MIN ((size_t)32 << 10) /* shorter runs are cheaper received together and copied */
#define CONNECT_MS 10000
#define LOOK_MS 200 /* how soon a cancel is seen */

typedef struct {
    const alchi_rank_migrate_env_t *env;
    const Alchw__WorkerFetch *ask;
    const alchi_rank_migrate_watch_t *watch;
    alchi_store_part_t *part;
    alchi_layout_t from; /* the matrix there */
    uint8_t *scratch;
    int64_t entries, done; /* of the part */
    /* with one worker */
    int source;
    char where[320];
    alchi_channel_t *channel;
    alchi_deadline_t deadline;
    alchi_overlap_splitter_t cutter;
    bool exhausted;
    alchi_overlap_t flights[FLIGHTS]; /* side a: this part; a ring: answers come in the order of the requests */
    int first, count;
    uint64_t last_id; /* ids are consecutive */
    /* with the message that arrives */
    alchi_product_t cross;
    size_t left;  /* bytes of it */
    bool direct;  /* its runs are long */
    uint8_t *run; /* where the next bytes go then */
    size_t run_left;
} fetch_t;

/* ---- waiting ---- */

static void
moved(fetch_t *f)
{
    f->deadline = alchi_deadline_in_ms(f->env->io_timeout_ms);
}

static bool
canceled(const fetch_t *f)
{
    return f->watch->cancel && atomic_load(f->watch->cancel);
}

static int
await(const fetch_t *f, short events, alch_error_t *err)
{
    for (;;) {
        alchi_deadline_t look = alchi_deadline_in_ms(LOOK_MS);

        if (canceled(f))
            return alchi_error_set(err, ALCH_ECANCELED, "canceled");
        if (alchi_deadline_left_ms(f->deadline) == 0)
            return alchi_error_set(err, ALCH_ETIMEDOUT, "%s made no progress for %g s (--io-timeout)", f->where,
                                   f->env->io_timeout_ms * 1e-3);
        if (alchi_stream_wait(alchi_channel_stream(f->channel), events, look < f->deadline ? look : f->deadline) ==
            ALCH_OK)
            return ALCH_OK;
    }
}

static int
broken(const fetch_t *f, int code, alch_error_t *err)
{
    const char *fault = alchi_channel_fault(f->channel);

    if (code == ALCH_ECONNECT)
        return alchi_error_set(err, code, "the connection to %s was lost", f->where);
    return alchi_error_set(err, code, "%s: %s", f->where, fault[0] ? fault : alch_strerror(code));
}

/* ---- connecting ---- */

static int
check_source(const fetch_t *f, const Alchw__Source *source, alchi_address_t *address, alch_error_t *err)
{
    int code = alchi_address_parse(f->env->driver_address, ALCH_DEFAULT_PORT, address, err);

    if (code)
        return code;
    if (source->key.len != ALCHI_KEY_SIZE || source->port < 1 || source->port > 65535)
        return alchi_error_set(err, ALCH_EINVAL, "rank %d is to be read from without its port or key", f->source);
    if (source->address && *source->address)
        snprintf(address->host, sizeof(address->host), "%s", source->address);
    address->port = (int)source->port;
    return ALCH_OK;
}

static int
dial(fetch_t *f, const alchi_address_t *address, const uint8_t *key, alch_error_t *err)
{
    const alchi_claim_t claim = {ALCHI_ROLE_DATA, f->env->session, f->ask->matrix->group, f->source};
    alchi_deadline_t deadline = alchi_deadline_in_ms(CONNECT_MS);
    alchi_granted_t granted;
    int fd, code = alchi_connect(address, deadline, &fd, err);

    if (code)
        return code;
    f->channel = alchi_channel_create(alchi_stream_create(fd));
    if (!f->channel)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    return alchi_authenticate(f->channel, &claim, key, f->env->name, ALCHI_PAYLOAD_MAX, deadline, &granted, err);
}

static void
hang_up(fetch_t *f)
{
    alchi_channel_destroy(f->channel);
    f->channel = NULL;
}

static int
connect_to(fetch_t *f, alch_error_t *err)
{
    const Alchw__Source *source = f->ask->sources[f->source];
    uint8_t key[ALCHI_KEY_SIZE];
    alch_error_t detail = {0};
    alchi_address_t address;
    char text[300];
    int code = check_source(f, source, &address, err);

    if (code)
        return code;
    snprintf(f->where, sizeof(f->where), "worker %u at %s", source->slot,
             alchi_address_format(&address, text, sizeof(text)));
    alchi_key_wrap(f->env->control_key, f->ask->matrix->group, f->source, source->key.data, key);
    code = dial(f, &address, key, &detail);
    explicit_bzero(key, sizeof(key));
    f->first = f->count = 0;
    f->last_id = 0;
    moved(f);
    return code ? alchi_error_set(err, code, "%s: %s", f->where, detail.text) : ALCH_OK;
}

/* ---- asking ---- */

static void
to_axes(const alchi_store_part_t *part, Alchw__Axes *axes)
{
    const alchi_axis_t *rows = &part->rows, *cols = &part->cols;

    alchi_wire_axes_out((int64_t[]){rows->block, rows->period, rows->first},
                        (int64_t[]){cols->block, cols->period, cols->first}, axes);
}

static int
ask_one(fetch_t *f, const alchi_overlap_t *common)
{
    Alchw__DataRead request = ALCHW__DATA_READ__INIT;
    Alchw__Rect rect;
    Alchw__Axes axes;

    to_axes(f->part, &axes);
    alchi_wire_rect_out(&common->local, &rect);
    request.has_matrix = request.has_version = request.has_written = true;
    request.matrix = f->part->id;
    request.version = f->part->version;
    request.written = !f->ask->complete;
    request.rect = &rect;
    request.axes = &axes;
    f->flights[(f->first + f->count++) % FLIGHTS] = *common;
    return alchi_channel_send(f->channel, ALCHI_DATA_READ, 0, ++f->last_id, &request);
}

static int
ask_ahead(fetch_t *f, alch_error_t *err)
{
    alchi_overlap_t common;
    int code = ALCH_OK;

    if (canceled(f))
        return alchi_error_set(err, ALCH_ECANCELED, "canceled");
    while (!code && f->count < FLIGHTS && !f->exhausted) {
        f->exhausted = !alchi_overlap_splitter_next(&f->cutter, &common);
        if (!f->exhausted)
            code = ask_one(f, &common);
    }
    while (!code && alchi_channel_wants_write(f->channel)) {
        code = alchi_channel_flush(f->channel);
        if (code == ALCH_EAGAIN && (code = await(f, POLLOUT, err)))
            return code;
    }
    return code ? broken(f, code, err) : ALCH_OK;
}

/* ---- what arrives ---- */

static int
receive(fetch_t *f, alchi_frame_t *frame, ProtobufCMessage **message_p, alch_error_t *err)
{
    for (;;) {
        int code = alchi_channel_receive(f->channel, frame, message_p);

        if (code == ALCH_OK)
            return code;
        if (code != ALCH_EAGAIN)
            return broken(f, code, err);
        if ((code = await(f, POLLIN, err)))
            return code;
    }
}

/* Up to `size` bytes of payload to where they belong. @return as alchi_channel_read_payload() */
static ssize_t
take(fetch_t *f, size_t size)
{
    ssize_t n;

    if (!f->direct) {
        n = alchi_channel_read_payload(f->channel, f->scratch,
                                       size < ALCHI_RANK_MIGRATE_BYTES ? size : ALCHI_RANK_MIGRATE_BYTES);
        if (n > 0)
            alchi_product_put(&f->cross, f->scratch, (size_t)n);
        return n;
    }
    if (f->run_left == 0)
        f->run = alchi_product_next_bytes(&f->cross, f->left, &f->run_left);
    n = alchi_channel_read_payload(f->channel, f->run, size < f->run_left ? size : f->run_left);
    if (n > 0) {
        f->run += n;
        f->run_left -= (size_t)n;
    }
    return n;
}

static int
take_frame(fetch_t *f, const alchi_frame_t *frame, alch_error_t *err)
{
    size_t size = frame->payload;
    int code;

    while (size > 0) {
        ssize_t n = take(f, size);

        if (n < 0)
            return broken(f, ALCH_ECONNECT, err);
        if (n == 0) {
            if ((code = await(f, POLLIN, err)))
                return code;
            continue;
        }
        size -= (size_t)n;
        f->left -= (size_t)n;
        moved(f);
    }
    return ALCH_OK;
}

static int
check_frame(const fetch_t *f, const alchi_frame_t *frame, const void *message, bool begun, alch_error_t *err)
{
    const Alchw__Error *error = message;

    if (frame->type == ALCHI_ERROR)
        return alchi_error_set(err, alchi_message_code(error), "%s: %s", f->where,
                               error && error->text ? error->text : "no reason was given");
    if (frame->type != ALCHI_DATA_BLOCK || frame->id != f->last_id - (uint64_t)f->count + 1 ||
        (message == NULL) != begun || frame->payload == 0 || frame->payload > f->left ||
        !(frame->flags & ALCHI_FRAME_MORE) != (frame->payload == f->left))
        return alchi_error_set(err, ALCH_EPROTO, "%s sent a %s that was not asked for", f->where,
                               alchi_message_name(frame->type));
    return ALCH_OK;
}

/* ---- what counts as written ---- */

/* A complete matrix is noted as a whole at its end. */
static int
note_written(const fetch_t *f, const alchi_overlap_t *common, const Alchw__DataBlock *block, alch_error_t *err)
{
    alchi_intersect_t rows = alchi_intersect_swapped(&common->rows), cols = alchi_intersect_swapped(&common->cols);
    int code;

    if (f->ask->complete)
        return ALCH_OK;
    if (block->has_mask && block->mask.len < (size_t)(common->entries + 7) / 8)
        return alchi_error_set(err, ALCH_EPROTO, "%s does not say what is written", f->where);
    code = block->has_mask ? alchi_store_part_mark_mask(f->part, &rows, &cols, block->mask.data)
                           : alchi_store_part_mark_set(f->part, &rows, &cols);
    return code ? alchi_error_set(err, code, "out of memory for what is written") : ALCH_OK;
}

/* ---- messages ---- */

static void
begin_message(fetch_t *f, const alchi_overlap_t *common)
{
    alchi_store_part_t *part = f->part;
    alchi_strided_run_t comb = {0};

    alchi_intersect_next(&common->rows, common->rows.begin, &comb);
    alchi_product_init(&f->cross, &common->rows, &common->cols, ALCHI_PRODUCT_SIDE_A, part->data, part->lld, part->entry);
    f->left = (size_t)common->entries * part->entry;
    f->direct = (size_t)comb.length * part->entry >= DIRECT_MIN;
    f->run_left = 0;
}

/* The oldest message that was asked for. */
static int
take_message(fetch_t *f, alch_error_t *err)
{
    const alchi_overlap_t *common = &f->flights[f->first];
    ProtobufCMessage *block = NULL;
    int code = ALCH_OK;

    begin_message(f, common);
    while (!code && f->left > 0) {
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;

        if ((code = receive(f, &frame, &message, err)))
            break;
        code = check_frame(f, &frame, message, block != NULL, err);
        if (!code && !block) {
            block = message;
            message = NULL;
        }
        alchi_message_free(message);
        if (!code)
            code = take_frame(f, &frame, err);
    }
    if (!code)
        code = note_written(f, common, (const Alchw__DataBlock *)block, err);
    alchi_message_free(block);
    f->done += common->entries;
    f->first = (f->first + 1) % FLIGHTS;
    f->count--;
    return code;
}

/* What this part and the source's have in common; false: nothing. Where there are copies each reader takes all from
 * one of them. */
static bool
meet(fetch_t *f)
{
    int64_t m = f->from.m, n = f->from.n, limit = ALCHI_MASK_ENTRIES;
    alchi_intersect_t rows, cols;
    alchi_axis_t row_axis, col_axis;
    int replica, row, col;

    if (!alchi_layout_place(&f->from, f->source, &replica, &row, &col) || replica != f->env->rank % f->from.replicas)
        return false;
    alchi_layout_axes(&f->from, row, col, &row_axis, &col_axis);
    alchi_intersect_init(&rows, &f->part->rows, &row_axis, 0, m);
    alchi_intersect_init(&cols, &f->part->cols, &col_axis, 0, n);
    if (alchi_intersect_count(&rows) == 0 || alchi_intersect_count(&cols) == 0)
        return false;
    if (f->env->message_limit > 0 && f->env->message_limit / (int64_t)f->part->entry < limit)
        limit = f->env->message_limit / (int64_t)f->part->entry;
    alchi_overlap_splitter_init(&f->cutter, &rows, &cols, limit > 1 ? limit : 1);
    f->exhausted = false;
    return true;
}

static int
read_source(fetch_t *f, alch_error_t *err)
{
    int code = connect_to(f, err);

    while (!code && !(code = ask_ahead(f, err)) && f->count > 0) {
        code = take_message(f, err);
        if (!code && f->watch->progress)
            f->watch->progress(f->watch->context, (double)f->done / (double)f->entries);
    }
    hang_up(f);
    return code;
}

/* Each rank begins with another source. */
static int
read_all(fetch_t *f, alch_error_t *err)
{
    int code = ALCH_OK, count = (int)f->ask->n_sources;

    for (int k = 0; k < count && !code; k++) {
        f->source = (f->env->rank + k) % count;
        if (meet(f))
            code = read_source(f, err);
    }
    if (!code && f->ask->complete)
        alchi_store_part_mark_written(f->part);
    return code;
}

static int
prepare(fetch_t *f, alch_error_t *err)
{
    const Alchw__Matrix *matrix = f->ask->matrix;
    alch_layout_t spec;
    int code;

    if (!matrix || !matrix->layout || matrix->workers < 1 || matrix->workers != f->ask->n_sources)
        return alchi_error_set(err, ALCH_EPROTO, "a matrix to be read needs a layout and its workers");
    spec = alchi_wire_layout_in(matrix->layout);
    if ((code = alchi_store_acquire(f->env->store, matrix->id, &f->part, err)))
        return code;
    if (matrix->rows != f->part->layout.m || matrix->cols != f->part->layout.n ||
        matrix->dtype != (uint32_t)f->part->dtype)
        return alchi_error_set(err, ALCH_EPROTO, "matrix %llu is another one here", (unsigned long long)matrix->id);
    code = alchi_layout_init(&f->from, matrix->rows, matrix->cols, (int)matrix->workers, &spec, err);
    if (!code && !(f->scratch = malloc(ALCHI_RANK_MIGRATE_BYTES)))
        code = alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    return code;
}

int
alchi_rank_migrate(const alchi_rank_migrate_env_t *env, const Alchw__WorkerFetch *ask,
                   const alchi_rank_migrate_watch_t *watch, alch_error_t *err)
{
    fetch_t *f = calloc(1, sizeof(*f));
    int code;

    if (!f)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    f->env = env;
    f->ask = ask;
    f->watch = watch;
    code = prepare(f, err);
    if (!code) {
        f->entries = f->part->local_m * f->part->local_n;
        if (f->entries > 0)
            code = read_all(f, err);
    }
    free(f->scratch);
    alchi_layout_fini(&f->from);
    alchi_store_release(env->store, f->part);
    free(f);
    return code;
}
