/* Convert a value to another type. */
#include "wire/kind.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>

typedef struct {
    const Alchw__Value *from;
    Alchw__Value *to;
    const alchi_kind_info_t *info; /* of the type of `to` */
    const char *what;
    alch_error_t *err;
} conversion_t;

/* An integer as sign and magnitude, so that int64 and uint64 are handled by the same code. */
typedef struct {
    bool negative;
    uint64_t magnitude;
} integer_t;

static int
report_no_fit(const conversion_t *c, const char *number)
{
    return alchi_error_set(c->err, ALCH_ETYPE, "%s: %s does not fit %s", c->what, number,
                           alch_type_name((alch_type_t)c->to->type));
}

static int
report_integer_no_fit(const conversion_t *c, integer_t x)
{
    char text[32];

    snprintf(text, sizeof(text), "%s%llu", x.negative ? "-" : "", (unsigned long long)x.magnitude);
    return report_no_fit(c, text);
}

/* Whether a floating-point number with this many bits of mantissa represents the integer exactly. */
static bool
exact_in(uint64_t magnitude, int bits)
{
    while (magnitude && !(magnitude & 1))
        magnitude >>= 1;
    return magnitude >> bits == 0;
}

static int
add_integer(const conversion_t *c, integer_t x)
{
    uint64_t lowest = c->info->min < 0 ? 0 - (uint64_t)c->info->min : 0;
    double d;
    int code;

    switch (c->info->kind) {
    case ALCHI_KIND_BOOL:
    case ALCHI_KIND_INT:
        if (x.magnitude > (x.negative ? lowest : c->info->max))
            return report_integer_no_fit(c, x);
        return alchi_value_add_i(c->to, (int64_t)(x.negative ? 0 - x.magnitude : x.magnitude));
    case ALCHI_KIND_UINT:
    case ALCHI_KIND_MATRIX:
        if (x.negative || x.magnitude > c->info->max)
            return report_integer_no_fit(c, x);
        return alchi_value_add_u(c->to, x.magnitude);
    default:
        if (!exact_in(x.magnitude, c->info->single ? 24 : 53))
            return report_integer_no_fit(c, x);
        d = x.negative ? -(double)x.magnitude : (double)x.magnitude;
        code = alchi_value_add_d(c->to, d);
        return code || c->info->kind == ALCHI_KIND_REAL ? code : alchi_value_add_d(c->to, 0);
    }
}

static int
add_real(const conversion_t *c, double x)
{
    char text[32];

    if (!c->info->single)
        return alchi_value_add_d(c->to, x);
    if (isfinite(x) && isinf((float)x)) {
        snprintf(text, sizeof(text), "%g", x);
        return report_no_fit(c, text);
    }
    return alchi_value_add_d(c->to, (double)(float)x);
}

/* Convert entry k. The caller has checked that the kinds can be converted. */
static int
add_entry(const conversion_t *c, size_t k)
{
    const Alchw__Value *from = c->from;
    int code;

    switch (alchi_kind(from->type)->kind) {
    case ALCHI_KIND_BOOL:
    case ALCHI_KIND_INT:
        return add_integer(
            c, (integer_t){from->i[k] < 0, from->i[k] < 0 ? 0 - (uint64_t)from->i[k] : (uint64_t)from->i[k]});
    case ALCHI_KIND_UINT:
    case ALCHI_KIND_MATRIX:
        return add_integer(c, (integer_t){false, from->u[k]});
    case ALCHI_KIND_REAL:
        code = add_real(c, from->d[k]);
        return code || c->info->kind == ALCHI_KIND_REAL ? code : add_real(c, 0);
    case ALCHI_KIND_COMPLEX:
        code = add_real(c, from->d[2 * k]);
        return code ? code : add_real(c, from->d[2 * k + 1]);
    default:
        return alchi_value_add_s(c->to, from->s[k]);
    }
}

/* Whether one kind can be converted to another. A number never becomes a bool, a string or a matrix, and a real never
 * becomes an integer. */
static bool
is_convertible(alchi_kind_t from, alchi_kind_t to)
{
    switch (to) {
    case ALCHI_KIND_NONE:
        return false;
    case ALCHI_KIND_INT:
    case ALCHI_KIND_UINT:
        return from == ALCHI_KIND_INT || from == ALCHI_KIND_UINT;
    case ALCHI_KIND_REAL:
        return from >= ALCHI_KIND_INT && from <= ALCHI_KIND_REAL;
    case ALCHI_KIND_COMPLEX:
        return from >= ALCHI_KIND_INT && from <= ALCHI_KIND_COMPLEX;
    default:
        return from == to;
    }
}

int
alchi_value_convert(const Alchw__Value *value, alch_type_t type, bool list, const char *what, Alchw__Value **value_p,
                    alch_error_t *err)
{
    const alchi_kind_info_t *info = alchi_kind((unsigned)type);
    size_t count = alchi_value_count(value), k;
    conversion_t c = {value, NULL, info, what, err};
    char expected[32], got[32];
    int code = ALCH_OK;

    /* An empty list can become a list of any type, because no entry can have the wrong type. */
    if (info->kind == ALCHI_KIND_NONE || list != (bool)value->list ||
        !(is_convertible(alchi_kind(value->type)->kind, info->kind) || (list && !count)))
        return alchi_error_set(err, ALCH_ETYPE, "%s must be %s, not %s", what,
                               alchi_type_text((unsigned)type, list, expected),
                               alchi_type_text(value->type, value->list, got));
    c.to = alchi_value_create(type, list);
    if (!c.to)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for %s", what);
    for (k = 0; k < count && !code; k++)
        code = add_entry(&c, k);
    if (code) {
        alchi_message_free(c.to);
        return code == ALCH_ENOMEM ? alchi_error_set(err, code, "out of memory for %s", what) : code;
    }
    *value_p = c.to;
    return ALCH_OK;
}
