/**
 * @file alchemist/library.h
 * Libraries that the workers load, and typed values for their functions.
 *
 * The server itself computes nothing. Libraries do: shared objects on the
 * workers' hosts. The workers of a session load them on request, and the client
 * then calls their functions by name (task.h). A library describes its
 * functions, so that a client can check calls and show help without knowing the
 * library. plugin.h says how to write one.
 *
 * Terms:
 *
 *     library    a shared object from the directories of --plugin-dir
 *     function   an operation of a library, with named, typed parameters and
 *                results
 *     signature  text such as "A:matrix, k:int64=10 -> U:matrix, s:vector"
 *     value      a scalar, a string, a matrix (by its id), or a list of one type
 *
 * One way to use this API is to load a library and to list its functions:
 *
 *     alch_library_t *library;
 *
 *     if (alch_library_load(session, "hello", NULL, 30000, &library, &err)) {
 *         fprintf(stderr, "%s: %s\n", alch_errname(err.code), err.text);
 *         return err.code;
 *     }
 *     for (size_t k = 0; k < alch_library_function_count(library); k++) {
 *         const alch_function_t *function = alch_library_function(library, k);
 *         printf("%s(%s)\n    %s\n", function->name, function->signature, function->summary);
 *     }
 *     alch_library_destroy(library);
 *
 * task.h has an example of a call with arguments.
 */
#ifndef ALCHEMIST_LIBRARY_H
#define ALCHEMIST_LIBRARY_H

#include <alchemist/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Types of parameters and results. The values travel over the wire and never change. */
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
    ALCH_TYPE_MATRIX = 15  /**< the id of a matrix */
} alch_type_t;

/**
 * The name of a type in signatures, for example "int32".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string; NULL for an unknown type
 */
const char *alch_type_name(alch_type_t type);

/**
 * An ordered set of named, typed values: the arguments of a call, or its
 * results. A value is a scalar or a list of one type.
 *
 * Setting copies the value and replaces one of the same name. Integers may be
 * set as int64 and reals as float64 for any parameter that can hold them: the
 * driver converts them and checks their range. If a value does not fit,
 * alch_task_submit() returns ALCH_ETYPE with the function, the parameter and
 * the value.
 *
 * A set belongs to no session: no function of it contacts the driver.
 *
 * @threads  one thread at a time may use a set
 */
typedef struct alch_values alch_values_t;

/**
 * Create an empty set.
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      owned by the caller; NULL: out of memory
 */
alch_values_t *alch_values_create(void);

/**
 * Free a set that alch_values_create() made.
 *
 * @collective  no
 * @threads     no other thread may use the set any more
 * @param[in] values  owned by the caller until now; NULL is allowed
 */
void alch_values_destroy(alch_values_t *values);

/**
 * Set a value: the functions alch_values_set_*().
 *
 * @collective  no
 * @threads     as alch_values_t
 * @param[in,out] values  the set
 * @param[in]     name    UTF-8, not empty, copied
 * @param[in]     x, ids  the value or the entries of a list, copied. Complex
 *                        entries of a list are pairs (real, imaginary)
 * @param[in]     count   number of list entries; 0 is allowed
 *
 * @return ALCH_OK      the set has the value
 * @return ALCH_EINVAL  `values`, the name or `x` is NULL, or a text is not valid
 *                      UTF-8
 * @return ALCH_ENOMEM  out of memory
 */
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

/**
 * The number of values in a set.
 *
 * @collective  no
 * @threads     as alch_values_t
 * @param[in] values  NULL counts as an empty set
 * @return      the number of values
 */
size_t alch_values_count(const alch_values_t *values);

/**
 * The name of value `index`.
 *
 * @collective  no
 * @threads     as alch_values_t
 * @param[in] values  NULL counts as an empty set
 * @param[in] index   from 0
 * @return      owned by the set and valid until it changes; NULL past the end
 */
const char *alch_values_name(const alch_values_t *values, size_t index);

/**
 * Describe a value: its type, whether it is a list, and how long.
 *
 * @collective  no
 * @threads     as alch_values_t
 * @param[in]  values   NULL counts as an empty set
 * @param[in]  name     borrowed
 * @param[out] type_p   its type, or NULL
 * @param[out] list_p   whether it is a list, or NULL
 * @param[out] count_p  number of list entries, 1 for a scalar; or NULL
 *
 * @return ALCH_OK      the outputs are set
 * @return ALCH_ENOENT  there is no value of this name
 */
int alch_values_describe(const alch_values_t *values, const char *name, alch_type_t *type_p, bool *list_p,
                         size_t *count_p);

/**
 * Get a value or an entry of a list: the functions alch_values_get_*().
 *
 * get_int() takes integers of every width, get_uint() unsigned ones,
 * get_real() float32 and float64, get_complex() complex64 and complex128.
 *
 * @collective  no
 * @threads     as alch_values_t
 * @param[in]  values  NULL counts as an empty set
 * @param[in]  name    borrowed
 * @param[in]  index   of the list entry, from 0; 0 for a scalar
 * @param[out] x_p, re_p, im_p, id_p
 *                     written on success only; a string is owned by the set and
 *                     valid until it changes
 *
 * @return ALCH_OK      the output is set
 * @return ALCH_ENOENT  there is no value of this name or no such entry
 * @return ALCH_ETYPE   the value is of another kind
 * @return ALCH_EINVAL  an output pointer is NULL
 */
