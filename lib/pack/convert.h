/**
 * @file pack/convert.h
 * Entries from one type to another. A value that the new type cannot hold is found, never stored as something else;
 * rounding is the processor's, to nearest. Pure memory, MT-Safe.
 */
#ifndef ALCHI_PACK_CONVERT_H
#define ALCHI_PACK_CONVERT_H

#include <alchemist/error.h>
#include <alchemist/types.h>
#include <stdbool.h>

/**
 * Convert `count` entries, for which alchi_dtype_check_conversion() holds.
 * @param conjugate  complex results are conjugated
 * @param in, out    disjoint, or the same start
 * @return -1, or the first entry whose value does not fit (infinities and NaN fit floats); what out holds is undefined
 *         then
 */
int64_t alchi_convert(alch_dtype_t from, alch_dtype_t to, bool conjugate, const void *in, void *out, int64_t count);

#endif
