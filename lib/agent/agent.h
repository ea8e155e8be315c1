/**
 * @file agent/agent.h
 * An agent: starts the ranks of worker groups on its host, speaks PMI-1 to them, watches and reaps them.
 *
 * It runs on a libuv loop and never blocks it: messages of the driver come in over a channel that is already
 * authenticated, and what becomes of the ranks goes back over it. The agent binds the TCP port of every slot when
 * it is made and keeps it for its lifetime; a rank inherits the socket of its slot.
 *
 * Not MT-Safe: everything happens in the thread that runs the loop, which must live as long as the ranks (they are
 * killed when the thread that started them ends). Nobody else in the process may wait for the agent's children:
 * no SIGCHLD handler that waits for any child, no waitpid(-1).
 */
#ifndef ALCHI_AGENT_AGENT_H
#define ALCHI_AGENT_AGENT_H

#include "net/channel.h"

#include <uv.h>

typedef struct alchi_agent alchi_agent_t;

typedef struct {
    int slots;                  /* 1 .. ALCHI_AGENT_SLOTS_MAX */
    const char *bind;           /* address of the slots' ports; NULL: 127.0.0.1 */
    int base_port;              /* slot i (from 0) gets base_port + 1 + i; 0: any free ports */
    const char *driver_address; /* HOST:PORT that ranks connect to */
    const char *exe;            /* what ranks run, with the argument --rank; NULL: this program */
    const char *advertise;      /* address of this host for clients; NULL: as the driver sees it */
    /** The driver is lost or broke the protocol, and all ranks are gone and swept: code and text say why. Called
     *  once from the loop, and not after alchi_agent_stop(). The agent may be destroyed in it. May be NULL. */
    void (*on_end)(void *context, int code, const char *text);
    void *context;
} alchi_agent_options_t;

#define ALCHI_AGENT_SLOTS_MAX 4096

/**
 * Make an agent and send its AGENT_HELLO.
 *
 * @param channel  authenticated; its limits are lifted here. Taken over on success only
 * @param options  copied
 * @return ALCH_OK; ALCH_EINVAL; ALCH_EPORT naming the slot's port and its owner; ALCH_ECONNECT; ALCH_ENOMEM;
 *         ALCH_ESYSTEM
 */
int alchi_agent_create(uv_loop_t *loop, alchi_channel_t *channel, const alchi_agent_options_t *options,
                       alchi_agent_t **agent_p, alch_error_t *err);

/** Called from the loop when all ranks are reaped and their shared memory is swept. */
typedef void (*alchi_agent_stopped_f)(void *context);

/**
 * End all groups: SIGTERM, and SIGKILL after grace_ms. The channel stays open meanwhile, so the driver still gets
 * RANK_EXIT and GROUP_ENDED; SPAWN is answered by RANK_EXIT. Calling again shortens the grace; the last callback
 * counts. Always called back from the loop, also when nothing runs; the agent may be destroyed in it.
 */
void alchi_agent_stop(alchi_agent_t *agent, int grace_ms, alchi_agent_stopped_f stopped, void *context);

/**
 * Free the agent, its channel and its ports. Ranks that are left are killed and waited for. Run the loop once more
 * afterwards, so that libuv lets go of the handles. NULL is allowed.
 */
void alchi_agent_destroy(alchi_agent_t *agent);

#endif
