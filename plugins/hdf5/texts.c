#include "texts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_BYTES (1 << 30) /* what one MPI call moves */

static void
put(hdf5_texts_t *texts, const char *bytes, size_t size)
{
    if (!texts->bad && texts->size + size > texts->room) {
        size_t room = 2 * (texts->size + size) + 64;
        char *grown = realloc(texts->bytes, room);

        texts->bad = grown == NULL;
        if (grown) {
            texts->bytes = grown;
            texts->room = room;
        }
    }
    if (texts->bad)
        return;
    memcpy(texts->bytes + texts->size, bytes, size);
    texts->size += size;
}

void
hdf5_texts_add(hdf5_texts_t *texts, const char *text)
{
    put(texts, text, strlen(text) + 1);
    texts->count++;
}

void
hdf5_texts_append(hdf5_texts_t *texts, const char *part)
{
    put(texts, part, strlen(part));
}

const char *
hdf5_texts_whole(hdf5_texts_t *texts)
{
    put(texts, "", 1);
    return texts->bad ? "" : texts->bytes;
}

void
hdf5_json_string(hdf5_texts_t *json, const char *text)
{
    char escape[8];

    hdf5_texts_append(json, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", c);
        else if (c < ' ')
            snprintf(escape, sizeof(escape), "\\u%04x", c);
        else
            snprintf(escape, sizeof(escape), "%c", c);
        hdf5_texts_append(json, escape);
    }
    hdf5_texts_append(json, "\"");
}

/* JSON has no infinities and no NaN. */
void
hdf5_json_number(hdf5_texts_t *json, double x, bool comma)
{
    char text[48];

    if (isfinite(x))
        snprintf(text, sizeof(text), "%s%.17g", comma ? ", " : "", x);
    else
        snprintf(text, sizeof(text), "%s\"%s\"", comma ? ", " : "", isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
    hdf5_texts_append(json, text);
}

int
hdf5_texts_share(hdf5_texts_t *texts, alch_call_t *call)
{
    int64_t facts[2] = {(int64_t)texts->size, (int64_t)texts->count};
    int code = ALCH_OK;

    if (texts->bad)
        code = call->host->fail(call, ALCH_ENOMEM, "no memory for the list");
    else if (texts->size > SHARE_BYTES)
        code =
            call->host->fail(call, ALCH_ELIMIT, "the list takes %zu bytes, the limit is %d", texts->size, SHARE_BYTES);
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    MPI_Bcast(facts, 2, MPI_INT64_T, 0, call->comm);
    if (call->rank != 0 && facts[0] && !(texts->bytes = malloc((size_t)facts[0])))
        code = call->host->fail(call, ALCH_ENOMEM, "no memory for the list");
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    MPI_Bcast(texts->bytes, (int)facts[0], MPI_BYTE, 0, call->comm);
    texts->size = (size_t)facts[0];
    texts->count = (size_t)facts[1];
    return ALCH_OK;
}

const char **
hdf5_texts_lines(hdf5_texts_t *texts)
{
    const char *at = texts->bytes;

    free(texts->lines);
    if (!(texts->lines = malloc((texts->count + 1) * sizeof(*texts->lines))))
        return NULL;
    for (size_t k = 0; k < texts->count; k++) {
        texts->lines[k] = at;
        at += strlen(at) + 1;
    }
    return texts->lines;
}

void
hdf5_texts_free(hdf5_texts_t *texts)
{
    free(texts->bytes);
    free(texts->lines);
    memset(texts, 0, sizeof(*texts));
}
