/**
 * @file wire/message.h
 * Frame types and their messages: the table, and decoding.
 */
#ifndef ALCHI_WIRE_MESSAGE_H
#define ALCHI_WIRE_MESSAGE_H

#include "wire/alchemist.pb-c.h"

#include <alchemist/error.h>
#include <stdbool.h>
#include <stddef.h>

/** All frame types: {name, value, protobuf-c message in lower case}. Values are only appended. A reply has its own type
 *  and the flag ALCHI_FRAME_REPLY. ERROR can answer any request. */
#define ALCHI_MESSAGE_LIST(X)                 \
    X(HELLO, 1, hello)                        \
    X(CHALLENGE, 2, challenge)                \
    X(PROOF, 3, proof)                        \
    X(WELCOME, 4, welcome)                    \
    X(ERROR, 5, error)                        \
    X(EMPTY, 6, empty)                        \
    X(PING, 7, empty)                         \
    X(CLOSE_SESSION, 16, empty)               \
    X(TEST_STRING, 17, test_string)           \
    X(LIST_WORKERS, 18, list_workers)         \
    X(WORKER_LIST, 19, worker_list)           \
    X(REQUEST_WORKERS, 20, request_workers)   \
    X(GROUP, 21, group)                       \
    X(YIELD_WORKERS, 22, yield_workers)       \
    X(CREATE_MATRIX, 23, create_matrix)       \
    X(MATRIX, 24, matrix)                     \
    X(FREE_MATRIX, 25, matrix_id)             \
    X(GET_MATRIX, 26, matrix_id)              \
    X(LIST_MATRICES, 27, list_matrices)       \
    X(MATRIX_LIST, 28, matrix_list)           \
    X(LOAD_LIBRARY, 29, load_library)         \
    X(LIBRARY, 30, library)                   \
    X(LIST_LIBRARIES, 31, list_libraries)     \
    X(NAME_LIST, 32, name_list)               \
    X(SUBMIT_TASK, 33, submit_task)           \
    X(WAIT_TASK, 34, wait_task)               \
    X(CANCEL_TASK, 35, cancel_task)           \
    X(TASK, 36, task)                         \
    X(GET_GROUP, 37, empty)                   \
    X(GROW_MATRIX, 38, grow_matrix)           \
    X(TRANSFORM, 39, transform)               \
    X(WORKER_JOIN, 64, worker_join)           \
    X(WORKER_RESERVE, 65, worker_reserve)     \
    X(WORKER_FREE, 66, worker_free)           \
    X(WORKER_CHECK, 67, worker_check)         \
    X(WORKER_LOAD, 68, worker_load)           \
    X(WORKER_TASK, 69, worker_task)           \
    X(WORKER_START, 70, worker_start)         \
    X(WORKER_DROP, 71, worker_drop)           \
    X(WORKER_CANCEL, 72, worker_cancel)       \
    X(WORKER_TASK_DONE, 73, worker_task_done) \
    X(WORKER_PROGRESS, 74, worker_progress)   \
    X(WORKER_QUIT, 75, worker_quit)           \
    X(WORKER_GROW, 76, worker_grow)           \
    X(WORKER_TRANSFORM, 77, worker_transform) \
    X(WORKER_HOLD, 78, worker_hold)           \
    X(WORKER_UNHOLD, 79, worker_unhold)       \
    X(WORKER_FETCH, 80, worker_fetch)         \
    X(AGENT_HELLO, 96, agent_hello)           \
    X(AGENT_WELCOME, 97, agent_welcome)       \
    X(SPAWN, 98, spawn)                       \
    X(RANK_STARTED, 99, rank_started)         \
    X(RANK_EXIT, 100, rank_exit)              \
    X(GROUP_ENDED, 101, group_ended)          \
    X(KILL_GROUP, 102, kill_group)            \
    X(PMI_BARRIER, 103, pmi_barrier)          \
    X(PMI_BARRIER_OUT, 104, pmi_barrier_out)  \
    X(DATA_WRITE, 128, data_write)            \
    X(DATA_ACK, 129, data_ack)                \
    X(DATA_READ, 130, data_read)              \
    X(DATA_BLOCK, 131, data_block)            \
    X(DATA_MISSING, 132, data_missing)        \
    X(DATA_REGIONS, 133, data_regions)        \
    X(DATA_SHARE, 134, data_share)            \
    X(DATA_RINGS, 135, data_rings)

typedef enum {
#define ALCHI_MESSAGE_ENUM(name, value, message) ALCHI_##name = value,
    ALCHI_MESSAGE_LIST(ALCHI_MESSAGE_ENUM)
#undef ALCHI_MESSAGE_ENUM
} alchi_frame_type_t;

/** The name of a frame type: "SUBMIT_TASK"; "?" if the type is unknown. */
const char *alchi_message_name(unsigned type);

/**
 * Decode the message of a frame.
 *
 * The bytes are verified first (wire/verify.h), so strings are UTF-8 without NUL. The function allocates at most
 * 64 * size + 16384 bytes.
 *
 * @param[out] message_p  the struct of the type (Alchw__SubmitTask for ALCHI_SUBMIT_TASK), owned by the
 *                        caller; free it with alchi_message_free()
 *
 * @return ALCH_OK; ALCH_EPROTO: the type is unknown, or the bytes are malformed; ALCH_ENOMEM
 */
int alchi_message_decode(unsigned type, const void *bytes, size_t size, ProtobufCMessage **message_p);

/** Free a message from malloc() or a decoder, and everything that it points to. NULL is allowed. */
void alchi_message_free(void *message);

/** The code of an ERROR message. ALCH_EPROTO: there is no message, or its code is not within 1..255. */
int alchi_message_code(const Alchw__Error *message);

#endif
