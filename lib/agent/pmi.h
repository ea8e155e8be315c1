/**
 * @file agent/pmi.h
 * The server's side of PMI-1, the protocol by which the ranks of an MPI job exchange their addresses. This is
 * text processing only: the server takes a line of a rank and appends the reply to a buffer.
 *
 * The ranks of a group share a key-value space, of which each agent has a copy. A pair that a rank puts is visible at
 * once to the ranks of the same agent. It reaches the other agents at the next barrier: each agent sends the pairs
 * that its ranks have put since the last one (alchi_agent_pmi_take_unsent()), and stores those of the other agents
 * (alchi_agent_pmi_store()).
 */
#ifndef ALCHI_AGENT_PMI_H
#define ALCHI_AGENT_PMI_H

#include "base/buf.h"
#include "wire/message.h"

/** An agent's copy of the key-value space of a group. */
typedef struct alchi_agent_pmi alchi_agent_pmi_t;

/* Bytes. A PMI-1 client handles lines of at most 1023 bytes, so a value and the words around it must fit into that. */
#define ALCHI_AGENT_PMI_LINE_MAX 4096 /* a longer line of a rank is malformed */
#define ALCHI_AGENT_PMI_KEY_MAX 64
#define ALCHI_AGENT_PMI_VALUE_MAX 800 /* announced to ranks */

/** Actions that the caller must take after a line. */
typedef enum {
    ALCHI_AGENT_PMI_NONE,      /* nothing but to send the reply, if there is one */
    ALCHI_AGENT_PMI_ENTERED,   /* the rank entered a barrier: send "cmd=barrier_out" when all ranks are in it */
    ALCHI_AGENT_PMI_FINALIZED, /* nothing but to send the reply: the rank will then close its connection */
    ALCHI_AGENT_PMI_ABORTED,   /* the rank called MPI_Abort: kill it */
    ALCHI_AGENT_PMI_MALFORMED  /* the line is not PMI-1: close the connection */
} alchi_agent_pmi_event_t;

/** The state of one rank's connection. Initialize it with zeros. */
typedef struct {
    bool in_multi_line; /* within a command of several lines */
    int abort_code;     /* after ALCHI_AGENT_PMI_ABORTED */
} alchi_agent_pmi_client_t;

/** @param mapping  the group's PMI_process_mapping, from which MPI learns which ranks share a host; copied
 *  @return NULL: out of memory, or `mapping` cannot be stored (see alchi_agent_pmi_store()) */
alchi_agent_pmi_t *alchi_agent_pmi_create(uint64_t group, int size, const char *mapping);
/** NULL is allowed. */
void alchi_agent_pmi_destroy(alchi_agent_pmi_t *pmi);

/**
 * Serve one line.
 *
 * @param[in]     line   NUL-terminated, without its newline
 * @param[in,out] reply  the answer is appended, with its newline
 */
alchi_agent_pmi_event_t alchi_agent_pmi_serve_line(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client,
                                                   const char *line, alchi_buf_t *reply);

/** Serve and consume the complete lines in `in`, up to and including the first one whose event is not NONE. Call again
 *  for the rest. An incomplete line stays in `in`. */
alchi_agent_pmi_event_t alchi_agent_pmi_serve_lines(alchi_agent_pmi_t *pmi, alchi_agent_pmi_client_t *client,
                                                    alchi_buf_t *in, alchi_buf_t *reply);

/**
 * Store a pair that another agent sent.
 *
 * @return ALCH_OK
 * @return ALCH_EPROTO  the key or the value is NULL, too long, or not printable ASCII; or the key is "" or has a space
 * @return ALCH_ELIMIT  the space holds 256 keys for each rank of the group
 * @return ALCH_ENOMEM
 */
int alchi_agent_pmi_store(alchi_agent_pmi_t *pmi, const char *key, const char *value);

/** The value of a key, borrowed until the key is stored again. NULL: the key does not exist. */
const char *alchi_agent_pmi_value(const alchi_agent_pmi_t *pmi, const char *key);

/**
 * Take the pairs that ranks of this agent have put since the last call, to send them to the other agents.
 *
 * @param[out] pairs_p  an array that the caller frees with free(); the pairs are borrowed until the next put
 *
 * @return ALCH_OK, ALCH_ENOMEM
 */
int alchi_agent_pmi_take_unsent(alchi_agent_pmi_t *pmi, Alchw__PmiPair ***pairs_p, size_t *count_p);

#endif
