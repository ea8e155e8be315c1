/* What the workers lack of a matrix: asked rank by rank, and put together as global rectangles. */
#include "client/gaps.h"
#include "client/transfer.h"
#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

#include <stdio.h>
#include <stdlib.h>

/* Beyond these what was not looked at counts as missing: sending it again is cheaper. */
#define RECTS_MAX 8192
#define ROUNDS_MAX 2048
#define ANSWER_RECTS 128
/* Looks at a rank's rectangle while global ones are put together: under a second. */
#define STEPS_MAX 100000000

/* ---- asking ---- */

typedef struct {
    alch_matrix_t *matrix;
    alchi_cli_link_t *link;
    alch_rect_t share; /* of the rank asked */
    char where[320];
    alchi_cli_gaps_t *gaps, todo;
} inquiry_t;

static int
append(alchi_cli_gaps_t *list, const alch_rect_t *rect)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        alch_rect_t *rects = realloc(list->rects, capacity * sizeof(*rects));

        if (!rects)
            return ALCH_ENOMEM;
        list->rects = rects;
        list->capacity = capacity;
    }
    list->rects[list->count++] = *rect;
    list->entries += rect->m * rect->n;
    return ALCH_OK;
}

/* Rectangles of an answer, which must be parts of what was asked for. */
static int
take(const inquiry_t *inquiry, const alch_rect_t *asked, Alchw__Rect **rects, size_t count, alchi_cli_gaps_t *list,
     alch_error_t *err)
{
    for (size_t k = 0; k < count; k++) {
        const alch_rect_t rect = alchi_wire_rect_in(rects[k]);
        const alch_rect_t within = {rect.i - asked->i, rect.j - asked->j, rect.m, rect.n};

        if (rect.i < 0 || rect.j < 0 || rect.m < 1 || rect.n < 1 || !alchi_rect_within(&within, asked->m, asked->n))
            return alchi_error_set(err, ALCH_EPROTO, "%s said that something is missing where nothing was asked for",
                                   inquiry->where);
        if (append(list, &rect) != ALCH_OK)
            return alchi_error_set(err, ALCH_ENOMEM, "out of memory for what matrix %llu lacks",
                                   (unsigned long long)inquiry->matrix->facts.id);
    }
    return ALCH_OK;
}

static int
send_question(const inquiry_t *inquiry, const alch_rect_t *rect, alchi_deadline_t deadline)
{
    Alchw__DataMissing ask = ALCHW__DATA_MISSING__INIT;
    Alchw__Rect part;
    int code;

    alchi_wire_rect_out(rect, &part);
    ask.has_matrix = ask.has_max = ask.has_version = true;
    ask.matrix = inquiry->matrix->facts.id;
    ask.version = inquiry->matrix->version;
    ask.rect = &part;
    ask.max = ANSWER_RECTS;
    code = alchi_channel_send(inquiry->link->channel, ALCHI_DATA_MISSING, 0, ++inquiry->link->last_id, &ask);
    return code == ALCH_OK ? alchi_channel_flush_by(inquiry->link->channel, deadline) : code;
}

static int
use_answer(inquiry_t *inquiry, const alch_rect_t *asked, const alchi_frame_t *frame, const ProtobufCMessage *message,
           alch_error_t *err)
{
    const Alchw__DataRegions *regions = (const Alchw__DataRegions *)message;
    alch_error_t error = {0};
    int code;

    if (frame->type == ALCHI_ERROR && !frame->payload) {
        alchi_cli_control_read_error((const Alchw__Error *)message, &error);
        return alchi_error_rank(err, error.code, error.rank, "%s", error.text);
    }
    if (frame->type != ALCHI_DATA_REGIONS || frame->id != inquiry->link->last_id || frame->payload || !message)
        return alchi_error_set(err, ALCH_EPROTO, "%s sent %s instead of what is missing", inquiry->where,
                               alchi_message_name(frame->type));
    code = take(inquiry, asked, regions->missing, regions->n_missing, inquiry->gaps, err);
    return code == ALCH_OK ? take(inquiry, asked, regions->rest, regions->n_rest, &inquiry->todo, err) : code;
}

