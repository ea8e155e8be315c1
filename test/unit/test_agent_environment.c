/* What ranks inherit, and what an agent says of its machine. */
#include "unit.h"

#include "agent/environment.h"
#include "agent/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const alchi_agent_environment_t own = {.rank = 2, .size = 5, .pmi_fd = 11, .config_fd = 12, .threads = 4};

static const char *
value(char **list, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);

    for (; *list; list++)
        if (strncmp(*list, name, length) == 0 && (*list)[length] == '=') {
            ck_assert_msg(!found, "%s is there twice", name);
            found = *list + length + 1;
        }
    return found;
}

START_TEST(test_drops)
{
    static const char *const out[] = {"PMI_RANK=1",       "PMIX_NAMESPACE=x",   "OMPI_COMM_WORLD_SIZE=1",
                                      "HYDRA_CONTROL=1",  "HYDI_CONTROL_FD=3",  "MPIR_CVAR_X=1",
                                      "SLURM_PROCID=3",   "SLURM_STEP_ID=0",    "SLURM_STEPID=0",
                                      "SLURM_NTASKS=8",   "MPI_LOCALRANKID=0",  "ALCHEMIST_TOKEN=secret",
                                      "ALCHEMIST_PORT=1", "SLURM_CPU_BIND=none"};
    static const char *const in[] = {"PATH=/bin",          "SLURM_JOB_ID=7", "UCX_TLS=sm",
                                     "LD_LIBRARY_PATH=/x", "PMI=1",          "ALCHEMIST_YIELD_TRIES=5"};

    for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
        ck_assert_msg(alchi_agent_environment_removes(out[i]), "%s stays", out[i]);
    for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
        ck_assert_msg(!alchi_agent_environment_removes(in[i]), "%s goes", in[i]);
}
END_TEST

START_TEST(test_environment)
{
    char *base[] = {"PATH=/bin",          "ALCHEMIST_TOKEN=secret",  "PMI_FD=99", "UCX_TLS=all",
                    "OMP_NUM_THREADS=64", "OPENBLAS_NUM_THREADS=64", "odd",       NULL};
    char *extra[] = {"UCX_TLS=self,sm", "OMP_NUM_THREADS=3", "nonsense"};
    char **list = alchi_agent_environment_create(base, extra, 3, &own);

    ck_assert_ptr_nonnull(list);
    ck_assert_str_eq(value(list, "PATH"), "/bin");
    ck_assert_ptr_null(value(list, "ALCHEMIST_TOKEN"));
    ck_assert_str_eq(value(list, "PMI_FD"), "11");
    ck_assert_str_eq(value(list, "PMI_RANK"), "2");
    ck_assert_str_eq(value(list, "PMI_SIZE"), "5");
    ck_assert_str_eq(value(list, "PMI_SPAWNED"), "0");
    ck_assert_str_eq(value(list, "ALCHEMIST_WORKER_FD"), "12");
    ck_assert_str_eq(value(list, "UCX_TLS"), "self,sm");
    ck_assert_str_eq(value(list, "OPENBLAS_NUM_THREADS"), "4");
    ck_assert_str_eq(value(list, "OMP_NUM_THREADS"), "3");
    alchi_agent_environment_free(list);
    list = alchi_agent_environment_create(NULL, NULL, 0, &own);
    ck_assert_str_eq(value(list, "PMI_RANK"), "2");
    alchi_agent_environment_free(list);
    alchi_agent_environment_free(NULL);
}
END_TEST

/* ---- machine ---- */

static char root[64];

static void
setup(void)
{
    snprintf(root, sizeof(root), "/tmp/alchemist-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void
put(const char *path, const char *text)
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

START_TEST(test_memory_plain)
{
    ck_assert_int_eq(alchi_agent_machine_memory(root), 0);
    put("/proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
    ck_assert_int_gt(alchi_agent_machine_memory(""), 1 << 20);
}
END_TEST

START_TEST(test_memory_v2)
{
    put("/proc/meminfo", "MemTotal:       16384 kB\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
    put("/sys/fs/cgroup/a/memory.max", "5000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 5000000);
    put("/sys/fs/cgroup/a/b/memory.max", "4000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 4000000);
    put("/sys/fs/cgroup/memory.max", "3000000\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 3000000);
}
END_TEST

START_TEST(test_memory_v1)
{
    put("/proc/meminfo", "MemTotal:       16384 kB\n");
    put("/proc/self/cgroup", "8:cpu,cpuacct:/x\n4:memory:/docker/123\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(alchi_agent_machine_memory(root), 16384 * 1024);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000000\n"); /* a container: its own group is mounted here */
    ck_assert_int_eq(alchi_agent_machine_memory(root), 7000000);
}
END_TEST

START_TEST(test_cores)
{
    int all = alchi_agent_machine_cores(root);

    ck_assert_int_ge(all, 1);
    put("/proc/self/cgroup", "8:cpuacct,cpu:/x\n0::/a\n");
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), all);
    put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), all);
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n");
    ck_assert_int_eq(alchi_agent_machine_cores(root), 1);
}
END_TEST

START_TEST(test_node)
{
    char one[256], other[256];

    ck_assert_str_eq(alchi_agent_machine_node(one, sizeof(one)), alchi_agent_machine_node(other, sizeof(other)));
    ck_assert_uint_gt(strlen(one), 40); /* a boot id is in it */
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *environment = tcase_create("environment"), *machine = tcase_create("machine");

    tcase_add_test(environment, test_drops);
    tcase_add_test(environment, test_environment);
    suite_add_tcase(suite, environment);
    tcase_add_checked_fixture(machine, setup, teardown);
    tcase_add_test(machine, test_memory_plain);
    tcase_add_test(machine, test_memory_v2);
    tcase_add_test(machine, test_memory_v1);
    tcase_add_test(machine, test_cores);
    tcase_add_test(machine, test_node);
    suite_add_tcase(suite, machine);
}
