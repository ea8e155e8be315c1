/* Connect to a rank on the same host through shared memory. If any step fails, the caller uses TCP instead. */
#include "client/client.h"
#include "net/shm.h"

/* The frame id of the request for shared memory. It is the only request before transfers use the connection. */
#define SHM_REQUEST_ID 1

alchi_channel_t *
alchi_cli_dial_shm(const alch_session_t *session, const alchi_claim_t *claim, const uint8_t *key,
                   alchi_deadline_t deadline)
{
    alchi_channel_t *channel;
    alchi_granted_t granted;
    int fd = session->options.shared_memory ? alchi_shm_connect(key, claim) : -1;

    if (fd < 0)
        return NULL;
    channel = alchi_channel_create(alchi_stream_create(fd));
    if (channel &&
        alchi_authenticate(channel, claim, key, session->name, ALCHI_PAYLOAD_MAX, deadline, &granted, NULL) ==
            ALCH_OK &&
        alchi_shm_request(channel, SHM_REQUEST_ID, deadline, NULL) == ALCH_OK)
        return channel;
    alchi_channel_destroy(channel);
    return NULL;
}
