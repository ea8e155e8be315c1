/**
 * @file net/proof.h
 * The proofs of the handshake (net/auth.h).
 */
#ifndef ALCHI_NET_PROOF_H
#define ALCHI_NET_PROOF_H

#include "net/auth.h"

#define ALCHI_NONCE_SIZE 32
#define ALCHI_PROOF_SIZE 32

typedef enum { ALCHI_SIDE_INITIATOR, ALCHI_SIDE_RESPONDER } alchi_side_t;

/** Everything that a proof covers: both sides must have seen the same handshake. */
typedef struct {
    alchi_claim_t claim;
    uint32_t version;                  /* chosen by the responder */
    uint32_t version_min, version_max; /* that the initiator speaks */
    const uint8_t *nonce_initiator, *nonce_responder;
} alchi_transcript_t;

/** Compute the proof of one side. @return ALCH_OK or ALCH_ENOMEM */
int alchi_proof_make(alchi_side_t side, const uint8_t key[ALCHI_KEY_SIZE], const alchi_transcript_t *transcript,
                     uint8_t proof[ALCHI_PROOF_SIZE]);

/** Whether bytes from the peer are the proof of `side`. The comparison takes the same time wherever they differ. */
bool alchi_proof_check(alchi_side_t side, const uint8_t key[ALCHI_KEY_SIZE], const alchi_transcript_t *transcript,
                       const void *proof, size_t size);

#endif
