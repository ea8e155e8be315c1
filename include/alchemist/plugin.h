/**
 * @file plugin.h
 * What a library for the workers is written against.
 *
 * A library is a shared object that exports one function,
 *
 *     const alch_plugin_t *alch_plugin(void);
 *
 * and returns one static struct: who it is, how it was built, and a table of
 * operations. Every operation runs collectively: the same function is called
 * on every rank of the group with the same scalar arguments, each rank seeing
 * its own block of each matrix. All services come in `alch_host_t`, reached as
 * `call->host`; a library links neither libalchemist nor anything of it.
 *
 * Errors: return ALCH_OK or the code that host->fail() returned. A rank that
 * fails alone while the others sit in a collective ends the whole group after
 * the driver's --fail-grace; where a library can check before a collective,
 * host->agree() makes all ranks return the same error and the group lives on.
 *
 * All services marked collective must be called by all ranks in the same order.
 * Services may be called from the thread that runs the operation only.
 */
#ifndef ALCHEMIST_PLUGIN_H
#define ALCHEMIST_PLUGIN_H

#include <alchemist/layout.h>
#include <alchemist/library.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALCH_PLUGIN_ABI 1
#define ALCH_DATA_NAME_MAX 256 /**< bytes of a file's name, with its NUL */
#define ALCH_PLUGIN_SYMBOL "alch_plugin"

/** A distributed matrix as a library sees it. */
typedef struct alch_dmatrix alch_dmatrix_t;

/** This rank's part of a distributed matrix. */
typedef struct {
    int64_t m, n;            /**< the whole matrix, entries */
    alch_dtype_t dtype;
    alch_layout_t layout;    /**< resolved: mb, nb, nprow, npcol as used */
    int replicas;            /**< copies of each entry over the group */
    int replica;             /**< which copy this rank belongs to; -1: this rank holds nothing */
    int myrow, mycol;        /**< place in the grid of the replica; -1: none */
    int64_t local_m, local_n;/**< entries stored here */
    int64_t lld;             /**< leading dimension, entries, >= max(1, local_m) */
    void *data;              /**< column-major; NULL if local_m * local_n == 0 */
} alch_block_t;

typedef struct alch_host alch_host_t;

/** One call of one operation on one rank. */
typedef struct {
    const alch_host_t *host;
    MPI_Comm comm;           /**< this library's own duplicate of the group's communicator */
    int rank, size;
    const char *function;    /**< the operation's name */
} alch_call_t;

/** Append-only: check struct_size before using what was added later. */
struct alch_host {
    size_t struct_size;

    /* Arguments. They were checked against the signature and defaults filled in,
     * so that for a declared name and its kind these cannot fail. Integer kinds of
     * every width come as int64 (uint64 for uintN), reals as double. Strings and
     * lists live until the operation returns. */
    bool (*arg_bool)(alch_call_t *call, const char *name);
    int64_t (*arg_int)(alch_call_t *call, const char *name);
    uint64_t (*arg_uint)(alch_call_t *call, const char *name);
    double (*arg_real)(alch_call_t *call, const char *name);
    void (*arg_complex)(alch_call_t *call, const char *name, double *re_p, double *im_p);
    const char *(*arg_string)(alch_call_t *call, const char *name);
    /** A matrix argument, borrowed: do not write into it. NULL: an optional one ("C:matrix=none") was not given. */
    const alch_dmatrix_t *(*arg_matrix)(alch_call_t *call, const char *name);
    /** Lists: their length, and entry `index` of them. */
    size_t (*arg_count)(alch_call_t *call, const char *name);
    int64_t (*arg_int_at)(alch_call_t *call, const char *name, size_t index);
    double (*arg_real_at)(alch_call_t *call, const char *name, size_t index);
    const char *(*arg_string_at)(alch_call_t *call, const char *name, size_t index);

    /* Results: set on every rank; rank 0's scalars are what the client gets.
     * Return ALCH_OK, or ALCH_EFUNCTION if the signature has no such result or kind. A real number may be set for a
     * complex result, and stays real. */
    int (*ret_bool)(alch_call_t *call, const char *name, bool x);
    int (*ret_int)(alch_call_t *call, const char *name, int64_t x);
    int (*ret_uint)(alch_call_t *call, const char *name, uint64_t x);
    int (*ret_real)(alch_call_t *call, const char *name, double x);
    int (*ret_complex)(alch_call_t *call, const char *name, double re, double im);
    int (*ret_string)(alch_call_t *call, const char *name, const char *x);
    int (*ret_ints)(alch_call_t *call, const char *name, const int64_t *x, size_t count);
    int (*ret_reals)(alch_call_t *call, const char *name, const double *x, size_t count);
    int (*ret_strings)(alch_call_t *call, const char *name, const char *const *x, size_t count);
    /** Hand a matrix over as a result; it counts as completely written. */
    int (*ret_matrix)(alch_call_t *call, const char *name, alch_dmatrix_t *matrix);

