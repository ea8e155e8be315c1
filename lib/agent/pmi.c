/* The PMI-1 server: a key-value space, and the commands of the protocol. */
#include "agent/pmi.h"

#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define SPACE_NAME_MAX 256 /* bytes, announced to ranks; the names here ("kvs_7") are much shorter */
#define KEYS_PER_RANK 256  /* so that a faulty rank cannot fill the memory */

typedef struct {
    Alchw__PmiPair pair; /* key and value are owned */
    bool unsent;         /* put by a rank of this agent, and not sent to the other agents yet */
    UT_hash_handle hh;
} entry_t;

struct alchi_agent_pmi {
    uint64_t group;
    int size;
    entry_t *entries;
};

alchi_agent_pmi_t *
alchi_agent_pmi_create(uint64_t group, int size, const char *mapping)
{
    alchi_agent_pmi_t *pmi = calloc(1, sizeof(*pmi));

    if (!pmi)
        return NULL;
    pmi->group = group;
    pmi->size = size;
    if (alchi_agent_pmi_store(pmi, "PMI_process_mapping", mapping) == ALCH_OK)
        return pmi;
    alchi_agent_pmi_destroy(pmi);
    return NULL;
}

void
alchi_agent_pmi_destroy(alchi_agent_pmi_t *pmi)
{
    entry_t *entry, *next;

    if (!pmi)
        return;
    HASH_ITER(hh, pmi->entries, entry, next)
    {
        HASH_DEL(pmi->entries, entry);
        free(entry->pair.key);
        free(entry->pair.value);
        free(entry);
    }
    free(pmi);
}

/* ---- the key-value space ---- */

