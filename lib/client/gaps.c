/* The gaps of a matrix: the client asks each rank which entries are missing, and combines the answers into global
 * rectangles. */
#include "client/gaps.h"
#include "client/transfer.h"
#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

#include <stdio.h>
#include <stdlib.h>

/* Limits for one rank: how many gaps the client collects, and how many requests it sends. When a limit is reached, all
 * entries about which the client has not asked count as missing: sending them again is cheaper than asking. */
#define RECTS_MAX 8192
#define ROUNDS_MAX 2048
/* Maximum number of gaps in one answer. A rank never sends more than this (dataserver/conn_missing.c). */
#define ANSWER_RECTS 128
/* Combining the answers may examine this many gaps, which takes less than a second. If that is not enough, the result
 * is one rectangle that encloses all missing entries. */
#define STEPS_MAX 100000000

/* ---- asking ---- */

typedef struct {
    alch_matrix_t *matrix;
    alchi_cli_link_t *link;
    alch_rect_t local;        /* the part of the global rectangle that the rank holds */
    char where[320];          /* "worker 2 at host:port", for error texts */
    alchi_cli_gaps_t *gaps;   /* the result: grows with each answer */
    alchi_cli_gaps_t pending; /* rectangles about which the client still has to ask */
} query_t;

static int
append_rect(alchi_cli_gaps_t *list, const alch_rect_t *rect)
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

/* Append the rectangles of an answer to a list. They must be within the rectangle of the question. */
static int
append_answer_rects(const query_t *query, const alch_rect_t *asked, Alchw__Rect **rects, size_t count,
                    alchi_cli_gaps_t *list, alch_error_t *err)
{
    for (size_t k = 0; k < count; k++) {
        const alch_rect_t rect = alchi_wire_rect_in(rects[k]);
        const alch_rect_t within = {rect.i - asked->i, rect.j - asked->j, rect.m, rect.n};

        if (rect.i < 0 || rect.j < 0 || rect.m < 1 || rect.n < 1 || !alchi_rect_within(&within, asked->m, asked->n))
            return alchi_error_set(err, ALCH_EPROTO,
                                   "%s reported missing entries outside the rectangle that it was asked about",
                                   query->where);
        if (append_rect(list, &rect) != ALCH_OK)
            return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the missing entries of matrix %llu",
                                   (unsigned long long)query->matrix->facts.id);
    }
    return ALCH_OK;
}

static int
send_query(const query_t *query, const alch_rect_t *rect, alchi_deadline_t deadline)
{
    Alchw__DataMissing ask = ALCHW__DATA_MISSING__INIT;
    Alchw__Rect part;
    int code;

    alchi_wire_rect_out(rect, &part);
    ask.has_matrix = ask.has_max = ask.has_version = true;
    ask.matrix = query->matrix->facts.id;
    ask.version = query->matrix->version;
    ask.rect = &part;
    ask.max = ANSWER_RECTS;
    code = alchi_channel_send(query->link->channel, ALCHI_DATA_MISSING, 0, ++query->link->last_id, &ask);
    return code == ALCH_OK ? alchi_channel_flush_by(query->link->channel, deadline) : code;
}

static int
handle_answer(query_t *query, const alch_rect_t *asked, const alchi_frame_t *frame, const ProtobufCMessage *message,
              alch_error_t *err)
{
    const Alchw__DataRegions *regions = (const Alchw__DataRegions *)message;
    int code;

    if (frame->type == ALCHI_ERROR && !frame->payload)
        return alchi_cli_control_read_error((const Alchw__Error *)message, err);
    if (frame->type != ALCHI_DATA_REGIONS || frame->id != query->link->last_id || frame->payload || !message)
        return alchi_error_set(err, ALCH_EPROTO, "%s sent %s instead of DATA_REGIONS", query->where,
                               alchi_message_name(frame->type));
    code = append_answer_rects(query, asked, regions->missing, regions->n_missing, query->gaps, err);
    return code == ALCH_OK ? append_answer_rects(query, asked, regions->rest, regions->n_rest, &query->pending, err)
                           : code;
}

