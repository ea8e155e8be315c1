/* What the files of this library share. Functions return ALCH_OK or the code that host->fail() noted. */
#ifndef PLUGIN_HDF5_H
#define PLUGIN_HDF5_H

#include <alchemist/plugin.h>
#include <hdf5.h>

/* What a data set holds, as far as matrices are concerned. */
typedef enum { HDF5_OTHER, HDF5_INTEGER, HDF5_REAL, HDF5_COMPLEX } hdf5_kind_t;

typedef struct {
    hdf5_kind_t kind;
    char name[32];       /* as NumPy calls it: "uint8", "float16", "complex128", "string" */
    alch_dtype_t dtype;  /* the smallest type of a matrix that holds all its values, or the widest there is */
    bool exact;          /* whether it does */
    char re[32], im[32]; /* members of a complex number */
} hdf5_type_t;

/* A data set as rank 0 found it; sent to the other ranks as it is. */
typedef struct {
    int64_t m, n; /* as a matrix: one dimension is a column */
    hdf5_type_t type;
    int64_t chunk_m, chunk_n; /* of what is stored together; 1 x 1 if it lies in one piece */
    char label[64];           /* the name of the matrix that it was saved from, or empty */
} hdf5_facts_t;

/* A file in use. Rank 0 holds a lock on it, so that nobody writes what somebody reads. */
typedef struct {
    alch_call_t *call;
    const char *asked;             /* as the client called it */
    int dir;                       /* the directory that it lies in; -1: not open */
    char name[ALCH_DATA_NAME_MAX]; /* its name there */
    char made[ALCH_DATA_NAME_MAX]; /* the one that will take its place; empty: none */
    int fd;                        /* the file, or the one made; rank 0's has the lock; -1: not open */
    hid_t id;                      /* HDF5's; when writing, rank 0 alone has it. H5I_INVALID_HID: not open */
} hdf5_file_t;

/* How rank 0 may fail: all ranks agree on it, and have what it found. @collective yes */
int hdf5_share(alch_call_t *call, int code, void *found, size_t size);

/* ---- error.c ---- */