int alch_values_get_bool(const alch_values_t *values, const char *name, size_t index, bool *x_p);
int alch_values_get_int(const alch_values_t *values, const char *name, size_t index, int64_t *x_p);
int alch_values_get_uint(const alch_values_t *values, const char *name, size_t index, uint64_t *x_p);
int alch_values_get_real(const alch_values_t *values, const char *name, size_t index, double *x_p);
int alch_values_get_complex(const alch_values_t *values, const char *name, size_t index, double *re_p, double *im_p);
int alch_values_get_string(const alch_values_t *values, const char *name, size_t index, const char **x_p);
int alch_values_get_matrix(const alch_values_t *values, const char *name, size_t index, uint64_t *id_p);

/** Kinds of notes that a function makes in addition to its results. The values travel over the wire, and never
 *  change. */
typedef enum {
    ALCH_NOTE = 1,   /**< how the result was computed, for example that a matrix was copied to another layout */
    ALCH_WARNING = 2 /**< the results can be worse than expected: not converged, badly conditioned */
} alch_note_kind_t;

/** The most notes that one task can have. */
#define ALCH_NOTES_MAX 32

/** A parameter or a result of a function. */
typedef struct {
    const char *name;
    alch_type_t type;
    bool list;
    bool optional;            /**< has a default */
    const char *default_text; /**< as in the signature; NULL without a default */
    const char *doc;          /**< may be "" */
} alch_parameter_t;

/** A function of a library. All members are owned by the library's handle. */
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

/** A handle of a library that a session has loaded: its name, version and functions. Destroy it before the session. */
typedef struct alch_library alch_library_t;

/**
 * Load a library on every worker of the session's group.
 *
 * If the library is loaded already, the call only makes a new handle of it. When
 * the session gets new workers, they load its libraries without a further call.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session     borrowed
 * @param[in]  name        name of the library, in any case, not empty; without a
 *                         path it is looked for as <name>.so or lib<name>.so in the
 *                         directories of --plugin-dir; borrowed
 * @param[in]  path        absolute path on the workers' host, which must be in one
 *                         of these directories after links are resolved; borrowed;
 *                         NULL: by name
 * @param[in]  timeout_ms  how long to wait now; 0: only start the load; -1: as
 *                         long as it takes
 * @param[out] library_p   handle owned by the caller
 * @param[out] err         details of a failure, or NULL
 *
 * @return ALCH_OK        the library is loaded
 * @return ALCH_EAGAIN    it is still being loaded: call again
 * @return ALCH_ENOENT    there is no such library; the text lists the directories
 *                        and the libraries in them
 * @return ALCH_EPERM     the path is in no listed directory, or other users may
 *                        write the file
 * @return ALCH_EPLUGIN   the workers refuse the library; the text names both sides
 *                        of the mismatch
 * @return ALCH_EINVAL    the name is empty or cannot be a library's name
 * @return ALCH_ESTATE    the session has no workers, they are still starting, or
 *                        the session is closing
 * @return ALCH_EBUSY     the session's matrices are being moved to other workers
 * @return ALCH_EGROUP    the worker group was lost; loading can be the cause
 * @return ALCH_EINTERNAL MPI has no communicator left for the library
 * @return otherwise      the error of the library's init, or a common error of
 *                        session.h
 */
int alch_library_load(alch_session_t *session, const char *name, const char *path, int timeout_ms,
                      alch_library_t **library_p, alch_error_t *err);

/**
 * Free the handle; the library stays loaded.
 *
 * @collective  no
 * @threads     no other thread may use the handle any more
 * @param[in] library  owned by the caller until now; NULL is allowed
 */
void alch_library_destroy(alch_library_t *library);

/**
 * The name of a library, its version, and its one-line summary.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] library  not NULL
 * @return      owned by the handle, lives as long as it, never NULL
 */
const char *alch_library_name(const alch_library_t *library);
const char *alch_library_version(const alch_library_t *library);
const char *alch_library_summary(const alch_library_t *library);

/**
 * The number of functions of a library.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] library  not NULL
 * @return      the number of functions
 */
size_t alch_library_function_count(const alch_library_t *library);

/**
 * Function `index` of a library.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] library  not NULL
 * @param[in] index    from 0
 * @return      owned by the handle, lives as long as it; NULL past the end
 */
const alch_function_t *alch_library_function(const alch_library_t *library, size_t index);

/**
 * List the libraries that can be loaded, or those that are loaded.
 *
 * The names come from the files in the driver's plugin directories; a library
 * that is listed can still be refused.
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in]  session      borrowed
 * @param[in]  loaded_only  true: only libraries that the session has loaded
 * @param[out] names_p      array of names that ends with NULL, owned by the caller,
 *                          who calls alch_names_free()
 * @param[out] count_p      its length without the NULL; NULL is allowed
 * @param[out] err          details of a failure, or NULL
 *
 * @return ALCH_OK    *names_p is set
 * @return otherwise  a common error of session.h
 */
int alch_library_list(alch_session_t *session, bool loaded_only, char ***names_p, size_t *count_p,
                      alch_error_t *err);

/**
 * Free the array of alch_library_list().
 *
 * @collective  no
 * @threads     MT-Safe
 * @param[in] names  NULL is allowed
 */
void alch_names_free(char **names);

#ifdef __cplusplus
}
#endif
#endif
