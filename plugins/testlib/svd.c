#include "testlib.h"

int
testlib_truncated_svd(alch_call_t *call)
{
    return call->host->fail(call, ALCH_EUNSUPPORTED, "truncated_svd is not there yet");
}
