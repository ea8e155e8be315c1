/** @file base/types.h  Which types of entries may be converted to which other types. */
#ifndef ALCHI_BASE_TYPES_H
#define ALCHI_BASE_TYPES_H

#include <alchemist/error.h>
#include <alchemist/types.h>
#include <stdbool.h>

/**
 * Check that entries of one type may be converted to another one.
 *
 * @param unsafe  also allow floating-point numbers to become integers (truncated towards zero)
 *
 * @return ALCH_OK
 * @return ALCH_ETYPE   complex to real; or floating point to integer without `unsafe`
 * @return ALCH_EINVAL  one of the types is unknown
 */
int alchi_dtype_check_conversion(alch_dtype_t from, alch_dtype_t to, bool unsafe, alch_error_t *err);

#endif
