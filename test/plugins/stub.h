/** @file stub.h  A library with one operation that does nothing, for the tests of libraries that must be refused. A
 *  library defines STUB_NAME before it includes this file, and what is wrong with it: STUB_ABI, STUB_BUILD or
 *  STUB_SYMBOL. */
#ifndef TEST_PLUGINS_STUB_H
#define TEST_PLUGINS_STUB_H

#include <alchemist/plugin.h>

#ifndef STUB_ABI
#define STUB_ABI ALCH_PLUGIN_ABI
#endif
#ifndef STUB_BUILD
#define STUB_BUILD ALCH_PLUGIN_BUILD
#endif
#ifndef STUB_SYMBOL
#define STUB_SYMBOL alch_plugin
#endif

static int
nothing(alch_call_t *call)
{
    (void)call;
    return ALCH_OK;
}

static const alch_operation_t operations[] = {{"nothing", "Does nothing.", "", "", 0, nothing}};

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = STUB_ABI,
    .build = STUB_BUILD,
    .name = STUB_NAME,
    .version = "1.0",
    .summary = "Must be refused.",
    .operations = operations,
    .operation_count = 1,
};

ALCH_PLUGIN_EXPORT const alch_plugin_t *STUB_SYMBOL(void);

const alch_plugin_t *
STUB_SYMBOL(void)
{
    return &plugin;
}

#endif
