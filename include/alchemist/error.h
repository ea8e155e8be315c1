/**
 * @file alchemist/error.h
 * Error codes and error details.
 *
 * Every function that can fail returns one of these codes. A function that
 * takes an `alch_error_t *` takes it as its last parameter. The pointer may be
 * NULL, and the function writes the struct only when it fails. Its text is a
 * whole sentence for people: it names the object, the value, the limit and the
 * setting.
 *
 * Values are in 0..255, so that a program can use them as exit codes. They
 * travel over the wire: new codes are appended, and values never change.
 */
#ifndef ALCHEMIST_ERROR_H
#define ALCHEMIST_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/** All codes: X(name, value, constant text). */
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
    X(ALCH_EGROUP, 14, "worker group has ended")                                \
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

/** Bytes of an error's text, with its NUL. */
#define ALCH_ERROR_TEXT_MAX 1024

/** Details of a failure. A function that succeeds leaves the struct as it was. */
typedef struct {
    int code;                       /**< the code that the function returned */
    int rank;                       /**< the worker rank that failed, from 0; -1: no rank failed */
    char text[ALCH_ERROR_TEXT_MAX]; /**< the reason, in UTF-8 */
} alch_error_t;

/**
 * The constant text of a code, for example "object in use".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string, never NULL; "unknown error" for other values
 */
const char *alch_strerror(int code);

/**
 * The name of a code, for example "ALCH_EBUSY".
 *
 * @collective  no
 * @threads     MT-Safe
 * @return      a static string, never NULL; "ALCH_E?" for other values
 */
const char *alch_errname(int code);

#ifdef __cplusplus
}
#endif
#endif