/* Remembers the innermost reason of an HDF5 call that fails: what HDF5 calls instead of printing it. */
herr_t hdf5_note_reason(hid_t stack, void *context);
/* host->fail() with that reason behind the text. */
int hdf5_fail(alch_call_t *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- type.c ---- */

void hdf5_type_read(hid_t type, hdf5_type_t *found);
/* The type of buffers for entries of a matrix, or of their real parts; to be closed. Members are named re and im. */
hid_t hdf5_type_memory(alch_dtype_t dtype, const char *re, const char *im);
/* float64 of "float64"; -1: no type of a matrix has this name */
int hdf5_dtype(const char *name);
const char *hdf5_dtype_name(alch_dtype_t dtype);
bool hdf5_dtype_complex(alch_dtype_t dtype);
size_t hdf5_dtype_size(alch_dtype_t dtype);

/* ---- file.c ---- */

void hdf5_file_init(hdf5_file_t *file, alch_call_t *call, const char *asked);

/* Open a file that is there, and lock it against writers. @collective yes */
int hdf5_file_find(hdf5_file_t *file);
/* The same, and let rank 0 look at a data set. @collective yes */
int hdf5_file_inspect(hdf5_file_t *file, const char *dataset, hdf5_facts_t *facts);
/* Open a file for writing, and lock it, if it is there: `there_p` says so. @collective yes */
int hdf5_file_claim(hdf5_file_t *file, bool *there_p);
/* Whether it is no HDF5 file. */
bool hdf5_file_foreign(const hdf5_file_t *file);
/* Let HDF5 open what is open, for this process alone. @return negative: error of HDF5 */
hid_t hdf5_file_open(const hdf5_file_t *file, unsigned flags);
/* Make a new file beside it, which hdf5_file_commit() puts in its place; `bytes` must fit. @collective yes */
int hdf5_file_create(hdf5_file_t *file, int64_t bytes);
/* Rank 0: whether `bytes` more fit beside the file. */
int hdf5_file_room(const hdf5_file_t *file, int64_t bytes);
/* What HDF5 has to say about the file is written; from now on all ranks write entries. @collective yes */
int hdf5_file_settle(hdf5_file_t *file);
/* All entries are on disk. @collective yes */
int hdf5_file_sync(hdf5_file_t *file);
/* Let the new file take its place. @param replace  false: it is an error if there is one by now. @collective yes */
int hdf5_file_commit(hdf5_file_t *file, bool replace);
/* Close and unlock; a new file that was not committed is removed. Any number of times. */
void hdf5_file_close(hdf5_file_t *file);

/* ---- inspect.c: one process alone ---- */

/* Open a file for this process alone. */
int hdf5_open_alone(const hdf5_file_t *file, bool for_writing, hid_t *id_p);
/* What a data set is. One whose entries lie in other files is refused: they could lie anywhere. */
int hdf5_inspect(alch_call_t *call, hid_t file, const char *asked, const char *dataset, hdf5_facts_t *facts);
/* "60000,784": nothing without dimensions. @return how many dimensions */
#define HDF5_SHAPE_MAX (H5S_MAX_RANK * 22)
int hdf5_shape(hid_t space, hsize_t dims[H5S_MAX_RANK], char shape[HDF5_SHAPE_MAX]);
#define HDF5_NAME_MAX 1024 /* bytes of a data set's name, with its NUL */
/* Whether a data set can have this name at all. */
int hdf5_check_name(alch_call_t *call, const char *name);
typedef enum {
    HDF5_BAD, /* an error of HDF5 */
    HDF5_MISSING,
    HDF5_BLOCKED,  /* what should be a group on the way to it is none */
    HDF5_DANGLING, /* a link that cannot be followed */
    HDF5_DATASET,
    HDF5_GROUP,
    HDF5_TYPE
} hdf5_found_t;
/* What has a name in a file. @param[out] blocked  the name, or as much of it as leads to what blocks it */
hdf5_found_t hdf5_look(hid_t file, const char *name, char blocked[HDF5_NAME_MAX]);
/* "a, b/c, d and 17 more" */
char *hdf5_holdings(hid_t file, char *text, size_t size);

/* ---- transfer.c ---- */

/* Rows or columns of a data set: `count` of them, from `begin` on, `step` apart. */
typedef struct {
    int64_t begin, step, count;
} hdf5_range_t;

/* What is stored together and read as a whole, and where in one of these the first row is. */
typedef struct {
    int64_t rows, cols, lead;
} hdf5_grain_t;

/* Entries between a data set and a matrix. */
typedef struct {
    alch_call_t *call;
    const char *file, *dataset; /* for messages */
    hid_t id;                   /* the data set, when reading */
    int fd;                     /* when writing: the file, */
    int64_t offset;             /* and where in it the entries are, in C order */
    alch_block_t block;         /* has the columns once or, when reading, several times */
    hdf5_range_t rows, cols;
    hdf5_grain_t grain;
    bool write;
    const hdf5_type_t *type; /* of the data set, when reading */
    double done, share;      /* of the whole operation: before this transfer, and of this transfer */
} hdf5_transfer_t;

/* Through buffers of bounded size, which it accounts for; ends within one panel when it is cancelled.
 * @collective yes */
int hdf5_transfer(hdf5_transfer_t *transfer);

/* ---- operations ---- */

int hdf5_read(alch_call_t *call);
int hdf5_write(alch_call_t *call);
int hdf5_save(alch_call_t *call);
int hdf5_list(alch_call_t *call);
int hdf5_delete(alch_call_t *call);

/* ---- write.c ---- */

/* Rank 0: a new data set for a matrix. @param label  attributes of save(), or NULL for none
 * @param[out] offset_p  where in the file its entries are */
int hdf5_make(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, const char *label,
              int64_t *offset_p);
/* Its entries, into a file that has settled. @collective yes */
int hdf5_put(hdf5_file_t *file, const alch_dmatrix_t *matrix, const char *dataset, int64_t offset, double done,
             double share);

#endif
