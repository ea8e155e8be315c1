/**
 * @file agent/agent.h
 * An agent: it starts the ranks of worker groups on its host, is their PMI-1 server, watches them and reaps them.
 *
 * The agent runs on a libuv loop and never blocks it. The driver's messages arrive on a channel that is already
 * authenticated, and the agent reports the starts and exits of ranks on the same channel. The agent binds the TCP port
 * of each slot when it is created and keeps the ports for its lifetime; a rank inherits the socket of its slot.
 *
 * Not MT-Safe: only the thread that runs the loop may call these functions. That thread must live as long as the
 * ranks, because the kernel kills them when the thread that started them ends. No other code in the process may wait
 * for the agent's children: no SIGCHLD handler that waits for any child, and no waitpid(-1).
 */
#ifndef ALCHI_AGENT_AGENT_H
#define ALCHI_AGENT_AGENT_H

#include "net/channel.h"

#include <uv.h>

typedef struct alchi_agent alchi_agent_t;

/** All strings are copied. */
typedef struct {
    int slots;                  /* 1 .. ALCHI_AGENT_SLOTS_MAX */
    const char *bind;           /* address of the slots' ports; NULL: 127.0.0.1 */
    int base_port;              /* slot i (from 0) gets base_port + 1 + i; 0: any free ports */
    const char *driver_address; /* HOST:PORT to which ranks connect */
    const char *exe;            /* the program of the ranks, run with the argument --rank; NULL: this program */
    const char *advertise;      /* address of this host for clients; NULL: the address that the driver sees */
    /** The agent lost the driver, or the driver broke the protocol; `code` and `text` say why. All ranks are reaped
     *  and their shared memory is removed. The loop calls it once, and never after alchi_agent_stop(). It may destroy
     *  the agent. May be NULL. */
    void (*on_end)(void *context, int code, const char *text);
    void *context;
} alchi_agent_options_t;

#define ALCHI_AGENT_SLOTS_MAX 4096

/**
 * Create an agent: bind the ports of its slots, send AGENT_HELLO, and remove shared memory and sockets that earlier
 * ranks of this user left on the host.
 *
 * @param[in]  loop     borrowed for the lifetime of the agent
 * @param[in]  channel  authenticated. On success the agent owns it and sets its limits to those of a control
 *                      connection; on failure the caller still owns it
 * @param[in]  options  copied
 * @param[out] agent_p  the agent, to be destroyed with alchi_agent_destroy()
 *
 * @return ALCH_OK
 * @return ALCH_EINVAL    an option is out of range, or the address `bind` is not one of this host
 * @return ALCH_EPORT     a slot's port is in use; the text names the port and, if it can be seen, its owner
 * @return ALCH_ECONNECT, ALCH_ELIMIT  AGENT_HELLO could not be sent
 * @return ALCH_ENOMEM, ALCH_ESYSTEM
 */
int alchi_agent_create(uv_loop_t *loop, alchi_channel_t *channel, const alchi_agent_options_t *options,
                       alchi_agent_t **agent_p, alch_error_t *err);

/** The loop calls it when all ranks are reaped and their shared memory is removed. It may destroy the agent. */
typedef void (*alchi_agent_stopped_f)(void *context);

/**
 * End all groups: send SIGTERM to their ranks, and SIGKILL after `grace_ms`.
 *
 * The channel stays open until the agent is destroyed, so the driver still gets RANK_EXIT and GROUP_ENDED. From now on
 * the agent answers each SPAWN with RANK_EXIT. The function may be called again: a shorter grace replaces a longer one,
 * and the last callback replaces the earlier ones. The loop calls `stopped` also when no rank runs. This function
 * itself calls it only if memory runs out.
 */
void alchi_agent_stop(alchi_agent_t *agent, int grace_ms, alchi_agent_stopped_f stopped, void *context);

/**
 * Kill and reap the ranks that are left, and free the agent, its channel and its ports. Run the loop once more
 * afterwards, so that libuv closes its handles. NULL is allowed.
 */
void alchi_agent_destroy(alchi_agent_t *agent);

#endif
