/** @file wire/kind.h  What the types of values have in common: how an entry is held, and its range. */
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
    int64_t lo;  /* INT, BOOL */
    uint64_t hi; /* INT, BOOL, UINT, MATRIX */
    bool single; /* REAL, COMPLEX: held with float's precision */
} alchi_kind_info_t;

/** Never NULL: kind is ALCHI_KIND_NONE for an unknown type. */
const alchi_kind_info_t *alchi_kind(unsigned type);

/** "int64", "int64[]" for lists; "type 99" if unknown. Returns text, which has at least 32 bytes. */
char *alchi_type_text(unsigned type, bool list, char text[32]);

#endif
