/**
 * @file wire/value.h
 * Typed values, signatures and arguments: operations on messages without I/O. The client uses them for sets of values,
 * the driver to check arguments, and ranks to parse signatures. The caller owns every message that a function returns,
 * and frees it with alchi_message_free().
 */
#ifndef ALCHI_WIRE_VALUE_H
#define ALCHI_WIRE_VALUE_H

#include "wire/message.h"
#include <alchemist/library.h>

/** Number of entries of a value. A complex entry is two numbers in `d`. */
size_t alchi_value_count(const Alchw__Value *value);

/** Check that the type, the list flag and the filled lists of a peer's value agree. @return ALCH_OK, ALCH_EPROTO */
int alchi_value_check(const Alchw__Value *value, alch_error_t *err);

/** Create a value without entries. NULL: out of memory. */
Alchw__Value *alchi_value_create(alch_type_t type, bool list);
/** NULL: out of memory. */
Alchw__Value *alchi_value_copy(const Alchw__Value *value);
/** Append one entry to the list that the type uses. A complex entry takes two calls of alchi_value_add_d().
 *  @return ALCH_OK, ALCH_ENOMEM */
int alchi_value_add_i(Alchw__Value *value, int64_t x);
int alchi_value_add_u(Alchw__Value *value, uint64_t x);
int alchi_value_add_d(Alchw__Value *value, double x);
int alchi_value_add_s(Alchw__Value *value, const char *x);

/** Create a named value, which owns `value` from now on; `value` is freed on failure. NULL: out of memory, or `value`
 *  is NULL. */
Alchw__NamedValue *alchi_named_create(const char *name, Alchw__Value *value);
/** Copy a protobuf message by packing and unpacking it. NULL: out of memory. */
void *alchi_message_copy(const void *message);

/**
 * Convert a value to another type. Integers become other integer types, real or complex if the target represents them
 * exactly. Reals become complex. Double precision is rounded to single precision, but a finite number must stay
 * finite. An empty list can become a list of any type. No other kind can be converted to another kind.
 *
 * @param what  names the value in error texts: "TestLib.truncated_svd: parameter 'rank'"
 *
 * @return ALCH_OK, ALCH_ETYPE ("... must be int64, not string"; "...: 300 does not fit int8"), ALCH_ENOMEM
 */
int alchi_value_convert(const Alchw__Value *value, alch_type_t type, bool list, const char *what,
                        Alchw__Value **value_p, alch_error_t *err);

/**
 * Read a default value of a signature: 10, -1.5e3, true, "text", 1+2j, [1, 2], or `none`, which is the matrix id 0.
 *
 * @return ALCH_OK, ALCH_ETYPE, ALCH_ENOMEM
 */
int alchi_value_parse(const char *text, alch_type_t type, bool list, Alchw__Value **value_p, alch_error_t *err);

/**
 * Create the description of a function from its signature ("A:matrix, k:int64=10, t:string[] -> U:matrix, s:vector")
 * and its documentation, in which lines "name: text" document parameters and results.
 *
 * @return ALCH_OK; ALCH_EPLUGIN: the text names the function and the place in the signature; ALCH_ENOMEM
 */
int alchi_function_parse(const char *name, const char *signature, const char *summary, const char *doc,
                         Alchw__Function **function_p, alch_error_t *err);

/**
 * Check arguments against a function. The result has them in the order of its parameters, converted to the parameters'
 * types, with defaults for those that are missing. `given` may have any order.
 *
 * @param[out] arguments_p  array of function->n_parameters; free each with alchi_message_free(), then the array
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT  the function has no parameter of an argument's name; the text lists the parameters
 * @return ALCH_ETYPE   an argument is missing, is given twice, has no value, or has the wrong type
 * @return ALCH_EPROTO  as alchi_value_check()
 * @return ALCH_ENOMEM
 */
int alchi_arguments_check(const char *library, const Alchw__Function *function, Alchw__NamedValue *const *given,
                          size_t given_count, Alchw__NamedValue ***arguments_p, alch_error_t *err);

#endif