static int
query_rect(query_t *query, const alch_rect_t *rect, alch_error_t *err)
{
    int timeout_ms = query->matrix->session->options.transfer_timeout_ms;
    alchi_deadline_t deadline = alchi_deadline_in_ms(timeout_ms);
    ProtobufCMessage *message = NULL;
    alchi_frame_t frame;
    int code = send_query(query, rect, deadline);

    if (code == ALCH_OK)
        code = alchi_channel_receive_by(query->link->channel, deadline, &frame, &message);
    if (code == ALCH_ETIMEDOUT)
        return alchi_error_set(err, code, "%s made no progress for %g s", query->where, timeout_ms * 1e-3);
    if (code != ALCH_OK)
        return alchi_error_set(err, code, "the connection to %s was lost", query->where);
    code = handle_answer(query, rect, &frame, message, err);
    alchi_message_free(message);
    return code;
}

/* Find all gaps in the rank's part: ask about the part, then about the rectangles that each answer did not examine. */
static int
query_rank_part(query_t *query, alch_error_t *err)
{
    alchi_cli_gaps_t *pending = &query->pending;
    int rounds = 0, code = append_rect(pending, &query->local);

    if (code != ALCH_OK)
        return alchi_error_set(err, code, "out of memory for the missing entries of a matrix");
    while (code == ALCH_OK && pending->count > 0) {
        const alch_rect_t rect = pending->rects[--pending->count];

        if (rounds++ < ROUNDS_MAX && query->gaps->count < RECTS_MAX)
            code = query_rect(query, &rect, err);
        else if (append_rect(query->gaps, &rect) != ALCH_OK)
            code = alchi_error_set(err, ALCH_ENOMEM, "out of memory for the missing entries of a matrix");
    }
    free(pending->rects);
    *pending = (alchi_cli_gaps_t){0};
    return code;
}

/* The cached group may be out of date: if connecting fails, ask the driver for the group and try once more. */
static int
open_link(query_t *query, int rank, alch_error_t *err)
{
    alch_session_t *session = query->matrix->session;
    alchi_cli_group_t *group;
    char address[300];
    int code = ALCH_OK;

    for (int k = 0; k < 2; k++) {
        if ((code = alchi_cli_pool_get_group(session, k > 0, &group, err)) != ALCH_OK)
            return code;
        if (rank < group->count && (!query->matrix->group || query->matrix->group == group->id)) {
            alchi_address_format(&group->peers[rank].address, address, sizeof(address));
            snprintf(query->where, sizeof(query->where), "worker %d at %s", group->peers[rank].slot, address);
            code = alchi_cli_link_acquire(session, group, rank, ALCHI_CLI_CHUNK_BYTES,
                                          alchi_deadline_in_ms(session->options.connect_timeout_ms), &query->link, err);
        } else {
            code = alchi_error_set(err, ALCH_EGROUP, "the worker group of matrix %llu has ended",
                                   (unsigned long long)query->matrix->facts.id);
        }
        alchi_cli_group_release(group);
        if (code == ALCH_OK)
            return code;
    }
    return code;
}

static int
query_rank(alch_matrix_t *matrix, const alch_rect_t *rect, int rank, alchi_cli_gaps_t *gaps, alch_error_t *err)
{
    query_t query = {.matrix = matrix, .gaps = gaps};
    int replica, row, col, code;

    if (!alchi_layout_place(&matrix->layout, rank, &replica, &row, &col))
        return ALCH_OK;
    alchi_layout_local_rect(&matrix->layout, row, col, rect, &query.local);
    if (query.local.m == 0 || query.local.n == 0)
        return ALCH_OK;
    if ((code = open_link(&query, rank, err)) != ALCH_OK)
        return code;
    code = query_rank_part(&query, err);
    alchi_cli_link_release(matrix->session, query.link, code == ALCH_OK);
    return code;
}

