/* Proofs and derived keys: HMAC-SHA256 over fields of fixed size behind a label. */
#include "net/proof.h"

#include "base/util.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define LABEL_SIZE 32
#define INPUT_MAX 192

/* Each use of a key has a different label, so the result of one use is useless for any other. */
static const char *const side_labels[] = {
    [ALCHI_SIDE_INITIATOR] = "alchemist 1 proof of initiator",
    [ALCHI_SIDE_RESPONDER] = "alchemist 1 proof of responder",
};
static const char session_label[] = "alchemist 1 session key";
static const char data_label[] = "alchemist 1 data key";
static const char wrap_label[] = "alchemist 1 wrapped data key";

/* The role of the responder: the driver, or a rank for data connections. */
enum { RESPONDER_DRIVER = 128, RESPONDER_RANK = 129 };

/* The bytes that an HMAC covers: fields of fixed size, little-endian. */
typedef struct {
    uint8_t bytes[INPUT_MAX];
    size_t size;
} input_t;

static void
add_bytes(input_t *input, const void *bytes, size_t size)
{
    memcpy(input->bytes + input->size, bytes, size);
    input->size += size;
}

static void
add_number(input_t *input, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        input->bytes[input->size++] = (uint8_t)(x >> (8 * i));
}

static input_t
input_with_label(const char *label)
{
    input_t input = {.size = LABEL_SIZE};

    memcpy(input.bytes, label, strlen(label));
    return input;
}

static bool
compute_hmac(const uint8_t key[ALCHI_KEY_SIZE], const input_t *input, uint8_t out[32])
{
    unsigned size = 32;

    return HMAC(EVP_sha256(), key, ALCHI_KEY_SIZE, input->bytes, input->size, out, &size) != NULL;
}

int
alchi_proof_make(alchi_side_t side, const uint8_t key[ALCHI_KEY_SIZE], const alchi_transcript_t *transcript,
                 uint8_t proof[ALCHI_PROOF_SIZE])
{
    const alchi_claim_t *claim = &transcript->claim;
    input_t input = input_with_label(side_labels[side]);

    add_number(&input, side, 1);
    add_number(&input, claim->role, 1);
    add_number(&input, claim->role == ALCHI_ROLE_DATA ? RESPONDER_RANK : RESPONDER_DRIVER, 1);
    add_number(&input, transcript->version, 4);
    add_number(&input, transcript->version_min, 4);
    add_number(&input, transcript->version_max, 4);
    add_number(&input, claim->session, 8);
    add_number(&input, claim->group, 8);
    add_number(&input, (uint32_t)claim->rank, 4);
    add_bytes(&input, transcript->nonce_initiator, ALCHI_NONCE_SIZE);
    add_bytes(&input, transcript->nonce_responder, ALCHI_NONCE_SIZE);
    return compute_hmac(key, &input, proof) ? ALCH_OK : ALCH_ENOMEM;
}

bool
alchi_proof_check(alchi_side_t side, const uint8_t key[ALCHI_KEY_SIZE], const alchi_transcript_t *transcript,
                  const void *proof, size_t size)
{
    uint8_t expected[ALCHI_PROOF_SIZE];

    if (alchi_proof_make(side, key, transcript, expected) != ALCH_OK || size != sizeof(expected))
        return false;
    return CRYPTO_memcmp(proof, expected, sizeof(expected)) == 0;
}

/* If the key cannot be derived, use a random key: every proof that is computed from it fails. */
static void
derive_key(const uint8_t from[ALCHI_KEY_SIZE], const input_t *input, uint8_t key[ALCHI_KEY_SIZE])
{
    if (!compute_hmac(from, input, key))
        alchi_random(key, ALCHI_KEY_SIZE);
}

void
alchi_derive_session_key(const uint8_t token[ALCHI_KEY_SIZE], const uint8_t nonce_initiator[32],
                         const uint8_t nonce_responder[32], uint8_t key[ALCHI_KEY_SIZE])
{
    input_t input = input_with_label(session_label);

    add_bytes(&input, nonce_initiator, ALCHI_NONCE_SIZE);
    add_bytes(&input, nonce_responder, ALCHI_NONCE_SIZE);
    derive_key(token, &input, key);
}

void
alchi_derive_data_key(const uint8_t session_key[ALCHI_KEY_SIZE], uint64_t session, uint64_t group, int rank,
                      uint8_t key[ALCHI_KEY_SIZE])
{
    input_t input = input_with_label(data_label);

    add_number(&input, session, 8);
    add_number(&input, group, 8);
    add_number(&input, (uint32_t)rank, 4);
    derive_key(session_key, &input, key);
}

/* The pad depends on the rank of `key` and, by the control key, on the receiving rank. So no two keys share a pad. */
void
alchi_key_wrap(const uint8_t control_key[ALCHI_KEY_SIZE], uint64_t group, int rank, const uint8_t key[ALCHI_KEY_SIZE],
               uint8_t wrapped[ALCHI_KEY_SIZE])
{
    input_t input = input_with_label(wrap_label);
    uint8_t pad[ALCHI_KEY_SIZE];

    add_number(&input, group, 8);
    add_number(&input, (uint32_t)rank, 4);
    derive_key(control_key, &input, pad);
    for (int k = 0; k < ALCHI_KEY_SIZE; k++)
        wrapped[k] = key[k] ^ pad[k];
    explicit_bzero(pad, sizeof(pad));
}
