/**
 * @file net/portowner.h
 * Which process has a port: for the error that says that it is in use.
 */
#ifndef ALCHI_NET_PORTOWNER_H
#define ALCHI_NET_PORTOWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/** "process 1234 (name)", or "a process that cannot be seen". Returns text. */
char *alchi_port_owner(const struct sockaddr *address, char *text, size_t size);

/** Whether connections, old ones included, account for the port being in use; true too where that cannot be seen. */
bool alchi_port_has_connections(const struct sockaddr *address);

#endif
