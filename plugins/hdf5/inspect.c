/* Looks into a file by one process alone: what it holds, and whether a data set can be a matrix. */
#include "h5.h"

#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN 12

int
hdf5_open_alone(const hdf5_file_t *file, bool for_writing, hid_t *id_p)
{
    hid_t id;

    if (hdf5_file_foreign(file))
        return file->call->host->fail(file->call, ALCH_EINVAL, "file '%s' is no HDF5 file", file->asked);
    if ((id = hdf5_file_open(file, for_writing ? H5F_ACC_RDWR : H5F_ACC_RDONLY)) < 0)
        return hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' cannot be opened", file->asked);
    *id_p = id;
    return ALCH_OK;
}

typedef struct {
    char *text;
    size_t size, length;
    int count;
} holdings_t;

static herr_t
add_name(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    holdings_t *holdings = context;

    (void)file;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    if (holdings->count++ < NAMES_SHOWN && holdings->length < holdings->size)
        holdings->length += (size_t)snprintf(holdings->text + holdings->length, holdings->size - holdings->length,
                                             "%s%s", holdings->length ? ", " : "", name);
    return 0;
}

char *
hdf5_holdings(hid_t file, char *text, size_t size)
{
    holdings_t holdings = {text, size, 0, 0};

    snprintf(text, size, "no data set");
    H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, add_name, &holdings, H5O_INFO_BASIC);
    if (holdings.count > NAMES_SHOWN && holdings.length < size)
        snprintf(text + holdings.length, size - holdings.length, " and %d more", holdings.count - NAMES_SHOWN);
    return text;
}

int
hdf5_exists(hid_t file, const char *name)
{
    char part[1024];
    const char *end = name;
    htri_t there = 1;

    /* H5Lexists() fails where a group on the way is missing, so that each is asked for. */
    for (; there > 0 && *end; end++) {
        size_t length = (size_t)(end - name) + strcspn(end, "/");

        end = name + length;
        if (length >= sizeof(part))
            return 0;
        snprintf(part, sizeof(part), "%.*s", (int)length, name);
        if (length)
            there = H5Lexists(file, part, H5P_DEFAULT);
        if (!*end)
            break;
    }
    return there > 0 ? H5Oexists_by_name(file, name, H5P_DEFAULT) : there;
}

/* A text attribute of fixed or variable length, as save() and h5py write them. */
static void
read_label(hid_t dataset, char *label, size_t size)
{
    hid_t attribute, type, memory;
    char *text = NULL;

    if (H5Aexists(dataset, "alchemist_name") <= 0)
        return;
    attribute = H5Aopen(dataset, "alchemist_name", H5P_DEFAULT);
    type = H5Aget_type(attribute);
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
        memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (H5Aread(attribute, memory, &text) >= 0 && text)
            snprintf(label, size, "%s", text);
        H5free_memory(text);
        H5Tclose(memory);
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

static int
read_storage(alch_call_t *call, hid_t dataset, const char *asked, const char *name, hdf5_facts_t *facts)
{
    hid_t plan = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(plan);
    bool elsewhere = layout == H5D_VIRTUAL || H5Pget_external_count(plan) > 0;
    hsize_t chunk[H5S_MAX_RANK] = {1, 1};

    if (layout == H5D_CHUNKED)
        H5Pget_chunk(plan, H5S_MAX_RANK, chunk);
    H5Pclose(plan);
    facts->chunk_m = (int64_t)chunk[0];
    facts->chunk_n = (int64_t)chunk[1];
    return elsewhere ? call->host->fail(call, ALCH_EPERM,
                                        "the entries of data set '%s' of file '%s' lie in other files: these are not "
                                        "read",
                                        name, asked)
                     : ALCH_OK;
}

static int
read_shape(alch_call_t *call, hid_t dataset, const char *asked, const char *name, hdf5_facts_t *facts)
{
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[H5S_MAX_RANK] = {0};
    int rank = H5Sget_simple_extent_type(space) == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, NULL) : 0;

    H5Sclose(space);
    if (rank != 1 && rank != 2)
        return call->host->fail(call, ALCH_EINVAL,
                                "data set '%s' of file '%s' has %d dimensions: a matrix has 2, a column 1", name, asked,
                                rank < 0 ? 0 : rank);
    facts->m = (int64_t)dims[0];
    facts->n = rank == 2 ? (int64_t)dims[1] : 1;
    return ALCH_OK;
}

static int
read_facts(alch_call_t *call, hid_t dataset, const char *asked, const char *name, hdf5_facts_t *facts)
{
    hid_t type = H5Dget_type(dataset);
    int code;

    hdf5_type_read(type, &facts->type);
    H5Tclose(type);
    if (facts->type.kind == HDF5_OTHER)
        return call->host->fail(call, ALCH_ETYPE, "data set '%s' of file '%s' has entries of type %s: no numbers", name,
                                asked, facts->type.name);
    if ((code = read_shape(call, dataset, asked, name, facts)) || (code = read_storage(call, dataset, asked, name, facts)))
        return code;
    read_label(dataset, facts->label, sizeof(facts->label));
    return ALCH_OK;
}

int
hdf5_inspect(alch_call_t *call, hid_t file, const char *asked, const char *name, hdf5_facts_t *facts)
{
    char held[ALCH_ERROR_TEXT_MAX / 2];
    int there = hdf5_exists(file, name), code;
    hid_t object;

    memset(facts, 0, sizeof(*facts));
    if (there < 0)
        return hdf5_fail(call, ALCH_ENOENT, "file '%s' has no data set '%s'", asked, name);
    if (!there)
        return call->host->fail(call, ALCH_ENOENT, "file '%s' has no data set '%s'; it holds %s", asked, name,
                                hdf5_holdings(file, held, sizeof(held)));
    if ((object = H5Oopen(file, name, H5P_DEFAULT)) < 0)
        return hdf5_fail(call, ALCH_EINVAL, "data set '%s' of file '%s' cannot be opened", name, asked);
    code = H5Iget_type(object) == H5I_DATASET
               ? read_facts(call, object, asked, name, facts)
               : call->host->fail(call, ALCH_EINVAL, "'%s' of file '%s' is no data set; the file holds %s", name, asked,
                                  hdf5_holdings(file, held, sizeof(held)));
    H5Oclose(object);
    return code;
}
