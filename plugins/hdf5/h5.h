/** @file hdf5/h5.h  Types and functions that the files of this library share. A function that returns int returns
 *  ALCH_OK, or the code that it has given to host->fail() with the reason. */
#ifndef PLUGIN_HDF5_H5_H
#define PLUGIN_HDF5_H5_H

#include <alchemist/plugin.h>
#include <hdf5.h>

/** The kind of entries of a data set; a matrix can hold all kinds but HDF5_OTHER. */
typedef enum { HDF5_OTHER, HDF5_INTEGER, HDF5_REAL, HDF5_COMPLEX } hdf5_kind_t;

/** The type of the entries of a data set. */
typedef struct {
    hdf5_kind_t kind;
    char name[32];       /**< NumPy's name if there is one: "uint8", "float16", "complex128", "string" */
    alch_dtype_t dtype;  /**< the smallest type of a matrix that holds all values, else the widest of this kind */
    bool exact;          /**< dtype holds all values exactly */
    char re[32], im[32]; /**< HDF5_COMPLEX: names of the members of the compound type */
} hdf5_type_t;

/** A data set as rank 0 found it. Rank 0 broadcasts the bytes of this struct. */
typedef struct {
    int64_t m, n; /**< shape of the matrix: a data set of one dimension is a column */
    hdf5_type_t type;
    int64_t chunk_m, chunk_n; /**< shape of a chunk; 1 x 1 if the data set has no chunks */
    char label[64];           /**< name of the matrix that save() wrote, or empty */
} hdf5_dataset_info_t;

/** A file that an operation works on. Rank 0 holds a lock (flock) on it: shared to read, exclusive to write. */
typedef struct {
    alch_call_t *call;
    const char *path;                        /**< as the client gave it */
    int dir;                                 /**< its directory; -1: not open */
    char name[ALCH_DATA_NAME_MAX];           /**< its name in the directory */
    char temporary_name[ALCH_DATA_NAME_MAX]; /**< of the file that will replace it; empty: there is none */
    int fd;                                  /**< the file, or the temporary file if there is one; -1: not open */
    hid_t id;                                /**< HDF5's handle of fd; a writer has it on rank 0 only */
} hdf5_file_t;

/** Let all ranks agree on a code, then broadcast the `size` bytes at `data` from rank 0. @collective yes */
int hdf5_agree_and_broadcast(alch_call_t *call, int code, void *data, size_t size);

/* ---- error.c ---- */

