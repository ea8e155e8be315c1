/**
 * @file error.h
 * Error codes and error detail.
 *
 * Every function that can fail returns a code of this list; where a function
 * takes an `alch_error_t *` it comes last, may be NULL, and is written on
 * failure only. The function that decides an error writes its text; callers
 * pass it on. Codes are 1..255 so that they also serve as exit codes, and
 * they travel over the wire: values are only ever appended.
 */
#ifndef ALCHEMIST_ERROR_H
#define ALCHEMIST_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define ALCH_ERROR_LIST(X)                                                      \
    X(ALCH_OK, 0, "success")                                                    \
    X(ALCH_EINVAL, 1, "invalid argument")                                       \
    X(ALCH_ENOMEM, 2, "out of memory")                                          \
    X(ALCH_ERANGE, 3, "out of range")                                           \
    X(ALCH_ETYPE, 4, "wrong type")                                              \
    X(ALCH_ENOENT, 5, "no such object")                                         \
    X(ALCH_EBUSY, 6, "object in use")                                           \
    X(ALCH_ESTATE, 7, "not possible in this state")                             \
    X(ALCH_ETIMEDOUT, 8, "deadline passed")                                     \
    X(ALCH_ECONNECT, 9, "cannot connect, or connection lost")                   \
    X(ALCH_EPROTO, 10, "protocol violated")                                     \
    X(ALCH_EAUTH, 11, "authentication failed")                                  \
    X(ALCH_EVERSION, 12, "no common version")                                   \
    X(ALCH_ENOSLOTS, 13, "not enough free worker slots")                        \
    X(ALCH_EGROUP, 14, "worker group is gone")                                  \
    X(ALCH_ECANCELED, 15, "canceled")                                           \
    X(ALCH_EINCOMPLETE, 16, "matrix not completely written")                    \
    X(ALCH_EPLUGIN, 17, "library refused")                                      \
    X(ALCH_EFUNCTION, 18, "library function failed")                            \
    X(ALCH_ENUMERIC, 19, "numerical input or result not usable")                \
    X(ALCH_ELIMIT, 20, "limit exceeded")                                        \
    X(ALCH_EFORKED, 21, "session belongs to the parent process")                \
    X(ALCH_ESYSTEM, 22, "system call failed")                                   \
    X(ALCH_EAGAIN, 23, "not finished yet")                                      \
    X(ALCH_EINTERNAL, 24, "internal error")                                     \
    X(ALCH_EUNSUPPORTED, 25, "not supported")                                   \
    X(ALCH_EPERM, 26, "not permitted")                                          \
    X(ALCH_EPORT, 27, "port in use")                                            \
    X(ALCH_EDAMAGED, 28, "data damaged on the way")

typedef enum {
#define ALCH_ERROR_ENUM(name, value, text) name = value,
    ALCH_ERROR_LIST(ALCH_ERROR_ENUM)
#undef ALCH_ERROR_ENUM
} alch_code_t;

#define ALCH_ERROR_TEXT_MAX 1024

/** Detail of a failure. `rank` is the worker rank that decided it, or -1. */
typedef struct {
    int code;
    int rank;
    char text[ALCH_ERROR_TEXT_MAX];
} alch_error_t;

/**
 * The constant text of a code, for example "object in use".
 *
 * @threads  MT-Safe
 * @return   a static string, never NULL; "unknown error" for other values
 */
const char *alch_strerror(int code);

/**
 * The name of a code, for example "ALCH_EBUSY".
 *
 * @threads  MT-Safe
 * @return   a static string, never NULL; "ALCH_E?" for other values
 */
const char *alch_errname(int code);

#ifdef __cplusplus
}
#endif
#endif
