/**
 * @file pluginhost/call.h
 * The private header behind the services of plugin.h: one call of one operation, with its arguments, results and
 * matrices.
 *
 * An operation gets an alch_call_t. Its member `host` points to alchi_host_services, the table of the services. The
 * services need more than an operation may see. They find it in alchi_host_call_t, whose first member is the
 * alch_call_t.
 *
 * First come the structs, then the functions that set up and end a call, then the services in one group for each source
 * file. The contract of a service is in plugin.h; this file has only its prototype. The file is private to the plugin
 * host.
 *
 * @threads  main thread only, except for the services that plugin.h calls MT-Safe
 */
#ifndef ALCHI_PLUGINHOST_CALL_H
#define ALCHI_PLUGINHOST_CALL_H

#include "pluginhost/agree.h"
#include "pluginhost/plugins.h"
#include "scalapack/blacs.h"
#include <alchemist/plugin.h>

/* A matrix as a library sees it. */
struct alch_dmatrix {
    alchi_store_part_t *part; /* with one reference, which this struct owns */
    bool is_argument;         /* the library may neither free it nor hand it over as a result */
    bool is_result;           /* the library has handed it over with ret_matrix() */
    uint64_t result_id;       /* of a result: the id that the driver has chosen for it */
    struct alch_dmatrix *prev, *next;
};

/* A loaded library. */
typedef struct alchi_host_module {
    struct alchi_host_module *prev, *next;
    void *handle; /* of dlopen() */
    char *path;   /* as realpath() gives it */
    const alch_plugin_t *plugin;
    Alchw__Library *library; /* its description for clients, with functions in the order of plugin->operations */
    MPI_Comm comm;           /* a duplicate for this library alone */
    void *state;             /* of set_state() */
} alchi_host_module_t;

struct alchi_host_plugins {
    alchi_host_plugins_env_t env;
    MPI_Comm comm; /* a duplicate for the services: their messages never meet those of a library */
    int rank, size;
    alchi_blacs_t *blacs;
    alchi_host_module_t *modules;
};

typedef struct {
    alch_call_t call; /* must be first: the operation passes its address to the services */
    alchi_host_plugins_t *plugins;
    alchi_host_module_t *module;
    const Alchw__Function *function; /* NULL in init and fini */
    const Alchw__WorkerTask *task;   /* NULL in init and fini */
    const atomic_bool *cancel;       /* NULL in init and fini */
    alch_dmatrix_t *matrices;        /* arguments, work matrices and results */
    Alchw__Value **results;          /* [function->n_results]; NULL: not set */
    alch_error_t error;              /* the last error that fail(), agree() or another service noted */
    alch_error_t misuse;             /* the first use of a service that the signature does not allow: the call fails */
    int64_t workspace;               /* bytes that workspace() has accounted for */
    Alchw__Note *notes[ALCH_NOTES_MAX];
    size_t note_count;
} alchi_host_call_t;

extern const alch_host_t alchi_host_services;

/**
 * Set up a call and take a reference on each matrix among its arguments. Not collective.
 *
 * @param function, task, cancel  borrowed until alchi_host_call_fini(); all NULL for init and fini
 *
 * @return ALCH_OK
 * @return ALCH_ENOENT  a matrix does not exist; after a failure there is nothing to release
 * @return ALCH_ENOMEM
 */
int alchi_host_call_init(alchi_host_call_t *call, alchi_host_plugins_t *plugins, alchi_host_module_t *module,
                         const Alchw__Function *function, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                         alch_error_t *err);
/** Release the arguments, the work matrices, the results that were not moved into a reply, and the workspace. */
void alchi_host_call_fini(alchi_host_call_t *call);

/** @return the call that an operation's alch_call_t belongs to */
static inline alchi_host_call_t *
alchi_host_call_of(alch_call_t *call)
{
    return (alchi_host_call_t *)call;
}

/**
 * Decide how a call ended, from the value that its operation returned and the errors that the services noted.
 *
 * @param[out] err  not NULL; unchanged on success
 *
 * @return ALCH_OK
 * @return ALCH_EFUNCTION  the operation returned ALCH_OK after a misuse, or a value that is not an error code
 * @return the code that the operation returned
 */
int alchi_host_call_verdict(alchi_host_call_t *call, int returned, alch_error_t *err);

/**
 * Move the results and notes of a successful call into the reply, and give each result matrix its id in the store.
 * After a failure the store has none of these ids.
 *
 * @return ALCH_OK, ALCH_ENOMEM, or as alchi_store_set_id()
 */
int alchi_host_call_fill_reply(alchi_host_call_t *call, Alchw__WorkerTaskDone *done, alch_error_t *err);

/** Describe a matrix for the driver. @return a message that the caller frees with alchi_message_free(); NULL: out of
 *  memory */
Alchw__Matrix *alchi_host_part_message(const alchi_store_part_t *part, uint64_t id);

