/**
 * @file server.h
 * The serving side: what alchemistd wraps. Lives in libalchemist.so only.
 */
#ifndef ALCHEMIST_SERVER_H
#define ALCHEMIST_SERVER_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Run alchemistd: a driver, an agent (--agent), or, when started by an agent,
 * one rank of a worker group. Returns when it has ended in order.
 *
 * Must be called from the main thread before other threads exist: driver and
 * agent fork, and the rank initialises MPI.
 *
 * @return 0, or an exit code of error.h; messages went to standard error
 */
int alch_server_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
