/** @file agent/child.h  Start a child and take its end. Nothing here waits for it. */
#ifndef ALCHI_AGENT_CHILD_H
#define ALCHI_AGENT_CHILD_H

#include <alchemist/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

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
    int pidfd;    /* readable when it has ended */
    int error_fd; /* says why it could not run the program */
} alchi_agent_child_t;

typedef struct {
    bool lost; /* somebody else in this process waited for it */
    int signal, code;
    bool not_run; /* it never became the program, for this reason: */
    int reason;   /* an errno value */
} alchi_agent_child_end_t;

/**
 * Fork and run: in a process group of its own, standard input /dev/null, default signals, killed when the calling
 * thread ends, first in line when memory runs out.
 *
 * @return ALCH_OK, ALCH_ESYSTEM. That the program cannot be run is told by alchi_agent_child_reap()
 */
int alchi_agent_child_start(const alchi_agent_child_options_t *spawn, alchi_agent_child_t *child_p, alch_error_t *err);

/** Signal the child itself; SIGKILL goes to its whole process group. Only to one that is not reaped yet. */
void alchi_agent_child_signal(const alchi_agent_child_t *child, int number);

/** Whether it has ended. It stays to be reaped. */
bool alchi_agent_child_has_ended(const alchi_agent_child_t *child);

/** Kill what is left of its process group, take the end of the child (of one that has not ended: waiting up to 5 s),
 *  and close its descriptors. */
void alchi_agent_child_reap(alchi_agent_child_t *child, alchi_agent_child_end_t *end_p);

/** A descriptor that is not one of 0, 1 and 2: the given one, or a copy, the given one being closed. -1: errno */
int alchi_agent_move_fd_above_stdio(int fd);

#endif