    /**
     * Create a matrix, zeroed, for a result or for work; what was not handed over by
     * ret_matrix is freed when the operation returns.
     * @collective  yes: fails on all ranks with the same code or on none
     * @param layout  NULL: default
     * @return ALCH_OK, ALCH_ELIMIT, ALCH_EINVAL
     */
    int (*matrix_create)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                         alch_dmatrix_t **matrix_p);
    /** Free a matrix of matrix_create early. Not collective. NULL is allowed. */
    void (*matrix_free)(alch_call_t *call, alch_dmatrix_t *matrix);
    /** This rank's part. */
    void (*matrix_block)(const alch_dmatrix_t *matrix, alch_block_t *block_p);
    /** Global row of local row i (or column); i < local_m. */
    int64_t (*global_row)(const alch_dmatrix_t *matrix, int64_t i);
    int64_t (*global_col)(const alch_dmatrix_t *matrix, int64_t j);
    /**
     * A ScaLAPACK descriptor with a BLACS context for the matrix's grid. The context is valid until the operation
     * returns: matrices of one grid share it, and nobody but the host may end it.
     * @collective  yes
     * @param[out] desc  DTYPE_, CTXT_, M_, N_, MB_, NB_, RSRC_, CSRC_, LLD_; CTXT_ is -1 on ranks outside the grid
     * @return ALCH_OK; ALCH_EUNSUPPORTED replicated layout; ALCH_ELIMIT beyond 32-bit indices, with the limit
     */
    int (*matrix_descriptor)(alch_call_t *call, const alch_dmatrix_t *matrix, int desc[9]);
    /**
     * Copy a matrix into another layout (a new work matrix). What that takes beyond the two matrices:
     * matrix_exchange_bytes().
     * @collective  yes
     */
    int (*matrix_relayout)(alch_call_t *call, const alch_dmatrix_t *matrix, const alch_layout_t *layout,
                           alch_dmatrix_t **matrix_p);

    /**
     * All ranks agree on the worst of their codes: the first failing rank's code
     * and text are returned by all. `text` is this rank's own reason (printf).
     * @collective  yes
     */
    int (*agree)(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    /** Note this rank's error text; returns `code`, so that `return host->fail(...)` reads well. */
    int (*fail)(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    /** Report how far the operation is: fraction 0..1 or -1, and a text or NULL. Cheap, any rank. */
    void (*progress)(alch_call_t *call, double fraction, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    /** Whether the client asked to cancel, the same answer on all ranks. @collective yes.
     *  When true, return `fail(call, ALCH_ECANCELED, ...)`. */
    bool (*cancelled)(alch_call_t *call);
    /** One line into the daemon's log. */
    void (*log)(alch_call_t *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
    /** Account for `bytes` of workspace this rank is about to allocate (replaces the former value; 0 at
     *  the end of every operation). Not collective: agree() on the result.
     *  @return ALCH_OK or ALCH_ELIMIT with the numbers noted as this rank's error */
    int (*workspace)(alch_call_t *call, int64_t bytes);
    /** Per-session state of this library on this rank: set in init or any operation. */
    void (*set_state)(alch_call_t *call, void *state);
    void *(*state)(alch_call_t *call);

    /* Added later: there if struct_size reaches them. */

    /**
     * Transpose a matrix into a new work matrix of its type.
     * @collective  yes
     * @param conjugate  complex entries are conjugated as well
     * @param layout     of the result; NULL: default
     * @return ALCH_OK, ALCH_ELIMIT, ALCH_ENOMEM, ALCH_EINVAL
     */
    int (*matrix_transpose)(alch_call_t *call, const alch_dmatrix_t *matrix, bool conjugate,
                            const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
    /**
     * Copy a matrix into a new work matrix of another entry type: integers to floats to complex, wider or narrower.
     * @collective  yes
     * @param layout  of the result; NULL: default
     * @return ALCH_OK; ALCH_ETYPE real to integer or complex to real; ALCH_ERANGE a value that the new type cannot
     *         hold, with its place; ALCH_ELIMIT, ALCH_ENOMEM, ALCH_EINVAL
     */
    int (*matrix_convert)(alch_call_t *call, const alch_dmatrix_t *matrix, alch_dtype_t dtype,
                          const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
    /** Entry `index` of a list of matrices, borrowed as by arg_matrix(). */
    const alch_dmatrix_t *(*arg_matrix_at)(alch_call_t *call, const char *name, size_t index);
    /** Name a work matrix for its client, before ret_matrix(); cut to 63 bytes. Without it a result has the name that
     *  the signature gives it. */
    void (*matrix_name)(alch_call_t *call, alch_dmatrix_t *matrix, const char *name);
    /** A layout from text and back: alch_layout_parse() and alch_layout_format(), which a library does not link.
     *  @return ALCH_OK, or ALCH_EINVAL with the list of names */
    int (*layout_parse)(alch_call_t *call, const char *text, alch_layout_t *layout_p);
    char *(*layout_format)(const alch_layout_t *layout, char *text, size_t size);
    /**
     * The file that a client names, if the operator lets clients reach it (alchemistd --data-dir): the directory that it
     * lies in, open, and its name there. A library opens no other file, and this one by openat(dir, name, O_NOFOLLOW)
     * or through a descriptor that it got so ("/proc/self/fd/N"): then nobody who changes names or links meanwhile
     * leads it elsewhere. Relative paths are relative to the first of the directories; links and ".." are followed
     * before it is decided where the file lies. Not collective: agree() on the result.
     * @param for_writing  the file may be missing, its directory may not
     * @param[out] dir_p   descriptor of the directory (O_PATH), to be closed; written on success only
     * @param[out] name    without slashes, ALCH_DATA_NAME_MAX bytes
     * @return ALCH_OK; ALCH_EPERM outside, or no directory is allowed; ALCH_ENOENT; ALCH_EINVAL no regular file;
     *         ALCH_ESYSTEM no descriptor
     */
    int (*data_file)(alch_call_t *call, const char *path, bool for_writing, int *dir_p, char *name);
    /**
     * A remark or a warning that goes to the client with the results: alch_task_note(). Rank 0's count, on the others
     * it does nothing; so do more than ALCH_NOTES_MAX. A failed task has its error alone. Not collective.
     */
    void (*note)(alch_call_t *call, alch_note_kind_t kind, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    /** As matrix_create(), for what the library writes itself, every entry of it: until then they are undefined.
     *  @collective yes */
    int (*matrix_create_unset)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                               alch_dmatrix_t **matrix_p);
    /**
     * Which entries of a rectangle a rank has: they are one rectangle of its block, maybe an empty one. The block may
     * be another rank's: of it only the layout, dtype, myrow and mycol count. Not collective, MT-Safe, as the next two.
     * @param[out] share_p  first local row and column, rows, columns; may be `rect`
     */
    void (*block_share)(const alch_block_t *block, const alch_rect_t *rect, alch_rect_t *share_p);
    /**
     * Copy these entries from a buffer with the whole rectangle into column-major memory: a message, or the block itself.
     * @param buffer  entry (rect->i + i, rect->j + j) is at i * row_stride + j * col_stride, in entries
     * @param packed  where the first entry of the share goes
     * @param ld      entries between its columns
     */
    void (*block_pack)(const alch_block_t *block, const alch_rect_t *rect, const void *buffer, int64_t row_stride,
                       int64_t col_stride, void *packed, int64_t ld);
    /** The other way: entries of the rectangle that others have are left alone. */
    void (*block_unpack)(const alch_block_t *block, const alch_rect_t *rect, const void *packed, int64_t ld,
                         void *buffer, int64_t row_stride, int64_t col_stride);
    /**
     * Bytes that matrix_relayout(), matrix_transpose() and matrix_convert() take on each worker while they run, besides
     * the two matrices: of an m x n source, into a layout that replicates nothing. Not collective.
     * @param dtype  the wider one of the two
     */
    int64_t (*matrix_exchange_bytes)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype);
};

/** One operation. */
typedef struct {
    const char *name;
    const char *summary;     /**< one line */
    /** "A:matrix, k:int64=10, tags:string[] -> U:matrix, s:vector": types as alch_type_name(); `vector` is a
     *  matrix with one column; [] a list; a default makes a parameter optional, for a matrix it can only be `none`. */
    const char *signature;
    const char *doc;         /**< paragraphs; a line "name: text" documents a parameter or result */
    unsigned flags;          /**< 0 */
    int (*function)(alch_call_t *call);
} alch_operation_t;

/** How a library was built: compared with the worker's own before anything else is called. */
typedef struct {
    uint32_t size_of_size_t, size_of_comm, size_of_status, mpi_version;
    char mpi_family[16];     /**< "MPICH" */
} alch_build_t;

typedef struct {
    size_t struct_size;
    uint32_t abi;
    alch_build_t build;
    const char *name;
    const char *version;
    const char *summary;
    const alch_operation_t *operations;
    size_t operation_count;
    /** Once after loading, and once before the group ends. May be NULL. @collective yes */
    int (*init)(alch_call_t *call);
    void (*fini)(alch_call_t *call);
} alch_plugin_t;

#if defined(MPICH_VERSION)
#define ALCH_MPI_FAMILY "MPICH"
#elif defined(OMPI_MAJOR_VERSION)
#define ALCH_MPI_FAMILY "Open MPI"
#else
#define ALCH_MPI_FAMILY "other"
#endif

#define ALCH_PLUGIN_BUILD                                                                                  \
    {(uint32_t)sizeof(size_t), (uint32_t)sizeof(MPI_Comm), (uint32_t)sizeof(MPI_Status), MPI_VERSION,      \
     ALCH_MPI_FAMILY}

/** Visible in spite of -fvisibility=hidden. */
#define ALCH_PLUGIN_EXPORT __attribute__((visibility("default")))

typedef const alch_plugin_t *alch_plugin_f(void);

/** What a library defines, and all that it need export: returns its description, which stays where it is. In C++ this
 *  declaration gives the definition its C name. */
ALCH_PLUGIN_EXPORT const alch_plugin_t *alch_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