static bool
is_printable_ascii(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static entry_t *
add_entry(alchi_agent_pmi_t *pmi, const char *key)
{
    entry_t *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    alchw__pmi_pair__init(&entry->pair);
    entry->pair.key = strdup(key);
    if (!entry->pair.key) {
        free(entry);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, pmi->entries, entry->pair.key, strlen(key), entry);
    return entry;
}

static int
store_pair(alchi_agent_pmi_t *pmi, const char *key, const char *value, bool unsent)
{
    entry_t *entry;
    char *copy;

    if (!key || !value || !key[0] || strlen(key) > ALCHI_AGENT_PMI_KEY_MAX || !is_printable_ascii(key) ||
        !is_printable_ascii(value) || strchr(key, ' ') || strlen(value) >= ALCHI_AGENT_PMI_LINE_MAX)
        return ALCH_EPROTO;
    HASH_FIND_STR(pmi->entries, key, entry);
    if (!entry && HASH_COUNT(pmi->entries) / KEYS_PER_RANK >= (unsigned)pmi->size)
        return ALCH_ELIMIT;
    copy = strdup(value);
    if (copy && !entry)
        entry = add_entry(pmi, key);
    if (!copy || !entry) {
        free(copy);
        return ALCH_ENOMEM;
    }
    free(entry->pair.value);
    entry->pair.value = copy;
    entry->unsent = unsent;
    return ALCH_OK;
}

int
alchi_agent_pmi_store(alchi_agent_pmi_t *pmi, const char *key, const char *value)
{
    return store_pair(pmi, key, value, false);
}

const char *
alchi_agent_pmi_value(const alchi_agent_pmi_t *pmi, const char *key)
{
    entry_t *entry;

    HASH_FIND_STR(pmi->entries, key, entry);
    return entry ? entry->pair.value : NULL;
}

int
alchi_agent_pmi_take_unsent(alchi_agent_pmi_t *pmi, Alchw__PmiPair ***pairs_p, size_t *count_p)
{
    Alchw__PmiPair **pairs = malloc((HASH_COUNT(pmi->entries) + 1) * sizeof(Alchw__PmiPair *));
    size_t count = 0;

    if (!pairs)
        return ALCH_ENOMEM;
    for (entry_t *entry = pmi->entries; entry; entry = entry->hh.next) {
        if (entry->unsent)
            pairs[count++] = &entry->pair;
        entry->unsent = false;
    }
    *pairs_p = pairs;
    *count_p = count;
    return ALCH_OK;
}

/* ---- lines ---- */

/* Copy X of "name=X" in a line. X ends at a space; only that of "value=" may contain spaces and ends with the line.
 * Returns false if it is missing or longer than size - 1. */
static bool
copy_argument(const char *line, const char *name, char *text, size_t size)
{
    size_t length = strlen(name), n;

    while (*line) {
        line += strspn(line, " ");
        if (strncmp(line, name, length) == 0 && line[length] == '=') {
            line += length + 1;
            n = strcmp(name, "value") == 0 ? strlen(line) : strcspn(line, " ");
            if (n >= size)
                return false;
            memcpy(text, line, n);
            text[n] = '\0';
            return true;
        }
        line += strcspn(line, " ");
    }
    return false;
}

static void
append_text(alchi_buf_t *reply, const char *text)
{
    alchi_buf_append(reply, text, strlen(text));
}

static alchi_agent_pmi_event_t
on_init(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char version[16];
    bool good = copy_argument(line, "pmi_version", version, sizeof(version)) && strcmp(version, "1") == 0;

    (void)pmi, (void)client;
    append_text(reply, good ? "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n"
                            : "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n");
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_get_maxes(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char text[128];

    (void)pmi, (void)client, (void)line;
    snprintf(text, sizeof(text), "cmd=maxes kvsname_max=%d keylen_max=%d vallen_max=%d\n", SPACE_NAME_MAX,
             ALCHI_AGENT_PMI_KEY_MAX, ALCHI_AGENT_PMI_VALUE_MAX);
    append_text(reply, text);
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_get_appnum(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    (void)pmi, (void)client, (void)line;
    append_text(reply, "cmd=appnum appnum=0\n");
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_get_universe_size(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char text[64];

    (void)client, (void)line;
    snprintf(text, sizeof(text), "cmd=universe_size size=%d\n", pmi->size);
    append_text(reply, text);
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_get_my_kvsname(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char text[64];

    (void)client, (void)line;
    snprintf(text, sizeof(text), "cmd=my_kvsname kvsname=kvs_%llu\n", (unsigned long long)pmi->group);
    append_text(reply, text);
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_put(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char key[ALCHI_AGENT_PMI_KEY_MAX + 1], value[ALCHI_AGENT_PMI_LINE_MAX];
    int code = ALCH_EPROTO;

    (void)client;
    if (copy_argument(line, "key", key, sizeof(key)) && copy_argument(line, "value", value, sizeof(value)))
        code = store_pair(pmi, key, value, true);
    append_text(reply, code == ALCH_OK       ? "cmd=put_result rc=0 msg=success\n"
                       : code == ALCH_EPROTO ? "cmd=put_result rc=-1 msg=invalid_key_or_value\n"
                                             : "cmd=put_result rc=-1 msg=no_room\n");
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_get(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char key[ALCHI_AGENT_PMI_KEY_MAX + 1];
    const char *value = copy_argument(line, "key", key, sizeof(key)) ? alchi_agent_pmi_value(pmi, key) : NULL;

    (void)client;
    if (!value) {
        append_text(reply, "cmd=get_result rc=-1 msg=key_not_found value=unknown\n");
        return ALCHI_AGENT_PMI_NONE;
    }
    append_text(reply, "cmd=get_result rc=0 msg=success value=");
    append_text(reply, value);
    append_text(reply, "\n");
    return ALCHI_AGENT_PMI_NONE;
}

static alchi_agent_pmi_event_t
on_barrier(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    (void)pmi, (void)client, (void)line, (void)reply;
    return ALCHI_AGENT_PMI_ENTERED;
}

static alchi_agent_pmi_event_t
on_finalize(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    (void)pmi, (void)client, (void)line;
    append_text(reply, "cmd=finalize_ack\n");
    return ALCHI_AGENT_PMI_FINALIZED;
}

static alchi_agent_pmi_event_t
on_abort(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char text[16];
    int64_t code = 1;

    (void)pmi, (void)reply;
    if (copy_argument(line, "exitcode", text, sizeof(text)))
        alchi_parse_int64(text, INT32_MIN, INT32_MAX, &code);
    client->abort_code = (int)code;
    return ALCHI_AGENT_PMI_ABORTED;
}

static alchi_agent_pmi_event_t
on_name_service(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    char command[64] = "", text[128];

    (void)pmi, (void)client;
    copy_argument(line, "cmd", command, sizeof(command));
    /* The answer to publish_name is publish_result; the same holds for unpublish_name and lookup_name. */
    *strchrnul(command, '_') = '\0';
    snprintf(text, sizeof(text), "cmd=%s_result rc=-1 info=unsupported msg=unsupported\n", command);
    append_text(reply, text);
    return ALCHI_AGENT_PMI_NONE;
}

static const struct {
    const char *name;
    alchi_agent_pmi_event_t (*serve_command)(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line,
                                             alchi_buf_t *reply);
} commands[] = {
    {"init", on_init},
    {"get_maxes", on_get_maxes},
    {"get_appnum", on_get_appnum},
    {"get_universe_size", on_get_universe_size},
    {"get_my_kvsname", on_get_my_kvsname},
    {"put", on_put},
    {"get", on_get},
    {"barrier_in", on_barrier},
    {"finalize", on_finalize},
    {"abort", on_abort},
    {"publish_name", on_name_service},
    {"unpublish_name", on_name_service},
    {"lookup_name", on_name_service},
};

/* Commands of several lines begin with "mcmd=" and end with "endcmd". The only one is spawn (MPI_Comm_spawn), which the
 * server refuses. */
static alchi_agent_pmi_event_t
serve_multi_line(alchi_agent_pmi_client_t *client, const char *line, alchi_buf_t *reply)
{
    client->in_multi_line = strcmp(line, "endcmd") != 0;
    if (!client->in_multi_line)
        append_text(reply, "cmd=spawn_result rc=-1 status=-1\n");
    return ALCHI_AGENT_PMI_NONE;
}

alchi_agent_pmi_event_t
alchi_agent_pmi_serve_line(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line,
                           alchi_buf_t *reply)
{
    char command[64];

    if (client->in_multi_line || strncmp(line, "mcmd=", 5) == 0)
        return serve_multi_line(client, line, reply);
    if (!is_printable_ascii(line) || strncmp(line, "cmd=", 4) != 0 ||
        !copy_argument(line, "cmd", command, sizeof(command)))
        return ALCHI_AGENT_PMI_MALFORMED;
    for (size_t i = 0; i < ALCHI_COUNT(commands); i++)
        if (strcmp(command, commands[i].name) == 0)
            return commands[i].serve_command(pmi, client, line, reply);
    return ALCHI_AGENT_PMI_MALFORMED;
}

alchi_agent_pmi_event_t
alchi_agent_pmi_serve_lines(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, alchi_buf_t *in,
                            alchi_buf_t *reply)
{
    alchi_agent_pmi_event_t event = ALCHI_AGENT_PMI_NONE;

    while (event == ALCHI_AGENT_PMI_NONE && alchi_buf_size(in)) {
        char *line = (char *)alchi_buf_bytes(in), *end = memchr(line, '\n', alchi_buf_size(in));
        size_t length = end ? (size_t)(end - line) : alchi_buf_size(in);

        if (length >= ALCHI_AGENT_PMI_LINE_MAX)
            return ALCHI_AGENT_PMI_MALFORMED;
        if (!end)
            return ALCHI_AGENT_PMI_NONE;
        *end = '\0';
        event =
            strlen(line) == length ? alchi_agent_pmi_serve_line(pmi, client, line, reply) : ALCHI_AGENT_PMI_MALFORMED;
        alchi_buf_consume(in, length + 1);
    }
    return event;
}
