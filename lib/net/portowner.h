/**
 * @file net/portowner.h
 * Find out which process uses a port, for the error text when the port cannot be bound. Reads /proc.
 */
#ifndef ALCHI_NET_PORTOWNER_H
#define ALCHI_NET_PORTOWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/** Write "process 1234 (name)", or "a process that cannot be seen". Returns text. */
char *alchi_port_owner(const struct sockaddr *address, char *text, size_t size);

/** Whether the port has connections, including those in TIME_WAIT. Also true if the kernel's tables cannot be read. */
bool alchi_port_has_connections(const struct sockaddr *address);

#endif
