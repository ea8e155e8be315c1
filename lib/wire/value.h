/**
 * @file wire/value.h
 * Typed values, signatures and arguments, as pure operations on messages: shared by
 * client (sets of values), driver (checking arguments) and worker (signatures).
 * Everything made here is allocated the way alchi_message_free() expects.
 */
#ifndef ALCHI_WIRE_VALUE_H
#define ALCHI_WIRE_VALUE_H

#include "wire/message.h"
#include <alchemist/library.h>

/** Entries of a value; a complex entry is two of `d`. */
size_t alchi_value_count(const Alchw__Value *value);

/** Whether type, list flag and the lists filled agree (a peer sent it). @return ALCH_OK or ALCH_EPROTO */
int alchi_value_check(const Alchw__Value *value, alch_error_t *err);

Alchw__Value *alchi_value_create(alch_type_t type, bool list);
Alchw__Value *alchi_value_copy(const Alchw__Value *value);
/** Append one entry. @return ALCH_OK or ALCH_ENOMEM */
int alchi_value_add_i(Alchw__Value *value, int64_t x);
int alchi_value_add_u(Alchw__Value *value, uint64_t x);
int alchi_value_add_d(Alchw__Value *value, double x);
int alchi_value_add_s(Alchw__Value *value, const char *x);

Alchw__NamedValue *alchi_named_create(const char *name, Alchw__Value *value); /* takes value over */
/** Copy a protobuf message by packing and unpacking it; NULL: out of memory. */
void *alchi_message_copy(const void *message);

/**
 * Convert to another type: between integer widths and from integers to reals and
 * complex with range checks, never silently losing anything; float64 to float32 by rounding.
 *
 * @param what  how the text names it: "TestLib.truncated_svd: parameter 'rank'"
 * @return ALCH_OK, ALCH_ETYPE ("...: int64 expected, got string"; "...: 300 does not fit int8"), ALCH_ENOMEM
 */
int alchi_value_convert(const Alchw__Value *value, alch_type_t type, bool list, const char *what,
                        Alchw__Value **value_p, alch_error_t *err);

/** Read a default from a signature: 10, -1.5e3, true, "text", 1+2j, [1, 2]; none for a matrix, whose id is 0 then. */
int alchi_value_parse(const char *text, alch_type_t type, bool list, Alchw__Value **value_p, alch_error_t *err);

/**
 * Build a function's description from its signature ("A:matrix, k:int64=10, t:string[] -> U:matrix, s:vector"),
 * and from its documentation ("name: text" lines document parameters and results).
 * @return ALCH_OK; ALCH_EPLUGIN naming function and the place in the signature
 */
int alchi_function_parse(const char *name, const char *signature, const char *summary, const char *doc,
                         Alchw__Function **function_p, alch_error_t *err);

/**
 * Check arguments against a function and put them in the order of its parameters with their types and
 * defaults. Arguments may be in any order.
 *
 * @param[out] arguments_p  array of function->n_parameters, each to be freed with alchi_message_free(), then free()
 * @return ALCH_OK; ALCH_ENOENT unknown parameter (lists those there are); ALCH_ETYPE missing, given twice, wrong type
 */
int alchi_arguments_check(const char *library, const Alchw__Function *function, Alchw__NamedValue *const *given,
                          size_t given_count, Alchw__NamedValue ***arguments_p, alch_error_t *err);

#endif
