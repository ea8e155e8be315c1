/**
 * @file alchemist/plugin.h
 * The interface against which a library for the workers is written.
 *
 * A library makes a routine that works on distributed matrices with MPI callable
 * by name: it wraps the routine as an operation, and names its parameters and
 * results. The workers load it at run time. It is not linked with any part of
 * Alchemist: it reaches all services through the pointers of `call->host`.
 *
 * Terms:
 *
 *     library    a shared object that exports one function, alch_plugin(),
 *                which returns one static struct: name, version, facts of its
 *                build, and a table of operations
 *     operation  a function of the library. It is called on every rank of the
 *                group with the same scalar arguments, like the main() of an
 *                MPI program
 *     block      this rank's part of a matrix: a column-major array, as in
 *                ScaLAPACK
 *     service    a function of alch_host_t
 *     collective all ranks must call it, in the same order
 *
 * One way to use this API is the following library, whose only operation adds up
 * the entries of a matrix. Compile it with
 * mpicc.mpich -shared -fPIC $(pkg-config --cflags alchemist) -o sums.so sums.c:
 *
 *     #include <alchemist/plugin.h>
 *
 *     static int
 *     sum(alch_call_t *call)
 *     {
 *         alch_block_t a;
 *         double x = 0;
 *
 *         call->host->matrix_block(call->host->arg_matrix(call, "A"), &a);
 *         if (a.dtype != ALCH_FLOAT64)  // the same on all ranks: all return here
 *             return call->host->fail(call, ALCH_ETYPE, "A is %d, must be float64", (int)a.dtype);
 *         for (int64_t j = 0; a.replica == 0 && j < a.local_n; j++)  // one copy of replicated entries
 *             for (int64_t i = 0; i < a.local_m; i++)
 *                 x += ((const double *)a.data)[i + j * a.lld];
 *         MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_DOUBLE, MPI_SUM, call->comm);
 *         return call->host->ret_real(call, "sum", x);
 *     }
 *
 *     static const alch_operation_t operations[] = {
 *         {"sum", "The sum of all entries.", "A:matrix -> sum:float64", "A: float64", 0, sum},
 *     };
 *     static const alch_plugin_t plugin = {
 *         sizeof(plugin), ALCH_PLUGIN_ABI, ALCH_PLUGIN_BUILD, "sums", "1.0", "Sums.", operations, 1, NULL, NULL,
 *     };
 *
 *     const alch_plugin_t *
 *     alch_plugin(void)
 *     {
 *         return &plugin;
 *     }
 *
 * alchemist-plugin(7) takes a library through all steps; plugins/hello in the
 * sources is a folder to copy.
 *
 * Errors. An operation returns ALCH_OK or the code that host->fail() or another
 * service returned. If one rank fails alone while the others wait in a
 * collective call, the driver ends the whole group after --fail-grace, and its
 * matrices are lost. Where a library can check something before a collective
 * call, host->agree() makes all ranks return the same error, and the group lives
 * on. The communicator `call->comm` ends the group when MPI reports an error
 * (MPI_ERRORS_ARE_FATAL), unless the library sets another handler.
 *
 * Threads. The main thread of a worker runs operations, one at a time. Only this
 * thread may call MPI, which is initialized with MPI_THREAD_FUNNELED, and services
 * that are not marked MT-Safe. A library may use other threads for computing.
 */
#ifndef ALCHEMIST_PLUGIN_H
#define ALCHEMIST_PLUGIN_H

#include <alchemist/layout.h>
#include <alchemist/library.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALCH_PLUGIN_ABI 1                /**< of this header; a worker loads libraries of its own ABI only */
#define ALCH_DATA_NAME_MAX 256           /**< bytes of the name that data_file() gives, with its NUL */
#define ALCH_PLUGIN_SYMBOL "alch_plugin" /**< name of the function that a library exports */

/** A distributed matrix as a library sees it: an argument, or one that the library created. */
typedef struct alch_dmatrix alch_dmatrix_t;

/** This rank's part of a distributed matrix. */
typedef struct {
    int64_t m, n;            /**< rows and columns of the whole matrix */
    alch_dtype_t dtype;
    alch_layout_t layout;    /**< with mb, nb, nprow and npcol as used, also for named distributions */
    int replicas;            /**< copies of each entry over the group */
    int replica;             /**< the copy that this rank belongs to, from 0; -1: this rank holds nothing */
    int myrow, mycol;        /**< place in the grid of the copy; -1: none */
    int64_t local_m, local_n;/**< rows and columns stored here */
    int64_t lld;             /**< leading dimension, entries, >= max(1, local_m) */
    void *data;              /**< column-major; NULL if local_m * local_n == 0; lives as long as the matrix */
} alch_block_t;

