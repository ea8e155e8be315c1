/* A library whose signature cannot be parsed: int65 is not a type. */
#include <alchemist/plugin.h>

static int
nothing(alch_call_t *call)
{
    (void)call;
    return ALCH_OK;
}

static const alch_operation_t operations[] = {
    {"nothing", "Does nothing.", "A:matrix, k:int65 -> U:matrix", "", 0, nothing}};

static const alch_plugin_t plugin = {
    .struct_size = sizeof(alch_plugin_t),
    .abi = ALCH_PLUGIN_ABI,
    .build = ALCH_PLUGIN_BUILD,
    .name = "badsignature",
    .version = "1.0",
    .summary = "Must be refused.",
    .operations = operations,
    .operation_count = 1,
};

const alch_plugin_t *
alch_plugin(void)
{
    return &plugin;
}
