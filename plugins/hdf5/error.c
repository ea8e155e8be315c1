/* Turns errors of HDF5 into errors of a call. */
#include "h5.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Why the last HDF5 call failed. It is copied at once, because the next HDF5 call (H5Sclose(), for example) clears the
 * error stack. */
static char reason[ALCH_ERROR_TEXT_MAX / 2];

/* H5Ewalk2() begins with the innermost error, which is the most specific one: the reason of a system call, for example.
 */
static herr_t
copy_innermost(unsigned n, const H5E_error2_t *error, void *context)
{
    (void)context;
    if (n == 0 && error->desc)
        snprintf(reason, sizeof(reason), ": %s", error->desc);
    return 0;
}

herr_t
hdf5_record_reason(hid_t stack, void *context)
{
    reason[0] = '\0';
    return H5Ewalk2(stack, H5E_WALK_UPWARD, copy_innermost, context);
}

int
hdf5_fail(alch_call_t *call, int code, const char *format, ...)
{
    char text[ALCH_ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* Descriptions that come from MPI have several lines. */
    for (char *end = reason; (end = strchr(end, '\n'));)
        *end = ' ';
    code = call->host->fail(call, code, "%s%s", text, reason);
    reason[0] = '\0';
    return code;
}

int
hdf5_agree_and_broadcast(alch_call_t *call, int code, void *data, size_t size)
{
    code = call->host->agree(call, code, NULL);
    if (!code && MPI_Bcast(data, (int)size, MPI_BYTE, 0, call->comm) != MPI_SUCCESS)
        code = call->host->fail(call, ALCH_EINTERNAL, "MPI_Bcast of %zu bytes failed", size);
    return code;
}
