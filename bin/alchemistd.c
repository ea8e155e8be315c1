/* The daemon: all of it is in libalchemist. */
#include <alchemist/server.h>

int
main(int argc, char **argv)
{
    return alch_server_main(argc, argv);
}