static int
ask_once(inquiry_t *inquiry, const alch_rect_t *rect, alch_error_t *err)
{
    int timeout_ms = inquiry->matrix->session->options.transfer_timeout_ms;
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = send_question(inquiry, rect, deadline);

    if (code == ALCH_OK)
        code = alchi_channel_receive_by(inquiry->link->channel, deadline, &frame, &message);
    if (code == ALCH_ETIMEDOUT)
        return alchi_error_set(err, code, "%s made no progress for %g s", inquiry->where, timeout_ms * 1e-3);
    if (code != ALCH_OK)
        return alchi_error_set(err, code, "the connection to %s was lost", inquiry->where);
    code = use_answer(inquiry, rect, &frame, message, err);
    alchi_message_free(message);
    return code;
}

/* All that is missing in the rank's share. */
static int
ask_all(inquiry_t *inquiry, alch_error_t *err)
{
    alchi_cli_gaps_t *todo = &inquiry->todo;
    int rounds = 0, code = append(todo, &inquiry->share);

    if (code != ALCH_OK)
        return alchi_error_set(err, code, "out of memory");
    while (code == ALCH_OK && todo->count > 0) {
        const alch_rect_t rect = todo->rects[--todo->count];

        if (rounds++ < ROUNDS_MAX && inquiry->gaps->count < RECTS_MAX)
            code = ask_once(inquiry, &rect, err);
        else if (append(inquiry->gaps, &rect) != ALCH_OK)
            code = alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    }
    free(todo->rects);
    *todo = (alchi_cli_gaps_t){0};
    return code;
}

/* What is known of the group may be out of date: if connecting fails, ask once more. */
static int
open_link(inquiry_t *inquiry, int rank, alch_error_t *err)
{
    alch_session_t *session = inquiry->matrix->session;
    alchi_cli_group_t *group;
    char address[300];
    int code = ALCH_OK;

    for (int k = 0; k < 2; k++) {
        if ((code = alchi_cli_pool_get_group(session, k > 0, &group, err)) != ALCH_OK)
            return code;
        if (rank < group->count && (!inquiry->matrix->group || inquiry->matrix->group == group->id)) {
            alchi_address_format(&group->peers[rank].address, address, sizeof(address));
            snprintf(inquiry->where, sizeof(inquiry->where), "worker %d at %s", group->peers[rank].slot, address);
            code =
                alchi_cli_link_acquire(session, group, rank, ALCHI_CLI_CHUNK_BYTES,
                                       alchi_deadline_in_ms(session->options.connect_timeout_ms), &inquiry->link, err);
        } else {
            code = alchi_error_set(err, ALCH_EGROUP, "matrix %llu belongs to a worker group that is gone",
                                   (unsigned long long)inquiry->matrix->facts.id);
        }
        alchi_cli_group_release(group);
        if (code == ALCH_OK)
            return code;
    }
    return code;
}

static int
ask_rank(alch_matrix_t *matrix, const alch_rect_t *rect, int rank, alchi_cli_gaps_t *gaps, alch_error_t *err)
{
    inquiry_t inquiry = {.matrix = matrix, .gaps = gaps};
    int replica, row, col, code;

    if (!alchi_layout_place(&matrix->layout, rank, &replica, &row, &col))
        return ALCH_OK;
    alchi_layout_share(&matrix->layout, row, col, rect, &inquiry.share);
    if (inquiry.share.m == 0 || inquiry.share.n == 0)
        return ALCH_OK;
    if ((code = open_link(&inquiry, rank, err)) != ALCH_OK)
        return code;
    code = ask_all(&inquiry, err);
    alchi_cli_link_release(matrix->session, inquiry.link, code == ALCH_OK);
    return code;
}

int
alchi_cli_gaps_query(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err)
{
    int workers = matrix->layout.workers, code = ALCH_OK;
    alchi_cli_gaps_t *gaps = calloc((size_t)workers, sizeof(*gaps));

    if (!gaps)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    for (int rank = 0; rank < workers && code == ALCH_OK; rank++)
        code = ask_rank(matrix, rect, rank, &gaps[rank], err);
    if (code == ALCH_OK)
        *gaps_p = gaps;
    else
        alchi_cli_gaps_free(gaps, workers);
    return code;
}