int
alchi_cli_gaps_query(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err)
{
    int workers = matrix->layout.workers, code = ALCH_OK;
    alchi_cli_gaps_t *gaps = calloc((size_t)workers, sizeof(*gaps));

    if (!gaps)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the missing entries of a matrix");
    for (int rank = 0; rank < workers && code == ALCH_OK; rank++)
        code = query_rank(matrix, rect, rank, &gaps[rank], err);
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

/* ---- combining ---- */

typedef struct {
    const alchi_layout_t *layout;
    const alchi_cli_gaps_t *gaps; /* by rank */
    alch_rect_t *rects;           /* disjoint global rectangles that cover the gaps */
    size_t max, count;
    int64_t *steps_p; /* how many gaps were examined so far */
} cover_t;

/* The missing entries in a global rectangle: whether any is missing, whether all are missing in some replica, and the
 * rectangle that encloses the missing ones. */
typedef struct {
    bool any, all;
    int64_t i, j, i_end, j_end;
} extent_t;

/* Extend the enclosing rectangle by the gaps within a local rectangle of a rank. @return how many entries the gaps have
 * there */
static int64_t
add_gaps_to_extent(const alchi_cli_gaps_t *gaps, const alch_rect_t *local, const alchi_axis_t *rows,
                   const alchi_axis_t *cols, extent_t *extent)
{
    int64_t entries = 0;

    for (size_t k = 0; k < gaps->count; k++) {
        const alch_rect_t *gap = &gaps->rects[k];
        int64_t i = alchi_max_int64(gap->i, local->i), i_end = alchi_min_int64(gap->i + gap->m, local->i + local->m);
        int64_t j = alchi_max_int64(gap->j, local->j), j_end = alchi_min_int64(gap->j + gap->n, local->j + local->n);

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
measure_missing(const cover_t *cover, const alch_rect_t *rect)
{
    const alchi_layout_t *layout = cover->layout;
    extent_t extent = {false, false, INT64_MAX, INT64_MAX, 0, 0};

    for (int replica = 0; replica < layout->replicas; replica++) {
        int64_t entries = 0;

        for (int place = 0; place < layout->nprow * layout->npcol; place++) {
            int row = place % layout->nprow, col = place / layout->nprow;
            const alchi_cli_gaps_t *gaps = &cover->gaps[layout->ranks[replica * layout->nprow * layout->npcol + place]];
            alchi_axis_t rows, cols;
            alch_rect_t local;

            alchi_layout_axes(layout, row, col, &rows, &cols);
            alchi_layout_local_rect(layout, row, col, rect, &local);
            entries += add_gaps_to_extent(gaps, &local, &rows, &cols, &extent);
            *cover->steps_p += (int64_t)gaps->count;
        }
        extent.all = extent.all || entries == rect->m * rect->n;
    }
    return extent;
}

/* Find the largest height or width for which all entries of a rectangle are missing, if its first entry is missing.
 * @param side   rect->m or rect->n; changed
 * @param limit  of the result */
static int64_t
find_longest_side(const cover_t *cover, alch_rect_t *rect, int64_t *side, int64_t limit)
{
    int64_t good = 1, bad = limit + 1;

    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;

        *side = middle;
        if (measure_missing(cover, rect).all)
            good = middle;
        else
            bad = middle;
    }
    return good;
}

/* Find the first missing entry in column order, and a missing rectangle that starts there: as tall as possible, then
 * as wide as possible. @return false: no entry is missing */
static bool
find_first_missing(const cover_t *cover, const alch_rect_t *in, alch_rect_t *found_p)
{
    extent_t extent = measure_missing(cover, in);
    alch_rect_t rect, probe;

    if (!extent.any)
        return false;
    rect = (alch_rect_t){in->i, extent.j, in->m, 1};
    extent = measure_missing(cover, &rect);
    rect = (alch_rect_t){extent.i, rect.j, extent.i_end - extent.i, 1};
    probe = rect;
    rect.m = find_longest_side(cover, &probe, &probe.m, rect.m);
    probe = rect;
    rect.n = find_longest_side(cover, &probe, &probe.n, in->j + in->n - rect.j);
    *found_p = rect;
    return true;
}

static void
push_rect(alch_rect_t *stack, size_t *count_p, int64_t i, int64_t j, int64_t m, int64_t n)
{
    if (m > 0 && n > 0)
        stack[(*count_p)++] = (alch_rect_t){i, j, m, n};
}

/* List the missing rectangles as alchi_region_list_missing() does. @return false: there are more than cover->max, or it
 * takes too many steps */
static bool
list_missing_rects(cover_t *cover, const alch_rect_t *whole, alch_rect_t *stack)
{
    size_t left = 0;

    push_rect(stack, &left, 0, 0, whole->m, whole->n);
    while (left > 0) {
        const alch_rect_t in = stack[--left];
        alch_rect_t hit;
        int64_t below, right;

        if (!find_first_missing(cover, &in, &hit))
            continue;
        if (cover->count == cover->max || *cover->steps_p > STEPS_MAX)
            return false;
        cover->rects[cover->count++] = hit;
        below = hit.i + hit.m;
        right = hit.j + hit.n;
        push_rect(stack, &left, in.i, right, in.m, in.j + in.n - right);
        push_rect(stack, &left, below, hit.j, in.i + in.m - below, hit.n);
        push_rect(stack, &left, in.i, hit.j + 1, hit.i - in.i, hit.n - 1);
    }
    return true;
}

/* Fill in the rectangles. If there are too many, use one rectangle that encloses all missing entries. */
static int
cover_all(cover_t *cover, const alch_rect_t *whole, alch_error_t *err)
{
    alch_rect_t *stack = calloc(2 * cover->max + 1, sizeof(*stack));
    extent_t extent;

    if (!stack)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the missing entries of a matrix");
    if (!list_missing_rects(cover, whole, stack)) {
        extent = measure_missing(cover, whole);
        cover->rects[0] = (alch_rect_t){extent.i, extent.j, extent.i_end - extent.i, extent.j_end - extent.j};
        cover->count = 1;
    }
    free(stack);
    return ALCH_OK;
}

/* Ask the ranks. If that fails because another client has moved the session to other workers, ask once more. */
static int
query_following_move(alch_matrix_t *matrix, const alch_rect_t *rect, alchi_cli_gaps_t **gaps_p, alch_error_t *err)
{
    int code = alchi_cli_matrix_follow_group(matrix, err);

    if (code == ALCH_OK)
        code = alchi_cli_gaps_query(matrix, rect, gaps_p, err);
    if (code != ALCH_OK && alchi_cli_matrix_has_moved(matrix))
        code = alchi_cli_gaps_query(matrix, rect, gaps_p, err);
    return code;
}

/* Call with the matrix's mutex held. */
static int
list_missing(alch_matrix_t *matrix, alch_rect_t *rects, size_t max, size_t *count_p, alch_error_t *err)
{
    const alch_rect_t whole = {0, 0, matrix->facts.rows, matrix->facts.cols};
    alchi_cli_gaps_t *gaps;
    cover_t cover;
    int64_t steps = 0;
    int code = query_following_move(matrix, &whole, &gaps, err);

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
        return alchi_error_set(err, ALCH_EINVAL, "matrix, rects or count_p is NULL, or max is %zu (must be 1 to %zu)",
                               max, SIZE_MAX / 4 / sizeof(*rects));
    if ((code = alchi_cli_session_check(matrix->session, err)) != ALCH_OK)
        return code;
    pthread_mutex_lock(&matrix->mutex);
    code = list_missing(matrix, rects, max, count_p, err);
    pthread_mutex_unlock(&matrix->mutex);
    return code;
}
