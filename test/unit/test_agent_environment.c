/* The environment variables of a rank, and the agent's report about its machine. */
#include "unit.h"

#include "agent/environment.h"
#include "agent/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const alchi_agent_environment_t place = {.rank = 2, .size = 5, .pmi_fd = 11, .config_fd = 12, .threads = 4};

/* The value of a variable, which may occur only once; NULL: it does not occur. */
static const char *
value(char **list, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);

    for (; *list; list++)
        if (strncmp(*list, name, length) == 0 && (*list)[length] == '=') {
            ck_assert_msg(!found, "%s occurs twice", name);
            found = *list + length + 1;
        }
    return found;
}

START_TEST(variables_of_other_jobs_and_of_the_daemon_are_removed)
{
    static const char *const removed[] = {"PMI_RANK=1",       "PMIX_NAMESPACE=x",   "OMPI_COMM_WORLD_SIZE=1",
                                          "HYDRA_CONTROL=1",  "HYDI_CONTROL_FD=3",  "MPIR_CVAR_X=1",
                                          "SLURM_PROCID=3",   "SLURM_STEP_ID=0",    "SLURM_STEPID=0",
                                          "SLURM_NTASKS=8",   "MPI_LOCALRANKID=0",  "ALCHEMIST_TOKEN=secret",
                                          "ALCHEMIST_PORT=1", "SLURM_CPU_BIND=none"};

    for (size_t i = 0; i < sizeof(removed) / sizeof(*removed); i++)
        ck_assert_msg(alchi_agent_environment_removes(removed[i]), "%s is kept", removed[i]);
}
END_TEST

START_TEST(other_variables_are_kept)
{
    static const char *const kept[] = {"PATH=/bin",          "SLURM_JOB_ID=7", "UCX_TLS=sm",
                                       "LD_LIBRARY_PATH=/x", "PMI=1",          "ALCHEMIST_YIELD_TRIES=5"};

    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        ck_assert_msg(!alchi_agent_environment_removes(kept[i]), "%s is removed", kept[i]);
}
END_TEST

START_TEST(a_rank_gets_its_place_in_the_job)
{
    char *base[] = {"PATH=/bin", "ALCHEMIST_TOKEN=secret", "PMI_FD=99", NULL};
    char **list = alchi_agent_environment_create(base, NULL, 0, &place);

    ck_assert_ptr_nonnull(list);
    ck_assert_str_eq(value(list, "PATH"), "/bin");
    ck_assert_ptr_null(value(list, "ALCHEMIST_TOKEN"));
    ck_assert_str_eq(value(list, "PMI_FD"), "11");
    ck_assert_str_eq(value(list, "PMI_RANK"), "2");
    ck_assert_str_eq(value(list, "PMI_SIZE"), "5");
    ck_assert_str_eq(value(list, "PMI_SPAWNED"), "0");
    ck_assert_str_eq(value(list, "ALCHEMIST_WORKER_FD"), "12");
    alchi_agent_environment_free(list);
}
END_TEST

START_TEST(extra_variables_replace_threads_and_threads_replace_the_base)
{
    char *base[] = {"UCX_TLS=all", "OMP_NUM_THREADS=64", "OPENBLAS_NUM_THREADS=64", "without-equals-sign", NULL};
    char *extra[] = {"UCX_TLS=self,sm", "OMP_NUM_THREADS=3", "without-equals-sign"};
    char **list = alchi_agent_environment_create(base, extra, 3, &place);

    ck_assert_ptr_nonnull(list);
    ck_assert_str_eq(value(list, "UCX_TLS"), "self,sm");
    ck_assert_str_eq(value(list, "OPENBLAS_NUM_THREADS"), "4");
    ck_assert_str_eq(value(list, "OMP_NUM_THREADS"), "3");
    alchi_agent_environment_free(list);
}
END_TEST

START_TEST(the_base_may_be_empty)
{
    char **list = alchi_agent_environment_create(NULL, NULL, 0, &place);

    ck_assert_ptr_nonnull(list);
    ck_assert_str_eq(value(list, "PMI_RANK"), "2");
    alchi_agent_environment_free(list);
    alchi_agent_environment_free(NULL);
}
END_TEST

