/* Lists of strings that rank 0 builds and broadcasts, and JSON text. */
#include "string_list.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROADCAST_BYTES_MAX (1 << 30) /* the count of one MPI_Bcast() is an int */

static void
add_bytes(hdf5_strings_t *strings, const char *bytes, size_t size)
{
    if (!strings->out_of_memory && strings->size + size > strings->capacity) {
        size_t capacity = 2 * (strings->size + size) + 64;
        char *grown = realloc(strings->bytes, capacity);

        strings->out_of_memory = grown == NULL;
        if (grown) {
            strings->bytes = grown;
            strings->capacity = capacity;
        }
    }
    if (strings->out_of_memory)
        return;
    memcpy(strings->bytes + strings->size, bytes, size);
    strings->size += size;
}

void
hdf5_strings_add(hdf5_strings_t *strings, const char *text)
{
    add_bytes(strings, text, strlen(text) + 1);
    strings->count++;
}

void
hdf5_strings_append(hdf5_strings_t *strings, const char *part)
{
    add_bytes(strings, part, strlen(part));
}

const char *
hdf5_strings_terminate(hdf5_strings_t *strings)
{
    add_bytes(strings, "", 1);
    return strings->out_of_memory ? "" : strings->bytes;
}

void
hdf5_json_string(hdf5_strings_t *json, const char *text)
{
    char escape[8];

    hdf5_strings_append(json, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", c);
        else if (c < ' ')
            snprintf(escape, sizeof(escape), "\\u%04x", c);
        else
            snprintf(escape, sizeof(escape), "%c", c);
        hdf5_strings_append(json, escape);
    }
    hdf5_strings_append(json, "\"");
}

/* JSON has no numbers for infinity and NaN: they become strings. */
void
hdf5_json_number(hdf5_strings_t *json, double x, bool comma)
{
    char text[48];

    if (isfinite(x))
        snprintf(text, sizeof(text), "%s%.17g", comma ? ", " : "", x);
    else
        snprintf(text, sizeof(text), "%s\"%s\"", comma ? ", " : "", isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
    hdf5_strings_append(json, text);
}

int
hdf5_strings_broadcast(hdf5_strings_t *strings, alch_call_t *call)
{
    int64_t sizes[2] = {(int64_t)strings->size, (int64_t)strings->count};
    int code = ALCH_OK;

    if (strings->out_of_memory)
        code = call->host->fail(call, ALCH_ENOMEM, "the list of data sets cannot be allocated");
    else if (strings->size > BROADCAST_BYTES_MAX)
        code = call->host->fail(call, ALCH_ELIMIT, "the list of data sets has %zu bytes, the limit is %d",
                                strings->size, BROADCAST_BYTES_MAX);
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    MPI_Bcast(sizes, 2, MPI_INT64_T, 0, call->comm);
    if (call->rank != 0 && sizes[0] && !(strings->bytes = malloc((size_t)sizes[0])))
        code = call->host->fail(call, ALCH_ENOMEM, "the list of data sets cannot be allocated");
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    MPI_Bcast(strings->bytes, (int)sizes[0], MPI_BYTE, 0, call->comm);
    strings->size = (size_t)sizes[0];
    strings->count = (size_t)sizes[1];
    return ALCH_OK;
}

const char **
hdf5_strings_pointers(hdf5_strings_t *strings)
{
    const char *at = strings->bytes;

    free(strings->pointers);
    if (!(strings->pointers = malloc((strings->count + 1) * sizeof(*strings->pointers))))
        return NULL;
    for (size_t k = 0; k < strings->count; k++) {
        strings->pointers[k] = at;
        at += strlen(at) + 1;
    }
    return strings->pointers;
}

void
hdf5_strings_free(hdf5_strings_t *strings)
{
    free(strings->bytes);
    free(strings->pointers);
    memset(strings, 0, sizeof(*strings));
}
