/**
 * @file alchemist/server.h
 * The server: the function that is the whole program alchemistd.
 * Only libalchemist.so has it; libalchemist-client.so does not.
 */
#ifndef ALCHEMIST_SERVER_H
#define ALCHEMIST_SERVER_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Run alchemistd until it ends.
 *
 * The arguments decide which of three programs runs: the driver; an agent
 * (--agent), which offers worker slots of its host to a driver elsewhere; or
 * one rank of a worker group, which an agent starts with --rank.
 * alchemistd(8) describes the options, their environment variables and the
 * signals.
 *
 * @collective  no
 * @threads     call it from the main thread, before other threads exist: the
 *              driver and the agent fork, and a rank initializes MPI
 * @param[in] argc  as main() gets it
 * @param[in] argv  as main() gets it; borrowed until the function returns
 *
 * @return 0          the program ended in order, or printed --help or --version
 * @return otherwise  an error code of error.h, which is meant to be the exit
 *                    code; standard error has the reason
 */
int alch_server_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
