/** @file wire/kind.h  The kind of each value type: the list of the message that holds its entries, and their range. */
#ifndef ALCHI_WIRE_KIND_H
#define ALCHI_WIRE_KIND_H

#include "wire/value.h"

typedef enum {
    ALCHI_KIND_NONE = 0, /* not a type */
    ALCHI_KIND_BOOL,     /* i: 0 or 1 */
    ALCHI_KIND_INT,      /* i */
    ALCHI_KIND_UINT,     /* u */
    ALCHI_KIND_REAL,     /* d */
    ALCHI_KIND_COMPLEX,  /* d, pairs */
    ALCHI_KIND_STRING,   /* s */
    ALCHI_KIND_MATRIX    /* u: id */
} alchi_kind_t;

typedef struct {
    alchi_kind_t kind;
    int64_t min;  /* INT, BOOL */
    uint64_t max; /* INT, BOOL, UINT, MATRIX */
    bool single;  /* REAL, COMPLEX: single precision */
} alchi_kind_info_t;

/** The kind of a type; ALCHI_KIND_NONE if the type is unknown. Never NULL. */
const alchi_kind_info_t *alchi_kind(unsigned type);

/** Name a type: "int64", "int64[]" for a list, "type 99" if it is unknown. @return text */
char *alchi_type_text(unsigned type, bool list, char text[32]);

#endif
