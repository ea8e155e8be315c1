/**
 * @file agent/pmi.h
 * PMI-1, the server's side, as pure text processing: a line of a rank in, the reply out.
 *
 * A space holds the keys of one group as this agent knows them. Puts are answered here, are visible to the agent's
 * own ranks at once and wait, as "fresh", for the next barrier, which takes them to the other agents.
 */
#ifndef ALCHI_AGENT_PMI_H
#define ALCHI_AGENT_PMI_H

#include "base/buf.h"
#include "wire/message.h"

typedef struct alchi_agent_pmi alchi_agent_pmi_t;

/* A line of a client is at most 1023 bytes, so a value and the words around it must fit into that. */
#define ALCHI_AGENT_PMI_LINE_MAX 4096
#define ALCHI_AGENT_PMI_KEY_MAX 64
#define ALCHI_AGENT_PMI_VALUE_MAX 800

typedef enum {
    ALCHI_AGENT_PMI_NONE,      /* answered, or nothing to say */
    ALCHI_AGENT_PMI_ENTERED,   /* the rank waits for "cmd=barrier_out" */
    ALCHI_AGENT_PMI_FINALIZED, /* it says good-bye, and was answered */
    ALCHI_AGENT_PMI_ABORTED,   /* through MPI_Abort */
    ALCHI_AGENT_PMI_MALFORMED  /* not PMI: drop the connection */
} alchi_agent_pmi_event_t;

/** What is kept of one rank's connection. Start with zeros. */
typedef struct {
    bool multi;     /* within a command of many lines */
    int abort_code; /* after ALCHI_AGENT_PMI_ABORTED */
} alchi_agent_pmi_client_t;

/** @param mapping  PMI_process_mapping of the group. NULL: out of memory */
alchi_agent_pmi_t *alchi_agent_pmi_create(uint64_t group, int size, const char *mapping);
void alchi_agent_pmi_destroy(alchi_agent_pmi_t *pmi);

/**
 * Serve one line.
 *
 * @param line   NUL-terminated, without its newline
 * @param reply  the answer, newline included, is appended
 */
alchi_agent_pmi_event_t alchi_agent_pmi_line(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, const char *line,
                                             alchi_buf_t *reply);

/** Serve all complete lines that `in` holds, up to the first event that is not NONE. Incomplete ones stay. */
alchi_agent_pmi_event_t alchi_agent_pmi_feed(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client, alchi_buf_t *in,
                                             alchi_buf_t *reply);

/** Store a pair that came from elsewhere. @return ALCH_OK, ALCH_EPROTO (unusable), ALCH_ELIMIT, ALCH_ENOMEM */
int alchi_agent_pmi_store(alchi_agent_pmi_t *pmi, const char *key, const char *value);

/** The value of a key, or NULL. Borrowed until it is stored anew. */
const char *alchi_agent_pmi_value(const alchi_agent_pmi_t *pmi, const char *key);

/**
 * What was put since the last time this was asked.
 *
 * @param[out] pairs_p  an array to be freed with free(), of borrowed pairs that last until the next put
 * @return ALCH_OK, ALCH_ENOMEM
 */
int alchi_agent_pmi_reset(alchi_agent_pmi_t *pmi, Alchw__PmiPair ***pairs_p, size_t *count_p);

#endif
