/**
 * @file library.h
 * Libraries that the workers load, and typed values for their functions.
 */
#ifndef ALCHEMIST_LIBRARY_H
#define ALCHEMIST_LIBRARY_H

#include <alchemist/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Types of parameters and results. The values travel over the wire. */
typedef enum {
    ALCH_TYPE_BOOL = 1,
    ALCH_TYPE_INT8 = 2,
    ALCH_TYPE_INT16 = 3,
    ALCH_TYPE_INT32 = 4,
    ALCH_TYPE_INT64 = 5,
    ALCH_TYPE_UINT8 = 6,
    ALCH_TYPE_UINT16 = 7,
    ALCH_TYPE_UINT32 = 8,
    ALCH_TYPE_UINT64 = 9,
    ALCH_TYPE_FLOAT32 = 10,
    ALCH_TYPE_FLOAT64 = 11,
    ALCH_TYPE_COMPLEX64 = 12,
    ALCH_TYPE_COMPLEX128 = 13,
    ALCH_TYPE_STRING = 14, /**< UTF-8 */
    ALCH_TYPE_MATRIX = 15
} alch_type_t;

/** The name used in signatures, "int32" for example; NULL if unknown. @threads MT-Safe */
const char *alch_type_name(alch_type_t type);

/**
 * An ordered set of named, typed values: the arguments of a call, or its
 * results. A value is a scalar or a list of one type.
 *
 * Setting copies, and replaces a value of the same name. Integers may be given
 * as int64 and reals as float64 for any parameter that can hold them: the driver
 * converts with range checks (ALCH_ETYPE names function, parameter, value).
 *
 * @threads  a set is used by one thread at a time
 */
typedef struct alch_values alch_values_t;

alch_values_t *alch_values_create(void); /**< NULL: out of memory */
void alch_values_destroy(alch_values_t *values);

/* Each returns ALCH_OK, ALCH_ENOMEM or ALCH_EINVAL (no name, invalid UTF-8). Complex
 * lists are pairs (real, imaginary); count is the number of list entries. */
int alch_values_set_bool(alch_values_t *values, const char *name, bool x);
int alch_values_set_int(alch_values_t *values, const char *name, int64_t x);
int alch_values_set_uint(alch_values_t *values, const char *name, uint64_t x);
int alch_values_set_real(alch_values_t *values, const char *name, double x);
int alch_values_set_complex(alch_values_t *values, const char *name, double re, double im);
int alch_values_set_string(alch_values_t *values, const char *name, const char *x);
int alch_values_set_matrix(alch_values_t *values, const char *name, uint64_t id);
int alch_values_set_bools(alch_values_t *values, const char *name, const bool *x, size_t count);
int alch_values_set_ints(alch_values_t *values, const char *name, const int64_t *x, size_t count);
int alch_values_set_uints(alch_values_t *values, const char *name, const uint64_t *x, size_t count);
int alch_values_set_reals(alch_values_t *values, const char *name, const double *x, size_t count);
int alch_values_set_complexes(alch_values_t *values, const char *name, const double *x, size_t count);
int alch_values_set_strings(alch_values_t *values, const char *name, const char *const *x, size_t count);
int alch_values_set_matrices(alch_values_t *values, const char *name, const uint64_t *ids, size_t count);

size_t alch_values_count(const alch_values_t *values);
/** The name of value `index`, NULL past the end; lives until the set changes. */
const char *alch_values_name(const alch_values_t *values, size_t index);
/** Type, whether it is a list, and its length (1 for scalars). @return ALCH_ENOENT no such name */
int alch_values_describe(const alch_values_t *values, const char *name, alch_type_t *type_p, bool *list_p,
                         size_t *count_p);

/* Entry `index` of a value (0 for scalars). ALCH_ENOENT: no such name or index;
 * ALCH_ETYPE: the value is of another kind. Strings live until the set changes. */
int alch_values_get_bool(const alch_values_t *values, const char *name, size_t index, bool *x_p);
int alch_values_get_int(const alch_values_t *values, const char *name, size_t index, int64_t *x_p);
int alch_values_get_uint(const alch_values_t *values, const char *name, size_t index, uint64_t *x_p);
int alch_values_get_real(const alch_values_t *values, const char *name, size_t index, double *x_p);
int alch_values_get_complex(const alch_values_t *values, const char *name, size_t index, double *re_p, double *im_p);
int alch_values_get_string(const alch_values_t *values, const char *name, size_t index, const char **x_p);
int alch_values_get_matrix(const alch_values_t *values, const char *name, size_t index, uint64_t *id_p);

/** What a function has to say besides its results. The values travel over the wire. */
typedef enum {
    ALCH_NOTE = 1,   /**< how it was done: a matrix was relaid out, for example */
    ALCH_WARNING = 2 /**< the results may not be what was wanted: not converged, badly conditioned */
} alch_note_kind_t;

#define ALCH_NOTES_MAX 32 /* of one task */

/** One parameter or result of a function. */
typedef struct {
    const char *name;
    alch_type_t type;
    bool list;
    bool optional;            /**< has a default */
    const char *default_text; /**< as in the signature; NULL without default */
    const char *doc;          /**< may be "" */
} alch_parameter_t;

typedef struct {
    const char *name;
    const char *signature;
    const char *summary;      /**< one line */
    const char *doc;          /**< may be "" */
    const alch_parameter_t *parameters;
    size_t parameter_count;
    const alch_parameter_t *results;
    size_t result_count;
} alch_function_t;

/** A library loaded in a session: its name, version and functions. */
typedef struct alch_library alch_library_t;

/**
 * Load a library on every worker of the session's group.
 *
 * @param[in] name        its name, looked for as <name>.so or lib<name>.so in the driver's plugin directories
 * @param[in] path        a path on the workers' host that resolves into a listed directory; NULL: by name
 * @param[in] timeout_ms  how long to wait now
 * @return ALCH_OK       loaded, or was before
 * @return ALCH_EAGAIN   still loading; call again
 * @return ALCH_ENOENT   no such library: the text lists directories and what they hold
 * @return ALCH_EPERM    the path is not in a listed directory
 * @return ALCH_EPLUGIN  refused: the text names both sides
 * @return ALCH_ESTATE   the session has no workers
 */
int alch_library_load(alch_session_t *session, const char *name, const char *path, int timeout_ms,
                      alch_library_t **library_p, alch_error_t *err);

/** Free the handle; the library stays loaded. NULL is allowed. */
void alch_library_destroy(alch_library_t *library);

const char *alch_library_name(const alch_library_t *library);
const char *alch_library_version(const alch_library_t *library);
const char *alch_library_summary(const alch_library_t *library);
size_t alch_library_function_count(const alch_library_t *library);
/** Function `index`, NULL past the end; lives as long as the handle. */
const alch_function_t *alch_library_function(const alch_library_t *library, size_t index);

/**
 * Names of the libraries that the driver's plugin directories offer, or that are loaded.
 *
 * @param[out] names_p  NULL-terminated, owned by the caller: alch_names_free()
 */
int alch_library_list(alch_session_t *session, bool loaded_only, char ***names_p, size_t *count_p,
                      alch_error_t *err);
void alch_names_free(char **names);

#ifdef __cplusplus
}
#endif
#endif
