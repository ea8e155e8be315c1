/** @file hdf5/string_list.h  Lists of strings that rank 0 builds and broadcasts, and JSON text. No function that adds
 * to a list fails: hdf5_strings_broadcast() reports that memory ran out. */
#ifndef PLUGIN_HDF5_STRING_LIST_H
#define PLUGIN_HDF5_STRING_LIST_H

#include <alchemist/plugin.h>

/** `count` strings in one buffer, one after the other, each with its NUL. All zeros: an empty list. */
typedef struct {
    char *bytes;
    size_t size, capacity, count;
    const char **pointers; /**< to each string, or NULL */
    bool out_of_memory;
} hdf5_strings_t;

/** Add a string. */
void hdf5_strings_add(hdf5_strings_t *strings, const char *text);
/** Append to one text that is built in the buffer; hdf5_strings_terminate() ends it. */
void hdf5_strings_append(hdf5_strings_t *text, const char *part);
/** End the text that was built. @return the text, or "" if memory ran out; valid until the buffer changes */
const char *hdf5_strings_terminate(hdf5_strings_t *text);
/** Append a JSON string, in quotes. */
void hdf5_json_string(hdf5_strings_t *json, const char *text);
/** Append a number. @param comma  put ", " before it */
void hdf5_json_number(hdf5_strings_t *json, double x, bool comma);
/** Broadcast rank 0's list to all ranks. @collective yes */
int hdf5_strings_broadcast(hdf5_strings_t *strings, alch_call_t *call);
/** @return an array of pointers to the strings, valid as long as the list does not change; NULL: no memory */
const char **hdf5_strings_pointers(hdf5_strings_t *strings);
void hdf5_strings_free(hdf5_strings_t *strings);

#endif
