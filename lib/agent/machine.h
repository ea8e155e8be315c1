/**
 * @file agent/machine.h
 * What an agent tells about its host. `root` is "" but in tests, where it is a folder with copies of /proc and /sys.
 */
#ifndef ALCHI_AGENT_MACHINE_H
#define ALCHI_AGENT_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/** Memory that processes here may use, bytes: the smallest limit of the control groups (v1 or v2), or the host's. */
int64_t alchi_agent_machine_memory(const char *root);

/** Cores that processes here may use, at least 1: of the affinity mask, and of the control groups' quotas. */
int alchi_agent_machine_cores(const char *root);

/**
 * Equal for two agents whose ranks can share memory: host name, boot, /dev/shm and network namespace. Returns text.
 */
char *alchi_agent_machine_node(char *text, size_t size);

#endif