/** The error handler of HDF5: keeps the innermost description of the error instead of printing the stack. */
herr_t hdf5_record_reason(hid_t stack, void *context);
/** Like host->fail(), and appends the description that hdf5_record_reason() has kept. */
int hdf5_fail(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- type.c ---- */

void hdf5_type_describe(hid_t type, hdf5_type_t *found);
/** Create the HDF5 type of matrix entries in memory; the caller closes it with H5Tclose().
 *  @param re, im  names of the members of a complex number */
hid_t hdf5_type_create_memory(alch_dtype_t dtype, const char *re, const char *im);
/** @return the type that has this NumPy name, or -1 if a matrix cannot have it */
int hdf5_dtype_parse(const char *name);
const char *hdf5_dtype_name(alch_dtype_t dtype);
bool hdf5_dtype_complex(alch_dtype_t dtype);
size_t hdf5_dtype_size(alch_dtype_t dtype);

/* ---- file.c ---- */

void hdf5_file_init(hdf5_file_t *file, alch_call_t *call, const char *path);

/** Open an existing file on all ranks and take a shared lock. @collective yes */
int hdf5_file_open_for_reading(hdf5_file_t *file);
/** Like hdf5_file_open_for_reading(); rank 0 also describes a data set to all ranks. @collective yes */
int hdf5_file_inspect(hdf5_file_t *file, const char *dataset, hdf5_dataset_info_t *info);
/** Take an exclusive lock on a file, which rank 0 opens, if it exists. @collective yes
 *  @param[out] exists_p  the file exists */
int hdf5_file_open_for_writing(hdf5_file_t *file, bool *exists_p);
/** Whether the open file is certainly not an HDF5 file. */
bool hdf5_file_is_other_format(const hdf5_file_t *file);
/** Open file->fd with HDF5, in this process only.
 *  @param flags  of H5Fopen(); H5F_ACC_TRUNC: H5Fcreate()
 *  @return negative: HDF5 failed */
hid_t hdf5_open_id(const hdf5_file_t *file, unsigned flags);
/** Create a temporary file next to the file; hdf5_file_commit() renames it. Fails if the file system has fewer than
 *  `bytes` free. @collective yes */
int hdf5_file_create(hdf5_file_t *file, int64_t bytes);
/** Rank 0: check that the file system has `bytes` free. */
int hdf5_file_check_space(const hdf5_file_t *file, int64_t bytes);
/** Close HDF5's handle, which writes its metadata, and open the file on all other ranks, so that all ranks can write
 *  entries. @collective yes */
int hdf5_file_open_on_all_ranks(hdf5_file_t *file);
/** Wait until all that the ranks wrote is on disk. @collective yes */
int hdf5_file_sync(hdf5_file_t *file);
/** Give the temporary file its name. @collective yes
 *  @param replace  false: fail with ALCH_ESTATE if a file of this name exists by now */
int hdf5_file_commit(hdf5_file_t *file, bool replace);
/** Close and unlock the file, and remove a temporary file that was not committed. May be called again. */
void hdf5_file_close(hdf5_file_t *file);

/* ---- inspect.c: in one process, not collective ---- */

/** Like hdf5_open_id(), but returns a code with a text, and refuses a file that is not an HDF5 file. */
int hdf5_open_checked(const hdf5_file_t *file, bool for_writing, hid_t *id_p);
/** Describe a data set. A data set whose entries are in other files is refused: the other files could be outside of the
 *  directories that the operator allows. */
int hdf5_inspect(alch_call_t *call, hid_t file, const char *path, const char *dataset, hdf5_dataset_info_t *info);
/** Bytes of the longest shape as text: 20 digits and a comma for each dimension. */
#define HDF5_SHAPE_MAX (H5S_MAX_RANK * 22)
/** Read the dimensions, and write them as "60000,784"; "" without dimensions. @return the number of dimensions */
int hdf5_read_shape(hid_t space, hsize_t dims[H5S_MAX_RANK], char shape[HDF5_SHAPE_MAX]);
/** Bytes of a data set's name, with its NUL. */
#define HDF5_NAME_MAX 1024
/** Check that a data set can have this name: it is not too long, and no part of it is "." or "..". */
int hdf5_check_name(alch_call_t *call, const char *name);
/** The kind of object that a name in a file leads to. */
typedef enum {
    HDF5_LOOKUP_FAILED, /**< HDF5 failed */
    HDF5_MISSING,       /**< the file has no object of this name */
    HDF5_BLOCKED,       /**< a part of the name is not a group */
    HDF5_DANGLING,      /**< a link that cannot be followed */
    HDF5_DATASET,
    HDF5_GROUP,
    HDF5_NAMED_TYPE
} hdf5_object_t;
/** Find the kind of object that a name leads to.
 *  @param[out] blocked  HDF5_BLOCKED: the part of the name that is not a group */
hdf5_object_t hdf5_find_object(hid_t file, const char *name, char blocked[HDF5_NAME_MAX]);
/** Write the names of a file's data sets as "a, b/c, d and 17 more". @return text */
char *hdf5_dataset_names(hid_t file, char *text, size_t size);

/* ---- transfer.c ---- */

/** Rows or columns of a data set: `count` of them, from `begin`, `step` apart. */
typedef struct {
    int64_t begin, step, count;
} hdf5_range_t;

/** The chunks, in units of the rows and columns that are read. */
typedef struct {
    int64_t rows, cols;
    int64_t row_offset; /**< rows of the first chunk before the first row that is read */
} hdf5_chunking_t;

/** A transfer of entries between a data set and a matrix. */
typedef struct {
    alch_call_t *call;
    const char *path, *dataset; /**< for error texts */
    hid_t id;                   /**< when reading: the data set */
    int fd;                     /**< when writing: the file */
    int64_t offset;             /**< when writing: the position in the file of the first entry; C order */
    alch_block_t block;         /**< the matrix; when reading, it may hold the columns several times side by side */
    hdf5_range_t rows, cols;
    hdf5_chunking_t chunking;
    bool write;
    const hdf5_type_t *type;          /**< when reading: the type of the data set */
    double fraction_before, fraction; /**< for progress: of the operation, what is done before and by this transfer */
} hdf5_transfer_t;

/** Transfer all entries through buffers of bounded size, which count towards the memory limit. A cancel takes effect
 *  after the current panel. @collective yes */
int hdf5_transfer(hdf5_transfer_t *transfer);

/* ---- operations ---- */

int hdf5_read(alch_call_t *call);
int hdf5_write(alch_call_t *call);
int hdf5_save(alch_call_t *call);
int hdf5_list(alch_call_t *call);
int hdf5_delete(alch_call_t *call);

/* ---- write.c ---- */

/** Rank 0: create the data set of a matrix, without its entries.
 *  @param label          the name of the matrix, stored with the attributes that restore() needs; NULL: no attributes
 *  @param[out] offset_p  the position of the entries in the file */
int hdf5_dataset_create(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, const char *label,
                        int64_t *offset_p);
/** Write the entries of a data set into a file that all ranks have open. @collective yes
 *  @param fraction_before, fraction  as in hdf5_transfer_t */
int hdf5_dataset_write(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, int64_t offset,
                       double fraction_before, double fraction);

#endif
