/* Memory and cores that ranks may use, and the identity of the node. */
#include "agent/machine.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Read a file as text, truncated to `size` - 1 bytes. Returns false if it cannot be opened. */
static bool
read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    while (length + 1 < size && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    close(fd);
    text[length] = '\0';
    return true;
}

/* ---- control groups ---- */

/* The path of the control group of this process for a controller of version 1, or for version 2 (controller ""). In a
 * container the path may be one of the host that is not mounted there. Then the group of this process is mounted at the
 * top of the hierarchy. */
static bool
find_control_group(const char *root, const char *controller, char *path, size_t size)
{
    char file[512], text[8192], *line, *rest = text;

    snprintf(file, sizeof(file), "%s/proc/self/cgroup", root);
    if (!read_text(file, text, sizeof(text)))
        return false;
    while ((line = strsep(&rest, "\n"))) {
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL, *name;

        if (!where)
            continue;
        *where++ = '\0';
        names++;
        if (controller[0] == '\0' && names[0] == '\0') {
            snprintf(path, size, "%s", where);
            return true;
        }
        while (controller[0] && (name = strsep(&names, ",")))
            if (strcmp(name, controller) == 0) {
                snprintf(path, size, "%s", where);
                return true;
            }
    }
    return false;
}

/* Read a file of a control group and of each group above it, up to the top, and call back with its text. A group
 * without the file is left out. */
static void
read_each_level(const char *root, const char *mount, const char *group, const char *name,
                void (*on_text)(const char *text, const char *folder, void *context), void *context)
{
    char path[1024], folder[1600], file[1700], text[256];

    snprintf(path, sizeof(path), "%s", group);
    for (;;) {
        char *slash = strrchr(path, '/');

        if (slash && slash[1] == '\0')
            *slash = '\0';
        snprintf(folder, sizeof(folder), "%s/sys/fs/cgroup%s%s", root, mount, path);
        snprintf(file, sizeof(file), "%s/%s", folder, name);
        if (read_text(file, text, sizeof(text)))
            on_text(text, folder, context);
        slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

/* Parse the number at the start of a text. Returns false if there is none, as in "max" and "-1" (no limit). */
static bool
parse_number(const char *text, int64_t *x_p)
{
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    *x_p = strtoll(text, &end, 10);
    return end != text;
}

/* ---- memory ---- */

static void
apply_memory_limit(const char *text, const char *folder, void *context)
{
    int64_t x, *min_bytes = context;

    (void)folder;
    if (parse_number(text, &x) && x > 0 && x < *min_bytes)
        *min_bytes = x;
}

static int64_t
host_memory(const char *root)
{
    char file[512], text[4096];
    const char *line;
    int64_t kib;

    snprintf(file, sizeof(file), "%s/proc/meminfo", root);
    if (!read_text(file, text, sizeof(text)) || !(line = strstr(text, "MemTotal:")))
        return 0;
    line += strcspn(line, "0123456789");
    return parse_number(line, &kib) ? kib * 1024 : 0;
}

int64_t
alchi_agent_machine_memory(const char *root)
{
    int64_t min_bytes = host_memory(root);
    char group[1024];

    if (min_bytes == 0)
        min_bytes = INT64_MAX;
    if (find_control_group(root, "", group, sizeof(group)))
        read_each_level(root, "", group, "memory.max", apply_memory_limit, &min_bytes);
    if (find_control_group(root, "memory", group, sizeof(group)))
        read_each_level(root, "/memory", group, "memory.limit_in_bytes", apply_memory_limit, &min_bytes);
    return min_bytes == INT64_MAX ? 0 : min_bytes;
}

/* ---- cores ---- */

/* A quota that is not a whole number of cores is rounded down, but to 1 at least. */
static void
apply_quota(int64_t quota, int64_t period, int *cores)
{
    int64_t whole;

    if (quota <= 0 || period <= 0)
        return;
    whole = quota / period > 1 ? quota / period : 1;
    if (whole < *cores)
        *cores = (int)whole;
}

/* Version 2: "QUOTA PERIOD" or "max PERIOD". */
static void
apply_cpu_max(const char *text, const char *folder, void *context)
{
    const char *second = strchr(text, ' ');
    int64_t quota, period;

    (void)folder;
    if (second && parse_number(text, &quota) && parse_number(second + 1, &period))
        apply_quota(quota, period, context);
}

/* Version 1: the file holds the quota, and the period is in another file of the folder. */
static void
apply_cfs_quota(const char *text, const char *folder, void *context)
{
    char file[1700], other[64];
    int64_t quota, period;

    snprintf(file, sizeof(file), "%s/cpu.cfs_period_us", folder);
    if (parse_number(text, &quota) && read_text(file, other, sizeof(other)) && parse_number(other, &period))
        apply_quota(quota, period, context);
}

/* On a host with more than 1024 CPUs the mask does not fit into a cpu_set_t: try larger ones. */
static int
affinity_cores(void)
{
    for (size_t bits = 1024; bits <= (1u << 20); bits *= 4) {
        cpu_set_t *set = CPU_ALLOC(bits);
        int count = 0;

        if (!set)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(bits), set) == 0)
            count = CPU_COUNT_S(CPU_ALLOC_SIZE(bits), set);
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 1;
}

int
alchi_agent_machine_cores(const char *root)
{
    int cores = affinity_cores();
    char group[1024];

    if (find_control_group(root, "", group, sizeof(group)))
        read_each_level(root, "", group, "cpu.max", apply_cpu_max, &cores);
    if (find_control_group(root, "cpu", group, sizeof(group)))
        read_each_level(root, "/cpu", group, "cpu.cfs_quota_us", apply_cfs_quota, &cores);
    return cores;
}

/* ---- identity ---- */

char *
alchi_agent_machine_node(char *text, size_t size)
{
    struct utsname name;
    struct stat shm, net;
    char boot[64] = "";

    if (uname(&name) != 0)
        memset(&name, 0, sizeof(name));
    read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    boot[strcspn(boot, "\n")] = '\0';
    if (stat("/dev/shm", &shm) != 0)
        memset(&shm, 0, sizeof(shm));
    if (stat("/proc/self/ns/net", &net) != 0)
        memset(&net, 0, sizeof(net));
    snprintf(text, size, "%s/%s/%jx/%ju", name.nodename, boot, (uintmax_t)shm.st_dev, (uintmax_t)net.st_ino);
    return text;
}
