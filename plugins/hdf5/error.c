/* Errors of HDF5 as errors of a call. */
#include "h5.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of the call that failed last: the stack itself is gone with the next call, H5Sclose() for example. */
static char reason[ALCH_ERROR_TEXT_MAX / 2];

/* Upwards the first is the one that knows most: the system's own reason, for example. */
static herr_t
note_first(unsigned n, const H5E_error2_t *error, void *context)
{
    (void)context;
    if (n == 0 && error->desc)
        snprintf(reason, sizeof(reason), ": %s", error->desc);
    return 0;
}

herr_t
hdf5_note_reason(hid_t stack, void *context)
{
    reason[0] = '\0';
    return H5Ewalk2(stack, H5E_WALK_UPWARD, note_first, context);
}

int
hdf5_fail(alch_call_t *call, int code, const char *format, ...)
{
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* MPI's own error stacks have several lines. */
    for (char *end = reason; (end = strchr(end, '\n'));)
        *end = ' ';
    code = call->host->fail(call, code, "%s%s", text, reason);
    reason[0] = '\0';
    return code;
}

int
hdf5_share(alch_call_t *call, int code, void *found, size_t size)
{
    code = call->host->agree(call, code, NULL);
    if (!code && MPI_Bcast(found, (int)size, MPI_BYTE, 0, call->comm) != MPI_SUCCESS)
        code = call->host->fail(call, ALCH_EINTERNAL, "MPI_Bcast failed");
    return code;
}
