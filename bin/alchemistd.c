/*
 * alchemistd. All of its code is in libalchemist; alch_server_main() in lib/daemon/main.c runs one of three programs:
 *
 * alchemistd [OPTION]...
 *     The driver, with the agent of the driver's host (lib/daemon/driver_loop.c).
 * alchemistd --agent --join HOST:PORT [OPTION]...
 *     The agent of another host (lib/daemon/agent_loop.c).
 * alchemistd --rank
 *     A rank (lib/worker/worker.c). Only an agent starts it.
 *
 * The driver and the agents use no MPI. Agents fork the ranks of a session, which form one MPI job.
 */
#include <alchemist/server.h>

int
main(int argc, char **argv)
{
    return alch_server_main(argc, argv);
}
