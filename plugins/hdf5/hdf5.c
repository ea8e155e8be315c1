/* hdf5: data sets of HDF5 files as matrices, and matrices as data sets, read and written by all workers at once. */
#include "h5.h"

static const alch_operation_t operations[] = {
    {"read", "A data set, or a part of it, as a matrix.",
     "file:string, dataset:string, rows:int64[]=[], columns:int64[]=[], dtype:string=\"\", layout:string=\"\", "
     "copies:int64=1 -> A:matrix",
     "file: path on the workers' hosts, below one of the directories of --data-dir; relative to the first of them\n"
     "dataset: its name, \"group/name\" for example; two dimensions, or one, which becomes a column\n"
     "rows: [first, end] or [first, end, step] as in a slice: negative ones count from the end, what lies beyond it is "
     "cut off; steps are positive; [] all of them\n"
     "columns: the same\n"
     "dtype: of the matrix; without it the smallest that holds all values of the data set: integers of up to 32 bits "
     "become int32, longer ones int64, float16 becomes float32, h5py's bool int32, floats of more than 64 bits are "
     "rounded. A note tells of a conversion; a value that does not fit is an error\n"
     "layout: its name, \"VC_STAR\" or \"block_cyclic(64,64)\" for example; without it the default\n"
     "copies: put the columns side by side so many times (1 to 1000000), to study how a computation scales; the file "
     "is "
     "read once\n"
     "A: named after the data set\n\n"
     "The workers read rows as they lie in the file, each a strip of 2 MiB, or of whole chunks, at a time, and "
     "exchange "
     "entries until each has its share in its layout. A chunk of up to 128 MiB is unpacked once, by one worker; the "
     "rows "
     "of a larger one again and again, which is slow. The buffers, up to 12 MiB on each worker or some chunks, count "
     "towards --memory-limit; HDF5 takes a little more that does not. It can be cancelled after each strip.",
     0, hdf5_read},
    {"write", "A matrix as a data set.",
     "A:matrix, file:string, dataset:string, mode:string=\"a\", overwrite:bool=false",
     "A: any type, any layout; complex entries become h5py's {r, i}\n"
     "file: as in read\n"
     "dataset: its name; missing groups are made\n"
     "mode: a: add to the file, which is made if it is missing; x: a new file, which must not exist; w: a new file in "
     "the place of one that may exist, with all it holds\n"
     "overwrite: with mode a: replace a data set of this name, which is an error otherwise\n\n"
     "In C order, contiguous. Modes x and w write another file, which takes the place of the old one when it is "
     "complete. Mode a changes the file itself: first it gets room for the entries, then all workers write them, then "
     "the "
     "data set gets its name. Other data sets stay when that fails or is cancelled. A worker that is killed may spoil "
     "the "
     "file only in the moments when HDF5 changes it, at the beginning and at the end.",
     0, hdf5_write},
    {"save", "Several matrices in a file, with names and layouts.",
     "matrices:matrix[], names:string[], labels:string[], file:string, overwrite:bool=false -> bytes:int64",
     "matrices: what is saved; each must be complete\n"
     "names: of the data sets, one for each matrix\n"
     "labels: names of the matrices, one for each, which may be empty\n"
     "file: as in read\n"
     "overwrite: replace a file that exists, which is an error otherwise\n"
     "bytes: of the entries\n\n"
     "The file appears when it is complete and on disk; before, and when saving fails, an old one stays as it was. "
     "Data sets are those of write, with the attributes alchemist_name, alchemist_layout and alchemist_workers.",
     0, hdf5_save},
    {"list", "What a file holds.",
     "file:string -> names:string[], dtypes:string[], shapes:string[], attributes:string[]",
     "file: as in read\n"
     "names: of its data sets\n"
     "dtypes: as NumPy calls them\n"
     "shapes: \"60000,784\"\n"
     "attributes: those of each data set as JSON",
     0, hdf5_list},
    {"delete", "Delete a data set.", "file:string, dataset:string",
     "file: as in read\n"
     "dataset: or group, with all it holds\n\n"
     "The file does not shrink: h5repack makes a new one without the gap.",
     0, hdf5_delete},
};

static int
init(alch_call_t *call)
{
    if (H5open() < 0)
        return call->host->fail(call, ALCH_EPLUGIN, "HDF5 cannot be started");
    /* Its errors go to the client, not to standard error. */
    H5Eset_auto2(H5E_DEFAULT, hdf5_note_reason, NULL);
    /* A file can name filters, which would be loaded from anywhere, and other files, which could lie anywhere. */
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
    .summary = "Data sets of HDF5 files as matrices and back, by all workers at once.",
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
