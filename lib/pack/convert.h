/**
 * @file pack/convert.h
 * Convert entries from one type to another. A value that the new type cannot represent is reported, never stored as
 * another value. The processor rounds to nearest.
 *
 * @threads  MT-Safe on different memory
 */
#ifndef ALCHI_PACK_CONVERT_H
#define ALCHI_PACK_CONVERT_H

#include <alchemist/error.h>
#include <alchemist/types.h>
#include <stdbool.h>

/**
 * Convert entries.
 *
 * @param from, to   types for which alchi_dtype_check_conversion() returns ALCH_OK
 * @param conjugate  conjugate complex results
 * @param[in] in     `count` entries of type `from`; need not be aligned
 * @param[out] out   room for `count` entries of type `to`; disjoint from `in`, or starts where `in` starts
 *
 * @return -1 if every value fits; otherwise the index of the first entry whose value does not, and the content of `out`
 *         is undefined. Infinities and NaN fit into floating-point types.
 */
int64_t alchi_convert(alch_dtype_t from, alch_dtype_t to, bool conjugate, const void *in, void *out, int64_t count);

#endif
