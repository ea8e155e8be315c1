/* DATA_MISSING: list the unwritten entries of a rectangle, for a client that continues an interrupted transfer. */
#include "dataserver/conn.h"

#include "base/error.h"
#include "base/util.h"
#include "wire/layout_message.h"

#include <stdlib.h>

#define RECTS_MAX 128 /* maximum in the first list of a reply; bounds the memory of a connection */

typedef struct {
    alch_rect_t missing[RECTS_MAX], rest[2 * RECTS_MAX + 1];
    size_t missing_count, rest_count;
} list_t;

/* Create the list of rectangles of a message. The memory is from malloc(), because alchi_message_free() frees it.
 * @return NULL, or *made_p < count: out of memory */
static Alchw__Rect **
make_rects(const alch_rect_t *rects, size_t count, size_t *made_p)
{
    Alchw__Rect **list = calloc(count + 1, sizeof(*list));

    for (size_t k = 0; list && k < count; k++) {
        Alchw__Rect *rect = malloc(sizeof(*rect));

        if (!rect)
            break;
        alchi_wire_rect_out(&rects[k], rect);
        list[k] = rect;
        *made_p = k + 1;
    }
    return list;
}

static Alchw__DataRegions *
make_regions(const list_t *list)
{
    Alchw__DataRegions *regions = malloc(sizeof(*regions));

    if (!regions)
        return NULL;
    alchw__data_regions__init(regions);
    regions->missing = make_rects(list->missing, list->missing_count, &regions->n_missing);
    regions->rest = make_rects(list->rest, list->rest_count, &regions->n_rest);
    if (regions->n_missing < list->missing_count || regions->n_rest < list->rest_count) {
        alchi_message_free(regions);
        return NULL;
    }
    return regions;
}

static int
list_missing(const alchi_data_conn_t *conn, const Alchw__DataMissing *ask, list_t *list, alch_error_t *err)
{
    size_t max = ask->max > 0 && ask->max < RECTS_MAX ? ask->max : RECTS_MAX;
    alchi_store_part_t *part = NULL;
    alch_rect_t rect;
    char name[96];
    int code;

    if (!ask->rect)
        return alchi_error_set(err, ALCH_EPROTO, "the request has no rectangle");
    rect = alchi_wire_rect_in(ask->rect);
    code = alchi_data_conn_find_part(conn, ask->matrix, ask->version, &part, err);
    if (code)
        return code;
    if (!alchi_rect_within(&rect, part->local_m, part->local_n)) {
        code = alchi_error_set(
            err, ALCH_ERANGE,
            "matrix %s: %lld x %lld entries from (%lld, %lld) exceed the worker's part of %lld x %lld",
            alchi_format_matrix(part->id, part->layout.m, part->layout.n, part->dtype, name, sizeof(name)),
            (long long)rect.m, (long long)rect.n, (long long)rect.i, (long long)rect.j, (long long)part->local_m,
            (long long)part->local_n);
    } else {
        list->missing_count =
            alchi_store_part_list_missing(part, &rect, list->missing, max, list->rest, &list->rest_count);
    }
    alchi_store_release(conn->config->store, part);
    return code;
}

int
alchi_data_conn_reply_missing(alchi_data_conn_t *conn, const alchi_frame_t *frame, const Alchw__DataMissing *ask)
{
    alchi_data_reply_t *reply = alchi_data_reply_create(conn, frame->id, ALCHI_DATA_REGIONS);
    list_t list;

    if (!reply)
        return ALCH_ENOMEM;
    if (list_missing(conn, ask, &list, &reply->error))
        reply->type = ALCHI_ERROR;
    else if (!(reply->regions = make_regions(&list))) {
        alchi_data_reply_release(conn, reply);
        return ALCH_ENOMEM;
    }
    alchi_data_conn_queue_reply(conn, reply);
    return ALCH_OK;
}
