/* Lists of texts that go from rank 0 to all, and JSON as one of them. Out of memory shows when they are used. */
#ifndef PLUGIN_HDF5_TEXTS_H
#define PLUGIN_HDF5_TEXTS_H

#include <alchemist/plugin.h>

/* `count` texts one behind the other, each with its NUL. */
typedef struct {
    char *bytes;
    size_t size, room, count;
    const char **lines;
    bool bad;
} hdf5_texts_t;

void hdf5_texts_add(hdf5_texts_t *texts, const char *text);
/* To a text that is being built. */
void hdf5_texts_append(hdf5_texts_t *texts, const char *part);
/* The text that was built, "" without memory. */
const char *hdf5_texts_whole(hdf5_texts_t *texts);
void hdf5_json_string(hdf5_texts_t *json, const char *text);
void hdf5_json_number(hdf5_texts_t *json, double x, bool comma);
/* Rank 0's to all. @collective yes */
int hdf5_texts_share(hdf5_texts_t *texts, alch_call_t *call);
/* An array of the texts; NULL: no memory. Lives as long as they. */
const char **hdf5_texts_lines(hdf5_texts_t *texts);
void hdf5_texts_free(hdf5_texts_t *texts);

#endif
