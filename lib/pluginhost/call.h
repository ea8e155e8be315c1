/**
 * @file pluginhost/call.h
 * What stands behind call->host: one call of one operation, its arguments, results and work matrices.
 * Private to the plugin host. Main thread only.
 */
#ifndef ALCHI_PLUGINHOST_CALL_H
#define ALCHI_PLUGINHOST_CALL_H

#include "pluginhost/agree.h"
#include "pluginhost/plugins.h"
#include "scalapack/blacs.h"
#include <alchemist/plugin.h>

/* A matrix in a library's hands. */
struct alch_dmatrix {
    alchi_store_part_t *part; /* one reference */
    bool argument;            /* borrowed by the library: it cannot free it or hand it over */
    bool handed;              /* it is a result */
    uint64_t result;          /* then: id under which it goes to the client */
    struct alch_dmatrix *prev, *next;
};

/* A library that is loaded. */
typedef struct alchi_host_module {
    struct alchi_host_module *prev, *next;
    void *object; /* of dlopen() */
    char *path;   /* real path */
    const alch_plugin_t *plugin;
    Alchw__Library *library; /* its description, functions in the order of plugin->operations */
    MPI_Comm comm;           /* its own duplicate */
    void *state;
} alchi_host_module_t;

struct alchi_host_plugins {
    alchi_host_plugins_env_t env;
    MPI_Comm comm; /* of the services: never mixed with what a library sends */
    int rank, size;
    alchi_blacs_t *blacs;
    alchi_host_module_t *modules;
};

typedef struct {
    alch_call_t call; /* first: the services get its address */
    alchi_host_plugins_t *plugins;
    alchi_host_module_t *module;
    const Alchw__Function *function; /* NULL in init and fini */
    const Alchw__WorkerTask *task;   /* NULL in init and fini */
    const atomic_bool *cancel;
    alch_dmatrix_t *matrices;
    Alchw__Value **results; /* [function->n_results], NULL: not set */
    alch_error_t error;     /* what fail() or agree() noted last */
    alch_error_t misuse;    /* the library asked for what its signature does not have: fails the call */
    int64_t workspace;
    Alchw__Note *notes[ALCH_NOTES_MAX];
    size_t note_count;
} alchi_host_call_t;

extern const alch_host_t alchi_host_services;

/** @param function, task  NULL for init and fini.  @return ALCH_OK or ALCH_ENOMEM */
int alchi_host_call_init(alchi_host_call_t *call, alchi_host_plugins_t *plugins, alchi_host_module_t *module,
                         const Alchw__Function *function, const Alchw__WorkerTask *task, const atomic_bool *cancel,
                         alch_error_t *err);
/** Release arguments, work matrices and workspace. */
void alchi_host_call_fini(alchi_host_call_t *call);

static inline alchi_host_call_t *
alchi_host_call_of(alch_call_t *call)
{
    return (alchi_host_call_t *)call;
}

/** What an operation's return value and what it noted amount to. */
int alchi_host_call_verdict(alchi_host_call_t *call, int returned, alch_error_t *err);

/** Name the handed-over matrices and fill in results, notes and matrices of the reply; on failure none remains. */
int alchi_host_call_results(alchi_host_call_t *call, Alchw__WorkerTaskDone *done, alch_error_t *err);

/** What the driver is told of a matrix that came to be here, to be freed with alchi_message_free(). NULL: no memory */
Alchw__Matrix *alchi_host_part_message(const alchi_store_part_t *part, uint64_t id);

/** Note that a library broke its own signature; the first one counts. */
void alchi_host_call_misuse(alchi_host_call_t *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* host_args.c and host_results.c: slots of alchi_host_services */
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

/* host_matrix.c */
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

/* host_path.c */
int alchi_host_data_file(alch_call_t *call, const char *asked, bool for_writing, int *dir_p, char *name);

/* host_block.c */
void alchi_host_block_local_rect(const alch_block_t *block, const alch_rect_t *rect, alch_rect_t *share_p);
void alchi_host_block_pack(const alch_block_t *block, const alch_rect_t *rect, const void *buffer, int64_t row_stride,
                           int64_t col_stride, void *packed, int64_t ld);
void alchi_host_block_unpack(const alch_block_t *block, const alch_rect_t *rect, const void *packed, int64_t ld,
                             void *buffer, int64_t row_stride, int64_t col_stride);

/** Attach a matrix to a call. @return NULL: out of memory, and the part's reference is the caller's */
alch_dmatrix_t *alchi_host_matrix_attach(alchi_host_call_t *call, alchi_store_part_t *part, bool argument);

#endif
