/* Workers of the same host are reached through shared memory. Whatever stands against it, TCP is the way then. */
#include "client/client.h"
#include "net/shm.h"

#define SHARE_ID 1

static bool
agree(alchi_channel_t *channel, const alchi_claim_t *claim, const uint8_t *key, const char *name,
      alchi_deadline_t deadline)
{
    alchi_granted_t granted;

    return alchi_authenticate(channel, claim, key, name, ALCHI_PAYLOAD_MAX, deadline, &granted, NULL) == ALCH_OK &&
           alchi_shm_ask(channel, SHARE_ID, deadline, NULL) == ALCH_OK;
}

alchi_channel_t *
alchi_cli_dial_shm(const alch_session_t *session, const alchi_claim_t *claim, const uint8_t *key,
                   alchi_deadline_t deadline)
{
    alchi_channel_t *channel;
    int fd = session->options.shared_memory ? alchi_shm_connect(key, claim) : -1;

    if (fd < 0)
        return NULL;
    channel = alchi_channel_create(alchi_stream_create(fd));
    if (channel && agree(channel, claim, key, session->name, deadline))
        return channel;
    alchi_channel_destroy(channel);
    return NULL;
}