void
alchi_cli_gaps_free(alchi_cli_gaps_t *gaps, int workers)
{
    for (int rank = 0; gaps && rank < workers; rank++)
        free(gaps[rank].rects);
    free(gaps);
}

/* ---- putting together ---- */

typedef struct {
    const alchi_layout_t *layout;
    const alchi_cli_gaps_t *gaps;
    alch_rect_t *rects;
    size_t max, count;
    int64_t *steps_p;
} cover_t;

/* What is missing within a global rectangle: whether all of it is, in some replica, and what encloses it. */
typedef struct {
    bool any, all;
    int64_t i, j, i_end, j_end;
} extent_t;

/* Take in what a rank lacks of its share. @return entries */
static int64_t
enclose(const alchi_cli_gaps_t *gaps, const alch_rect_t *share, const alchi_axis_t *rows, const alchi_axis_t *cols,
        extent_t *extent)
{
    int64_t entries = 0;

    for (size_t k = 0; k < gaps->count; k++) {
        const alch_rect_t *gap = &gaps->rects[k];
        int64_t i = alchi_max_int64(gap->i, share->i), i_end = alchi_min_int64(gap->i + gap->m, share->i + share->m);
        int64_t j = alchi_max_int64(gap->j, share->j), j_end = alchi_min_int64(gap->j + gap->n, share->j + share->n);

        if (i >= i_end || j >= j_end)
            continue;
        entries += (i_end - i) * (j_end - j);
        extent->any = true;
        extent->i = alchi_min_int64(extent->i, alchi_axis_global(rows, i));
        extent->j = alchi_min_int64(extent->j, alchi_axis_global(cols, j));
        extent->i_end = alchi_max_int64(extent->i_end, alchi_axis_global(rows, i_end - 1) + 1);
        extent->j_end = alchi_max_int64(extent->j_end, alchi_axis_global(cols, j_end - 1) + 1);
    }
    return entries;
}

static extent_t
measure(const cover_t *cover, const alch_rect_t *rect)
{
    const alchi_layout_t *layout = cover->layout;
    extent_t extent = {false, false, INT64_MAX, INT64_MAX, 0, 0};

    for (int replica = 0; replica < layout->replicas; replica++) {
        int64_t entries = 0;

        for (int place = 0; place < layout->nprow * layout->npcol; place++) {
            int row = place % layout->nprow, col = place / layout->nprow;
            const alchi_cli_gaps_t *gaps = &cover->gaps[layout->ranks[replica * layout->nprow * layout->npcol + place]];
            alchi_axis_t rows, cols;
            alch_rect_t share;

            alchi_layout_axes(layout, row, col, &rows, &cols);
            alchi_layout_share(layout, row, col, rect, &share);
            entries += enclose(gaps, &share, &rows, &cols, &extent);
            *cover->steps_p += (int64_t)gaps->count;
        }
        extent.all = extent.all || entries == rect->m * rect->n;
    }
    return extent;
}

/* The largest height (or width) for which all of a rectangle that starts with a missing entry is missing. */
static int64_t
longest(const cover_t *cover, alch_rect_t *rect, int64_t *side, int64_t limit)
{
    int64_t good = 1, bad = limit + 1;

    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;

        *side = middle;
        if (measure(cover, rect).all)
            good = middle;
        else
            bad = middle;
    }
    return good;
}

/* The first missing entry of a rectangle in column order, with what is missing below and on the right of it. */
static bool
find_first(const cover_t *cover, const alch_rect_t *in, alch_rect_t *found_p)
{
    extent_t extent = measure(cover, in);
    alch_rect_t rect, probe;

    if (!extent.any)
        return false;
    rect = (alch_rect_t){in->i, extent.j, in->m, 1};
    extent = measure(cover, &rect);
    rect = (alch_rect_t){extent.i, rect.j, extent.i_end - extent.i, 1};
    probe = rect;
    rect.m = longest(cover, &probe, &probe.m, rect.m);
    probe = rect;
    rect.n = longest(cover, &probe, &probe.n, in->j + in->n - rect.j);
    *found_p = rect;
    return true;
}

