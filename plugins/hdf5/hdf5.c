/* hdf5: reads data sets of HDF5 files into matrices and writes matrices as data sets, with all workers at once. */
#include "h5.h"

static const alch_operation_t operations[] = {
    {"read", "Read a data set, or a part of it, into a matrix.",
     "file:string, dataset:string, rows:int64[]=[], columns:int64[]=[], dtype:string=\"\", layout:string=\"\", "
     "copies:int64=1 -> A:matrix",
     "file: a path on the workers' hosts, in one of the directories of --data-dir or below; a relative path starts in "
     "the first of them\n"
     "dataset: its name, for example \"group/name\"; it has two dimensions, or one, which becomes a column\n"
     "rows: [first, end] or [first, end, step] as in a Python slice: a negative index counts from the end, an index "
     "beyond the end means the end, and the step must be positive; [] reads all rows\n"
     "columns: as rows\n"
     "dtype: the type of the matrix. By default it is the smallest type that holds all values of the data set: h5py's "
     "bool, signed integers of up to 32 bits and unsigned integers of up to 16 bits become int32, longer integers "
     "int64, and float16 becomes float32. Floats of more than 64 bits are rounded to float64. A note reports a "
     "conversion. A value that does not fit into the type is an error\n"
     "layout: its name, for example \"VC_STAR\" or \"block_cyclic(64,64)\"; \"\" is the default layout\n"
     "copies: repeat the columns this many times side by side (1 to 1000000), to study how a computation scales; the "
     "file is read once\n"
     "A: the matrix, named after the data set, or after the matrix that save wrote\n\n"
     "Each worker reads strips of rows in the order of the file, 2 MiB or some whole chunks at a time. Then the "
     "workers "
     "exchange entries, so that each has those of its layout. A chunk of up to 128 MiB is decompressed once, by one "
     "worker. A larger chunk is decompressed again for every few rows of it, which is slow. The buffers take up to 12 "
     "MiB on each worker, or the size of some chunks, and count towards --memory-limit; HDF5 itself needs a little "
     "more memory, which does not count. A cancel takes effect after the current strips.",
     0, hdf5_read},
    {"write", "Write a matrix as a data set.",
     "A:matrix, file:string, dataset:string, mode:string=\"a\", overwrite:bool=false",
     "A: a matrix of any type in any layout; complex entries become compounds {r, i}, as in h5py\n"
     "file: as in read\n"
     "dataset: its name; groups that are missing are created\n"
     "mode: a: add to the file, which is created if it is missing; x: create the file, which must not exist; w: create "
     "the file, or replace it as a whole\n"
     "overwrite: with mode a: replace a data set of this name; without it such a data set is an error\n\n"
     "The data set is contiguous and in C order. With modes x and w the workers write a temporary file, which is "
     "renamed when it is complete. With mode a they write into the file itself: HDF5 allocates the entries, all "
     "workers write them, and then the data set gets its name. If that fails or is canceled, the other data sets "
     "remain. A worker that is killed can damage the file only in the moments in which HDF5 changes it, at the "
     "beginning and at the end.",
     0, hdf5_write},
    {"save", "Save several matrices to a file, with their names and layouts.",
     "matrices:matrix[], names:string[], labels:string[], file:string, overwrite:bool=false -> bytes:int64",
     "matrices: the matrices to save; all entries of each must be written\n"
     "names: the names of the data sets, one for each matrix\n"
     "labels: the names of the matrices, one for each matrix; they may be empty\n"
     "file: as in read\n"
     "overwrite: replace a file that exists; without it such a file is an error\n"
     "bytes: the size of all entries in bytes\n\n"
     "The file appears when it is complete and on disk. Until then, and if saving fails, an old file stays as it was. "
     "The data sets are those of write, with the attributes alchemist_name, alchemist_layout and alchemist_workers.",
     0, hdf5_save},
    {"list", "List the data sets of a file.",
     "file:string -> names:string[], dtypes:string[], shapes:string[], attributes:string[]",
     "file: as in read\n"
     "names: the names of the data sets\n"
     "dtypes: the types of their entries, with NumPy's names\n"
     "shapes: their dimensions, for example \"60000,784\"\n"
     "attributes: for each data set its attributes as JSON",
     0, hdf5_list},
    {"delete", "Delete a data set.", "file:string, dataset:string",
     "file: as in read\n"
     "dataset: a data set, or a group, which is deleted with all that it holds\n\n"
     "The file does not become smaller; h5repack writes a copy without the gap.",
     0, hdf5_delete},
};

static int
init(alch_call_t *call)
{
    if (H5open() < 0)
        return call->host->fail(call, ALCH_EPLUGIN, "the HDF5 library cannot be initialized");
    /* The client gets the errors of HDF5; without this handler HDF5 prints them to standard error. */
    H5Eset_auto2(H5E_DEFAULT, hdf5_record_reason, NULL);
    /* A file can name filters, which HDF5 would load from anywhere, and other files, which can be anywhere. */
    H5PLset_loading_state(0);
    H5Lunregister(H5L_TYPE_EXTERNAL);
    return ALCH_OK;
}

static void
fini(alch_call_t *call)
{
    (void)call;
    H5close();
}

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "hdf5",
    .version = "1.0",
    .summary = "HDF5 data sets, read and written by all workers at once.",
    .operations = operations,
    .operation_count = sizeof(operations) / sizeof(*operations),
    .init = init,
    .fini = fini,
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
