/**
 * @file agent/machine.h
 * Facts about the agent's host: its memory, its cores, and a text that identifies the node.
 *
 * `root` is put before the paths /proc and /sys. It is "" except in tests, which give a folder with copies of them.
 */
#ifndef ALCHI_AGENT_MACHINE_H
#define ALCHI_AGENT_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/** Memory that this process and its children may use, in bytes: that of the host, or the smallest limit of the control
 *  groups (version 1 or 2) that contain this process. 0: unknown. */
int64_t alchi_agent_machine_memory(const char *root);

/** Cores that this process and its children may use, at least 1: those of the affinity mask, or fewer if a control
 *  group has a smaller quota. */
int alchi_agent_machine_cores(const char *root);

/**
 * Write a text that identifies the node: agents whose ranks can share memory have the same text. It consists of the
 * host name, the boot id, the device of /dev/shm and the network namespace.
 *
 * @return text
 */
char *alchi_agent_machine_node(char *text, size_t size);

#endif