static void
put(alch_rect_t *stack, size_t *count_p, int64_t i, int64_t j, int64_t m, int64_t n)
{
    if (m > 0 && n > 0)
        stack[(*count_p)++] = (alch_rect_t){i, j, m, n};
}

/* As alchi_region_list_missing(). @return false: there is more than `max`, or it takes too long */
static bool
list_all(cover_t *cover, const alch_rect_t *whole, alch_rect_t *stack)
{
    size_t left = 0;

    put(stack, &left, 0, 0, whole->m, whole->n);
    while (left > 0) {
        const alch_rect_t in = stack[--left];
        alch_rect_t hit;
        int64_t below, right;

        if (!find_first(cover, &in, &hit))
            continue;
        if (cover->count == cover->max || *cover->steps_p > STEPS_MAX)
            return false;
        cover->rects[cover->count++] = hit;
        below = hit.i + hit.m;
        right = hit.j + hit.n;
        put(stack, &left, in.i, right, in.m, in.j + in.n - right);
        put(stack, &left, below, hit.j, in.i + in.m - below, hit.n);
        put(stack, &left, in.i, hit.j + 1, hit.i - in.i, hit.n - 1);
    }
    return true;
}

/* Fill in the rectangles; one around everything if they do not suffice. */
static int
cover_all(cover_t *cover, const alch_rect_t *whole, alch_error_t *err)
{
    alch_rect_t *stack = calloc(2 * cover->max + 1, sizeof(*stack));
    extent_t extent;

    if (!stack)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory");
    if (!list_all(cover, whole, stack)) {
        extent = measure(cover, whole);
        cover->rects[0] = (alch_rect_t){extent.i, extent.j, extent.i_end - extent.i, extent.j_end - extent.j};
        cover->count = 1;
    }
    free(stack);
    return ALCH_OK;
}

/* Ask, and once more if it turns out that another process has moved the matrix. */
static int
ask_where_it_is(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err)
{
    int code = alchi_cli_matrix_follow_group(matrix, err);

    if (code == ALCH_OK)
        code = alchi_cli_gaps_query(matrix, rect, gaps_p, err);
    if (code != ALCH_OK && alchi_cli_matrix_has_moved(matrix))
        code = alchi_cli_gaps_query(matrix, rect, gaps_p, err);
    return code;
}

/* With the matrix's mutex held. */
static int
list_missing(alch_matrix_t *matrix, alch_rect_t *rects, size_t max, size_t *count_p, alch_error_t *err)
{
    const alch_rect_t whole = {0, 0, matrix->facts.rows, matrix->facts.cols};
    alchi_cli_gaps_t *gaps;
    cover_t cover;
    int64_t steps = 0;
    int code = ask_where_it_is(matrix, &whole, &gaps, err);

    if (code != ALCH_OK)
        return code;
    cover = (cover_t){.layout = &matrix->layout, .gaps = gaps, .rects = rects, .max = max, .steps_p = &steps};
    code = cover_all(&cover, &whole, err);
    if (code == ALCH_OK)
        *count_p = cover.count;
    alchi_cli_gaps_free(gaps, matrix->layout.workers);
    return code;
}

int
alch_matrix_missing(alch_matrix_t *matrix, alch_rect_t *rects, size_t max, size_t *count_p, alch_error_t *err)
{
    int code;

    if (!matrix || !rects || !max || max > SIZE_MAX / 4 / sizeof(*rects) || !count_p)
        return alchi_error_set(err, ALCH_EINVAL, "matrix, rects or count_p is NULL, or max is not possible");
    if ((code = alchi_cli_session_check(matrix->session, err)) != ALCH_OK)
        return code;
    pthread_mutex_lock(&matrix->mutex);
    code = list_missing(matrix, rects, max, count_p, err);
    pthread_mutex_unlock(&matrix->mutex);
    return code;
}