/* ---- machine ---- */

static char root[64]; /* a folder with files as in /proc and /sys */

static void
setup(void)
{
    unit_create_folder("/tmp", root);
}

static void
teardown(void)
{
    unit_remove_folder(root);
}

static void
write_file(const char *path, const char *text)
{
    char name[512];
    FILE *file;

    snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(memory_without_a_limit_is_that_of_the_host)
{
    write_file("/proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
}
END_TEST

START_TEST(memory_is_0_if_it_is_unknown)
{
    ck_assert_int_eq(alchi_agent_machine_memory(root), 0);
}
END_TEST

START_TEST(memory_of_this_host_is_found)
{
    ck_assert_int_gt(alchi_agent_machine_memory(""), 1 << 20);
}
END_TEST

START_TEST(the_smallest_limit_of_version_2_groups_counts)
{
    write_file("/proc/meminfo", "MemTotal:       16384 kB\n");
    write_file("/proc/self/cgroup", "0::/a/b\n");
    write_file("/sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
    write_file("/sys/fs/cgroup/a/memory.max", "5000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 5000000);
    write_file("/sys/fs/cgroup/a/b/memory.max", "4000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 4000000);
    write_file("/sys/fs/cgroup/memory.max", "3000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 3000000);
}
END_TEST

/* In a container the path of the group is one of the host, and the group is mounted at the top. */
START_TEST(a_limit_of_a_version_1_group_counts_in_a_container)
{
    write_file("/proc/meminfo", "MemTotal:       16384 kB\n");
    write_file("/proc/self/cgroup", "8:cpu,cpuacct:/x\n4:memory:/docker/123\n0::/\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* no limit */
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 7000000);
}
END_TEST

START_TEST(a_quota_of_a_version_2_group_limits_the_cores)
{
    int all = alchi_agent_machine_cores(root);

    ck_assert_int_ge(all, 1);
    write_file("/proc/self/cgroup", "0::/a\n");
    write_file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), all);
    write_file("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
    write_file("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
}
END_TEST

START_TEST(a_quota_of_a_version_1_group_limits_the_cores)
{
    int all = alchi_agent_machine_cores(root);

    write_file("/proc/self/cgroup", "8:cpuacct,cpu:/x\n0::/a\n");
    write_file("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
    write_file("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), all);
    write_file("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
}
END_TEST

START_TEST(the_text_of_a_node_is_always_the_same)
{
    char first[256], second[256];

    ck_assert_str_eq(alchi_agent_machine_node(first, sizeof(first)), alchi_agent_machine_node(second, sizeof(second)));
    ck_assert_uint_gt(strlen(first), 40); /* it contains a boot id, which has 36 characters */
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *environment = tcase_create("environment"), *machine = tcase_create("machine");

    tcase_add_test(environment, variables_of_other_jobs_and_of_the_daemon_are_removed);
    tcase_add_test(environment, other_variables_are_kept);
    tcase_add_test(environment, a_rank_gets_its_place_in_the_job);
    tcase_add_test(environment, extra_variables_replace_threads_and_threads_replace_the_base);
    tcase_add_test(environment, the_base_may_be_empty);
    suite_add_tcase(suite, environment);
    tcase_add_checked_fixture(machine, setup, teardown);
    tcase_add_test(machine, memory_without_a_limit_is_that_of_the_host);
    tcase_add_test(machine, memory_is_0_if_it_is_unknown);
    tcase_add_test(machine, memory_of_this_host_is_found);
    tcase_add_test(machine, the_smallest_limit_of_version_2_groups_counts);
    tcase_add_test(machine, a_limit_of_a_version_1_group_counts_in_a_container);
    tcase_add_test(machine, a_quota_of_a_version_2_group_limits_the_cores);
    tcase_add_test(machine, a_quota_of_a_version_1_group_limits_the_cores);
    tcase_add_test(machine, the_text_of_a_node_is_always_the_same);
    suite_add_tcase(suite, machine);
}