/** The services of the worker. */
typedef struct alch_host alch_host_t;

/** One call of one operation on one rank. It lives until the operation returns. */
typedef struct {
    const alch_host_t *host; /**< the services */
    MPI_Comm comm;           /**< this library's own duplicate of the group's communicator */
    int rank, size;          /**< of this rank in comm */
    const char *function;    /**< the operation's name; "init" or "fini" in these */
} alch_call_t;

/**
 * The services. The struct only grows at its end: before a library uses a member
 * from "Added later", it checks that struct_size reaches it.
 *
 * Every service takes the call that the operation got (`call`, not NULL). Names
 * and texts are borrowed. A service is not collective and not MT-Safe unless its
 * comment says otherwise.
 */
struct alch_host {
    size_t struct_size;      /**< bytes of this struct in the worker */

    /*
     * Arguments. The driver has checked them against the signature and filled in
     * the defaults, so asking for a declared name and its kind cannot fail.
     * Integers of every width come as int64 (unsigned ones as uint64), reals as
     * double. Strings live until the operation returns. Asking for another name,
     * kind or entry returns 0, "" or NULL, and the call fails with
     * ALCH_EFUNCTION even if the operation returns ALCH_OK.
     */
    bool (*arg_bool)(alch_call_t *call, const char *name);
    int64_t (*arg_int)(alch_call_t *call, const char *name);
    uint64_t (*arg_uint)(alch_call_t *call, const char *name);
    double (*arg_real)(alch_call_t *call, const char *name);
    void (*arg_complex)(alch_call_t *call, const char *name, double *re_p, double *im_p);
    const char *(*arg_string)(alch_call_t *call, const char *name);
    /** A matrix argument, borrowed: do not write into it. NULL: an optional one ("C:matrix=none") was not given. */
    const alch_dmatrix_t *(*arg_matrix)(alch_call_t *call, const char *name);
    /** The length of a list of any type. */
    size_t (*arg_count)(alch_call_t *call, const char *name);
    /** Entry `index`, from 0, of a list of bools or integers, of reals, of strings. */
    int64_t (*arg_int_at)(alch_call_t *call, const char *name, size_t index);
    double (*arg_real_at)(alch_call_t *call, const char *name, size_t index);
    const char *(*arg_string_at)(alch_call_t *call, const char *name, size_t index);

    /*
     * Results. Every rank sets them, and the client gets the scalars of rank 0.
     * Values are copied and converted to the type in the signature; a real number
     * may be set for a complex result, and stays real. A result that is not set is
     * left out.
     * @return ALCH_OK; ALCH_EFUNCTION: the signature has no such result, the value
     *         does not fit its type, or a text is not valid UTF-8; ALCH_ENOMEM
     */
    int (*ret_bool)(alch_call_t *call, const char *name, bool x);
    int (*ret_int)(alch_call_t *call, const char *name, int64_t x);
    int (*ret_uint)(alch_call_t *call, const char *name, uint64_t x);
    int (*ret_real)(alch_call_t *call, const char *name, double x);
    int (*ret_complex)(alch_call_t *call, const char *name, double re, double im);
    int (*ret_string)(alch_call_t *call, const char *name, const char *x);
    int (*ret_ints)(alch_call_t *call, const char *name, const int64_t *x, size_t count);
    int (*ret_reals)(alch_call_t *call, const char *name, const double *x, size_t count);
    int (*ret_strings)(alch_call_t *call, const char *name, const char *const *x, size_t count);
    /**
     * Hand a matrix over as a result. All its entries count as written.
     * @param matrix  of matrix_create() or another service that makes one; transferred on success. An argument
     *                cannot be handed over, and no matrix twice
     * @return as the other results
     */
    int (*ret_matrix)(alch_call_t *call, const char *name, alch_dmatrix_t *matrix);

