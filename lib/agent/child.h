/** @file agent/child.h  A child process: start it, send it signals, and reap it. */
#ifndef ALCHI_AGENT_CHILD_H
#define ALCHI_AGENT_CHILD_H

#include <alchemist/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** All pointers are borrowed until the child is started. */
typedef struct {
    const char *exe;
    char *const *argv;
    char *const *environment;
    int output_fd;   /* becomes the child's standard output and error */
    const int *keep; /* descriptors that it inherits under their numbers (3 or more); all others are closed */
    size_t keep_count;
} alchi_agent_child_options_t;

typedef struct {
    pid_t pid;
    int pidfd;    /* readable when the child has ended */
    int error_fd; /* read end of a pipe: the child writes an errno value if it cannot execute the program */
} alchi_agent_child_t;

/** How a child ended. */
typedef struct {
    bool lost;        /* other code in this process reaped it, or it did not end in time: signal and code are unknown */
    int signal, code; /* the signal that killed it, or 0; its exit code, or 0 */
    bool not_run;     /* it could not execute the program */
    int reason;       /* errno value of not_run */
} alchi_agent_child_end_t;

/**
 * Fork, and execute a program in the child.
 *
 * The child is the leader of a new process group. Its standard input is /dev/null, and no signal is blocked or ignored.
 * The kernel kills it when the calling thread ends. When memory runs out, the kernel
 * prefers to kill the child rather than the parent.
 *
 * @param[out] child_p  to be reaped with alchi_agent_child_reap()
 *
 * @return ALCH_OK      also when the program cannot be executed: alchi_agent_child_reap() reports that
 * @return ALCH_ESYSTEM
 */
int alchi_agent_child_start(const alchi_agent_child_options_t *spawn, alchi_agent_child_t *child_p, alch_error_t *err);

/** Send a signal to the child, and SIGKILL also to its whole process group. The child must not be reaped yet. */
void alchi_agent_child_signal(const alchi_agent_child_t *child, int number);

/** Whether the child has ended. It is not reaped. */
bool alchi_agent_child_has_ended(const alchi_agent_child_t *child);

/** Kill the child, if it runs, and all processes of its group; reap it, and close its descriptors. Waits up to 5 s for
 *  a child that still runs. */
void alchi_agent_child_reap(alchi_agent_child_t *child, alchi_agent_child_end_t *end_p);

/** Replace `fd`, if it is 0, 1 or 2, by a copy with a higher number (close-on-exec), and close `fd`.
 *  @return `fd` or the copy; -1: errno says why, and `fd` is closed */
int alchi_agent_move_fd_above_stdio(int fd);

#endif
