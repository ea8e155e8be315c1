/*
 * alchemistd. All of its code is in libalchemist; alch_server_main() in lib/daemon/main.c runs one of three programs:
 *   alchemistd [OPTION]...                          the driver, with the agent of its own host
 * (lib/daemon/driver_loop.c) alchemistd --agent --join HOST:PORT [OPTION]... the agent of another host
 * (lib/daemon/agent_loop.c) alchemistd --rank                               a rank, started by an agent only
 * (lib/worker/worker.c) The driver and the agents use no MPI. Agents fork the ranks of a session, which form one MPI
 * job.
 */
#include <alchemist/server.h>

int
main(int argc, char **argv)
{
    return alch_server_main(argc, argv);
}