    /**
     * Create a matrix of zeros, for a result or for work. A matrix that was not handed over by ret_matrix() is freed
     * when the operation returns.
     * @collective  yes: fails on all ranks with the same code, or on none
     * @param m, n      rows and columns, >= 0
     * @param layout    borrowed; NULL: the default
     * @param matrix_p  borrowed; written on success only
     * @return ALCH_OK; ALCH_EINVAL: size, type or layout; ALCH_ELIMIT: --memory-limit; ALCH_ENOMEM; ALCH_EINTERNAL: MPI
     */
    int (*matrix_create)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                         alch_dmatrix_t **matrix_p);
    /** Free a matrix before the operation returns. The call fails with ALCH_EFUNCTION if the matrix is an argument or
     *  was handed over. NULL is allowed. */
    void (*matrix_free)(alch_call_t *call, alch_dmatrix_t *matrix);
    /** This rank's part. @param matrix  NULL: an empty part */
    void (*matrix_block)(const alch_dmatrix_t *matrix, alch_block_t *block_p);
    /** The global row of local row i, 0 <= i < local_m. */
    int64_t (*global_row)(const alch_dmatrix_t *matrix, int64_t i);
    /** The global column of local column j, 0 <= j < local_n. */
    int64_t (*global_col)(const alch_dmatrix_t *matrix, int64_t j);
    /**
     * A ScaLAPACK descriptor with a BLACS context for the matrix's grid. The context is valid until the operation
     * returns. Matrices on one grid share it; the library must not end it.
     * @collective  yes
     * @param[out] desc  DTYPE_, CTXT_, M_, N_, MB_, NB_, RSRC_, CSRC_, LLD_; CTXT_ is -1 on ranks outside the grid
     * @return ALCH_OK; ALCH_EUNSUPPORTED: the layout is replicated; ALCH_ELIMIT: the matrix exceeds 32-bit indices, or
     *         the operation uses too many grids; the text has the limit; ALCH_ENOMEM
     */
    int (*matrix_descriptor)(alch_call_t *call, const alch_dmatrix_t *matrix, int desc[9]);
    /**
     * Copy a matrix into a new work matrix with another layout. matrix_exchange_bytes() gives the memory that this
     * needs in addition to the two matrices.
     * @collective  yes
     * @param matrix    borrowed
     * @param layout    borrowed; NULL: the default
     * @param matrix_p  as for matrix_create()
     * @return as matrix_create()
     */
    int (*matrix_relayout)(alch_call_t *call, const alch_dmatrix_t *matrix, const alch_layout_t *layout,
                           alch_dmatrix_t **matrix_p);

    /**
     * Agree on an error: all ranks return the code and have the text of the lowest rank that passes a code other than
     * ALCH_OK. Without such a rank they return ALCH_OK.
     * @collective  yes
     * @param code    this rank's own code
     * @param format  this rank's own reason, as for printf(); NULL: the text that a service noted with this code
     * @return the code, the same on all ranks; ALCH_EINTERNAL: MPI
     */
    int (*agree)(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    /**
     * Note an error of this rank.
     * @param code    of error.h, not ALCH_OK
     * @param format  the reason for the client, as for printf()
     * @return `code`, so that an operation can end with `return host->fail(...)`
     */
    int (*fail)(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    /**
     * Report how far the operation is. Cheap; any rank may report, and the last report counts.
     * @param fraction  0 to 1; -1: not known
     * @param format    the present step, as for printf(), at most 255 bytes; NULL: no text
     */
    void (*progress)(alch_call_t *call, double fraction, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    /**
     * Whether the client asked to cancel the operation. After true, return `fail(call, ALCH_ECANCELED, ...)`.
     * @collective  yes: the answer is the same on all ranks
     */
    bool (*cancelled)(alch_call_t *call);
    /** Write one line to the server's log, as for printf(), at most 1023 bytes. */
    void (*log)(alch_call_t *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
    /**
     * Announce the workspace that this rank is about to allocate. Each call replaces the former amount; the end of
     * the operation sets it to 0. agree() on the result.
     * @param bytes  >= 0
     * @return ALCH_OK; ALCH_ELIMIT: --memory-limit, with the numbers noted as this rank's error; ALCH_EINVAL: negative
     */
    int (*workspace)(alch_call_t *call, int64_t bytes);
    /** Keep a pointer for this library on this rank, from init or from any operation, until the group ends. */
    void (*set_state)(alch_call_t *call, void *state);
    /** The pointer that set_state() kept; NULL: none. */
    void *(*state)(alch_call_t *call);

    /* Added later: check that struct_size reaches them. */

    /**
     * Transpose a matrix into a new work matrix of its type.
     * @collective  yes
     * @param matrix     borrowed
     * @param conjugate  true: complex entries are conjugated as well
     * @param layout     of the result, borrowed; NULL: the default
     * @param matrix_p   as for matrix_create()
     * @return as matrix_create()
     */
    int (*matrix_transpose)(alch_call_t *call, const alch_dmatrix_t *matrix, bool conjugate,
                            const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
    /**
     * Copy a matrix into a new work matrix of another entry type: integers to floats to complex, wider or narrower.
     * Values are rounded to the nearest one that the new type has.
     * @collective  yes
     * @param matrix    borrowed
     * @param dtype     of the result
     * @param layout    of the result, borrowed; NULL: the default
     * @param matrix_p  as for matrix_create()
     * @return as matrix_create(); ALCH_ETYPE: real to integer or complex to real; ALCH_ERANGE: a value does not fit the
     *         new type, the text has its place
     */
    int (*matrix_convert)(alch_call_t *call, const alch_dmatrix_t *matrix, alch_dtype_t dtype,
                          const alch_layout_t *layout, alch_dmatrix_t **matrix_p);
    /** Entry `index`, from 0, of a list of matrices, borrowed as by arg_matrix(). */
    const alch_dmatrix_t *(*arg_matrix_at)(alch_call_t *call, const char *name, size_t index);
    /** Name a work matrix for the client, before ret_matrix(); a longer name is cut to 63 bytes. A result without a
     *  name gets the one that it has in the signature. */
    void (*matrix_name)(alch_call_t *call, alch_dmatrix_t *matrix, const char *name);
    /** Read a layout from text, as alch_layout_parse(), which a library does not link.
     *  @return ALCH_OK; ALCH_EINVAL: with the accepted texts noted as this rank's error */
    int (*layout_parse)(alch_call_t *call, const char *text, alch_layout_t *layout_p);
    /** Write a layout as text, as alch_layout_format(). MT-Safe */
    char *(*layout_format)(const alch_layout_t *layout, char *text, size_t size);
    /**
     * Find a file that a client names, if the operator lets clients reach it (alchemistd --data-dir). The service opens
     * the directory of the file, and gives its descriptor and the name of the file in it. A library opens no other
     * file. It opens this one with openat(dir, name, O_NOFOLLOW), or through a descriptor that it got this way
     * ("/proc/self/fd/N"): then a name or a link that another program changes cannot lead it to another place. A
     * relative path is relative to the first data directory. The service follows links and ".." before it decides
     * whether the file is in a data directory. agree() on the result.
     * @param path         as the client gives it
     * @param for_writing  true: the file may be missing, but not its directory
     * @param[out] dir_p   descriptor of the directory (O_PATH), owned by the library, which closes it; written on
     *                     success only
     * @param[out] name    ALCH_DATA_NAME_MAX bytes, a name without slashes
     * @return ALCH_OK; ALCH_EPERM: the file is outside of the data directories, there are none, or the worker may
     *         not read it; ALCH_ENOENT: no such file or directory; ALCH_EINVAL: not a regular file, or a malformed
     *         path; ALCH_ESYSTEM: the directory cannot be opened
     */
    int (*data_file)(alch_call_t *call, const char *path, bool for_writing, int *dir_p, char *name);
    /**
     * Add a remark or a warning, as for printf(), to the results: alch_task_note(). Only those of rank 0 count: on
     * other ranks, and after ALCH_NOTES_MAX notes, it does nothing. The notes of a task that fails are dropped.
     */
    void (*note)(alch_call_t *call, alch_note_kind_t kind, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    /**
     * Create a matrix whose entries are undefined. Use it instead of matrix_create() if the library writes every entry:
     * it saves the time of zeroing.
     * @collective  yes
     * @param, @return as matrix_create()
     */
    int (*matrix_create_unset)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype, const alch_layout_t *layout,
                               alch_dmatrix_t **matrix_p);
    /**
     * The entries of a rectangle that a rank holds. They form one rectangle of its block, which can be empty. MT-Safe
     * @param block         of any rank: only layout, dtype, myrow and mycol count
     * @param rect          global rows and columns
     * @param[out] share_p  first local row and column, rows, columns; may be `rect`
     */
    void (*block_share)(const alch_block_t *block, const alch_rect_t *rect, alch_rect_t *share_p);
    /**
     * Copy the rank's share of a rectangle (block_share()) from a buffer that holds the whole rectangle into
     * column-major memory: into a message, or into the block itself. MT-Safe
     * @param block   as for block_share()
     * @param buffer  entry (rect->i + i, rect->j + j) is at offset i * row_stride + j * col_stride, in entries
     * @param packed  place of the first entry of the share
     * @param ld      entries between the beginnings of its columns
     */
    void (*block_pack)(const alch_block_t *block, const alch_rect_t *rect, const void *buffer, int64_t row_stride,
                       int64_t col_stride, void *packed, int64_t ld);
    /** The reverse of block_pack(). Does not change entries of the rectangle that other ranks hold. MT-Safe */
    void (*block_unpack)(const alch_block_t *block, const alch_rect_t *rect, const void *packed, int64_t ld,
                         void *buffer, int64_t row_stride, int64_t col_stride);
    /**
     * Bytes that matrix_relayout(), matrix_transpose() and matrix_convert() need on each worker while they run, in
     * addition to the two matrices, if the layout of the result replicates nothing.
     * @param m, n   of the source
     * @param dtype  the wider one of the two types
     */
    int64_t (*matrix_exchange_bytes)(alch_call_t *call, int64_t m, int64_t n, alch_dtype_t dtype);
};

/** One operation. Texts are UTF-8. */
typedef struct {
    const char *name;        /**< unique in the library; letters, digits and '_', at most 63 */
    const char *summary;     /**< one line */
    /** "A:matrix, k:int64=10, tags:string[] -> U:matrix, s:vector". Types are those of alch_type_name(); `vector` is a
     *  matrix with one column; [] makes a list; a default makes a parameter optional, for a matrix it is `none`. */
    const char *signature;
    const char *doc;         /**< paragraphs; a line "name: text" documents a parameter or a result */
    unsigned flags;          /**< 0 */
    /** Called on every rank. @collective yes @return ALCH_OK, or a code of error.h */
    int (*function)(alch_call_t *call);
} alch_operation_t;

/** How a library was built. The worker compares it with its own build before it calls init or an operation. */
typedef struct {
    uint32_t size_of_size_t, size_of_comm, size_of_status, mpi_version;
    char mpi_family[16];     /**< "MPICH" */
} alch_build_t;

/** The description of a library. */
typedef struct {
    size_t struct_size;      /**< sizeof(alch_plugin_t) */
    uint32_t abi;            /**< ALCH_PLUGIN_ABI */
    alch_build_t build;      /**< ALCH_PLUGIN_BUILD */
    const char *name;        /**< the name that clients load, at most 128 bytes; the file is NAME.so or libNAME.so */
    const char *version;
    const char *summary;     /**< one line */
    const alch_operation_t *operations;
    size_t operation_count;  /**< at most 4096 */
    /** Called once after loading, without arguments and results; an error refuses the library. May be NULL.
     *  @collective yes */
    int (*init)(alch_call_t *call);
    /** Called once before the group ends in order, not when it is killed. May be NULL. @collective yes */
    void (*fini)(alch_call_t *call);
} alch_plugin_t;

/** The family of the MPI that compiles this. */
#if defined(MPICH_VERSION)
#define ALCH_MPI_FAMILY "MPICH"
#elif defined(OMPI_MAJOR_VERSION)
#define ALCH_MPI_FAMILY "Open MPI"
#else
#define ALCH_MPI_FAMILY "other"
#endif

/** The initializer of alch_plugin_t.build. */
#define ALCH_PLUGIN_BUILD                                                                                  \
    {(uint32_t)sizeof(size_t), (uint32_t)sizeof(MPI_Comm), (uint32_t)sizeof(MPI_Status), MPI_VERSION,      \
     ALCH_MPI_FAMILY}

/** Makes alch_plugin() visible in spite of -fvisibility=hidden. */
#define ALCH_PLUGIN_EXPORT __attribute__((visibility("default")))

/** The type of alch_plugin(). */
typedef const alch_plugin_t *alch_plugin_f(void);

/**
 * Describe the library: the one function that a library defines and exports. In
 * C++ this declaration gives the definition its C name.
 *
 * @collective  no
 * @threads     called once, by the main thread of each worker
 * @return      owned by the library, unchanged until it is unloaded
 */
ALCH_PLUGIN_EXPORT const alch_plugin_t *alch_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