/** Note that the library used a service in a way that its signature or plugin.h does not allow. Only the
 *  first note is kept. */
void alchi_host_call_note_misuse(alchi_host_call_t *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Add a matrix to a call, which then owns the caller's reference to the part.
 *  @return NULL: out of memory; the caller still owns the reference */
alch_dmatrix_t *alchi_host_matrix_attach(alchi_host_call_t *call, alchi_store_part_t *part, bool is_argument);

/* ---- services: call_args.c ---- */

bool alchi_host_arg_bool(alch_call_t *call, const char *name);
int64_t alchi_host_arg_int(alch_call_t *call, const char *name);
uint64_t alchi_host_arg_uint(alch_call_t *call, const char *name);
double alchi_host_arg_real(alch_call_t *call, const char *name);
void alchi_host_arg_complex(alch_call_t *call, const char *name, double *re_p, double *im_p);
const char *alchi_host_arg_string(alch_call_t *call, const char *name);
const alch_dmatrix_t *alchi_host_arg_matrix(alch_call_t *call, const char *name);
const alch_dmatrix_t *alchi_host_arg_matrix_at(alch_call_t *call, const char *name, size_t index);
size_t alchi_host_arg_count(alch_call_t *call, const char *name);
int64_t alchi_host_arg_int_at(alch_call_t *call, const char *name, size_t index);
double alchi_host_arg_real_at(alch_call_t *call, const char *name, size_t index);
const char *alchi_host_arg_string_at(alch_call_t *call, const char *name, size_t index);

/* ---- services: call_results.c ---- */

int alchi_host_ret_bool(alch_call_t *call, const char *name, bool x);
int alchi_host_ret_int(alch_call_t *call, const char *name, int64_t x);
int alchi_host_ret_uint(alch_call_t *call, const char *name, uint64_t x);
int alchi_host_ret_real(alch_call_t *call, const char *name, double x);
int alchi_host_ret_complex(alch_call_t *call, const char *name, double re, double im);
int alchi_host_ret_string(alch_call_t *call, const char *name, const char *x);
int alchi_host_ret_ints(alch_call_t *call, const char *name, const int64_t *x, size_t count);
int alchi_host_ret_reals(alch_call_t *call, const char *name, const double *x, size_t count);
int alchi_host_ret_strings(alch_call_t *call, const char *name, const char *const *x, size_t count);
int alchi_host_ret_matrix(alch_call_t *call, const char *name, alch_dmatrix_t *matrix);

/* ---- services: dmatrix.c ---- */

int alchi_host_matrix_create(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                             alch_dmatrix_t **matrix_p);
int alchi_host_matrix_create_unset(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype,
                                   const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
void alchi_host_matrix_free(alch_call_t *call, alch_dmatrix_t *matrix);
void alchi_host_matrix_block(const alch_dmatrix_t *matrix, alch_block_t *block_p);
int64_t alchi_host_matrix_global_row(const alch_dmatrix_t *matrix, int64_t i);
int64_t alchi_host_matrix_global_col(const alch_dmatrix_t *matrix, int64_t j);
int alchi_host_matrix_descriptor(alch_call_t *call, const alch_dmatrix_t *matrix, int desc[9]);
int alchi_host_matrix_relayout(alch_call_t *call, const alch_dmatrix_t *matrix, const alch_layout_t *layout,
                               alch_dmatrix_t **matrix_p);
int alchi_host_matrix_transpose(alch_call_t *call, const alch_dmatrix_t *matrix, bool conjugate,
                                const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
int alchi_host_matrix_convert(alch_call_t *call, const alch_dmatrix_t *matrix, alch_dtype_t dtype,
                              const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
int64_t alchi_host_matrix_exchange_bytes(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype);
void alchi_host_matrix_name(alch_call_t *call, alch_dmatrix_t *matrix, const char *name);
int alchi_host_layout_parse(alch_call_t *call, const char *text, alch_layout_t *layout_p);

/* ---- services: data_file.c, with a helper for plugin_find.c ---- */

/** @return whether a path is `dir` or below it. Both are absolute and as realpath() gives them. */
bool alchi_host_path_is_below(const char *path, const char *dir);
int alchi_host_data_file(alch_call_t *call, const char *asked, bool for_writing, int *dir_p, char *name);

/* ---- services: block.c ---- */

void alchi_host_block_local_rect(const alch_block_t *block, const alch_rect_t *rect, alch_rect_t *local_p);
void alchi_host_block_pack(const alch_block_t *block, const alch_rect_t *rect, const void *buffer, int64_t row_stride,
                           int64_t col_stride, void *packed, int64_t ld);
void alchi_host_block_unpack(const alch_block_t *block, const alch_rect_t *rect, const void *packed, int64_t ld,
                             void *buffer, int64_t row_stride, int64_t col_stride);

#endif
