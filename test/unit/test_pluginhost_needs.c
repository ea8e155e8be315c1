/* The check for Open MPI, on files that the tests make: sound, damaged and cut ones. */
#include "base/util.h"
#include "unit.h"
#include "pluginhost/needs.h"
#include "pluginhost/elf_file.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];
static alch_error_t err;

/* The path of a file in the test's folder. The last 8 paths are valid. */
static const char *
in_folder(const char *name)
{
    static char paths[8][160];
    static int next;

    next = (next + 1) % 8;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", folder, name);
    return paths[next];
}

static void
write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(in_folder(name), "w");

    ck_assert(file && fwrite(bytes, 1, size, file) == size);
    fclose(file);
}

/* A minimal shared object for this machine. */
typedef struct {
    Elf64_Ehdr header;
    Elf64_Phdr programs[2];
    Elf64_Dyn dynamic[12];
    char strings[512];
} image_t;

static void
make_image(image_t *image, const char *const *needed, const char *rpath, const char *runpath)
{
    size_t at = 1, count = 0;

    memset(image, 0, sizeof(*image));
    memcpy(image->header.e_ident, ELFMAG, SELFMAG);
    image->header.e_ident[EI_CLASS] = ELFCLASS64;
    image->header.e_ident[EI_DATA] = ELFDATA2LSB;
    image->header.e_type = ET_DYN;
#if defined(__aarch64__)
    image->header.e_machine = EM_AARCH64;
#else
    image->header.e_machine = EM_X86_64;
#endif
    image->header.e_phoff = offsetof(image_t, programs);
    image->header.e_phentsize = sizeof(Elf64_Phdr);
    image->header.e_phnum = 2;
    image->programs[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = 0x10000, .p_filesz = sizeof(*image)};
    image->programs[1] =
        (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_offset = offsetof(image_t, dynamic), .p_filesz = sizeof(image->dynamic)};
    for (size_t k = 0; needed && needed[k]; k++) {
        image->dynamic[count++] = (Elf64_Dyn){DT_NEEDED, {at}};
        at += (size_t)snprintf(image->strings + at, sizeof(image->strings) - at, "%s", needed[k]) + 1;
    }
    if (rpath) {
        image->dynamic[count++] = (Elf64_Dyn){DT_RPATH, {at}};
        at += (size_t)snprintf(image->strings + at, sizeof(image->strings) - at, "%s", rpath) + 1;
    }
    if (runpath) {
        image->dynamic[count++] = (Elf64_Dyn){DT_RUNPATH, {at}};
        snprintf(image->strings + at, sizeof(image->strings) - at, "%s", runpath);
    }
    image->dynamic[count++] = (Elf64_Dyn){DT_STRTAB, {0x10000 + offsetof(image_t, strings)}};
    image->dynamic[count] = (Elf64_Dyn){DT_STRSZ, {sizeof(image->strings)}};
}

static void
make_object(const char *name, const char *needed, const char *rpath, const char *runpath)
{
    const char *const list[] = {needed, NULL};
    image_t image;

    make_image(&image, list, rpath, runpath);
    write_file(name, &image, sizeof(image));
}

static int
check_file(const char *name)
{
    memset(&err, 0, sizeof(err));
    return alchi_host_needs_check(in_folder(name), &err);
}

static void
check_refused(const char *name, const char *part)
{
    unit_code(check_file(name), ALCH_EPLUGIN);
    unit_contains(err.text, part);
}

static void
setup(void)
{
    unit_create_folder("/tmp", folder);
    mkdir(in_folder("sub"), 0700);
    unsetenv("LD_LIBRARY_PATH");
}

static void
teardown(void)
{
    unit_remove_folder(folder);
}

START_TEST(names_that_only_open_mpi_uses_are_recognized)
{
    ck_assert(alchi_host_needs_is_openmpi("libmpi.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("/usr/lib/libmpi.so.40.30.4"));
    ck_assert(alchi_host_needs_is_openmpi("libmpi.so"));
    ck_assert(alchi_host_needs_is_openmpi("libmpi_mpifh.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("libopen-rte.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("libopen-pal.so.80"));
}
END_TEST

START_TEST(names_of_mpich_and_other_libraries_are_accepted)
{
    ck_assert(!alchi_host_needs_is_openmpi("libmpich.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libmpichcxx.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libmpi.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libm.so.6"));
}
END_TEST

START_TEST(a_missing_file_is_an_error_of_the_system)
{
    unit_code(check_file("absent.so"), ALCH_ESYSTEM);
}
END_TEST

START_TEST(a_file_without_an_elf_header_is_refused)
{
    check_refused("sub", "is not a file");
    write_file("empty.so", "", 0);
    check_refused("empty.so", "is not an ELF file");
    write_file("text.so", "GROUP ( libc.so.6 )\n", 20);
    check_refused("text.so", "is not an ELF file");
}
END_TEST

START_TEST(an_object_for_another_machine_is_refused)
{
    image_t image;

    make_image(&image, NULL, NULL, NULL);
    image.header.e_ident[EI_CLASS] = ELFCLASS32;
    write_file("class.so", &image, sizeof(image));
    check_refused("class.so", "is not built for this machine");
}
END_TEST

START_TEST(an_object_that_is_not_shared_is_refused)
{
    image_t image;

    make_image(&image, NULL, NULL, NULL);
    image.header.e_type = ET_EXEC;
    write_file("program", &image, sizeof(image));
    check_refused("program", "is not a shared object");
    make_image(&image, NULL, NULL, NULL);
    image.programs[1].p_type = PT_NOTE;
    write_file("static.so", &image, sizeof(image));
    check_refused("static.so", "no dynamic section");
}
END_TEST

static const char *const two_needs[] = {"libm.so.6", "absent.so", NULL};

START_TEST(a_cut_file_is_refused)
{
    image_t image;

    make_image(&image, two_needs, "$ORIGIN", "$ORIGIN");
    for (size_t size = 0; size < sizeof(image); size++) {
        write_file("cut.so", &image, size);
        unit_code(check_file("cut.so"), ALCH_EPLUGIN);
    }
}
END_TEST

/* The check must return for any value of any byte, without an invalid access. Its answer does not matter. */
START_TEST(a_damaged_file_is_read_within_its_bounds)
{
    image_t image, broken;

    make_image(&image, two_needs, "$ORIGIN", "$ORIGIN");
    for (size_t at = 0; at < offsetof(image_t, strings) + 64; at++) {
        for (int value = 0; value < 256; value += 85) {
            broken = image;
            ((unsigned char *)&broken)[at] = (unsigned char)value;
            write_file("broken.so", &broken, sizeof(broken));
            (void)check_file("broken.so");
        }
    }
}
END_TEST

START_TEST(strings_without_an_end_are_refused)
{
    image_t image;

    make_image(&image, two_needs, NULL, NULL);
    memset(image.strings, 'x', sizeof(image.strings));
    write_file("endless.so", &image, sizeof(image));
    check_refused("endless.so", "broken table of strings");
}
END_TEST

START_TEST(a_library_that_needs_open_mpi_is_refused)
{
    make_object("direct.so", "libmpi.so.40", NULL, NULL);
    check_refused("direct.so", "direct.so needs Open MPI (libmpi.so.40): this worker runs MPICH");
}
END_TEST

START_TEST(a_library_that_needs_others_is_accepted)
{
    make_object("plain.so", "libm.so.6", NULL, NULL);
    unit_code(check_file("plain.so"), ALCH_OK);
    make_object("mpich.so", "libmpich.so.12", NULL, NULL);
    unit_code(check_file("mpich.so"), ALCH_OK);
}
END_TEST

START_TEST(a_need_that_is_not_found_is_skipped)
{
    make_object("missing.so", "libdoes-not-exist.so.1", NULL, NULL);
    unit_code(check_file("missing.so"), ALCH_OK);
}
END_TEST

START_TEST(open_mpi_is_found_through_other_libraries)
{
    make_object("one.so", "two.so", NULL, "$ORIGIN");
    make_object("two.so", "three.so", NULL, "/nowhere:${ORIGIN}/sub");
    make_object("sub/three.so", "libopen-pal.so.40", NULL, NULL);
    check_refused("one.so", "one.so needs Open MPI (libopen-pal.so.40) through");
    ck_assert(strstr(err.text, in_folder("two.so")) && strstr(err.text, in_folder("sub/three.so")));
}
END_TEST

START_TEST(a_need_with_a_slash_is_a_path)
{
    make_object("two.so", "libmpi.so.40", NULL, NULL);
    make_object("slash.so", in_folder("two.so"), NULL, NULL);
    check_refused("slash.so", "two.so");
}
END_TEST

/* Make sub/middle.so, which needs sub/last.so, which needs Open MPI. Only DT_RPATH or LD_LIBRARY_PATH of a library that
 * needs middle.so lead from there to last.so. */
static void
make_chain(void)
{
    make_object("sub/last.so", "libmpi.so.40", NULL, NULL);
    make_object("sub/middle.so", "last.so", NULL, NULL);
}

START_TEST(a_rpath_holds_for_the_needs_of_needs)
{
    make_chain();
    make_object("rpath.so", "middle.so", "$ORIGIN/sub", NULL);
    check_refused("rpath.so", "last.so");
}
END_TEST

START_TEST(a_runpath_holds_for_its_own_file_alone)
{
    make_chain();
    make_object("runpath.so", "middle.so", NULL, "$ORIGIN/sub");
    unit_code(check_file("runpath.so"), ALCH_OK);
}
END_TEST

START_TEST(a_runpath_disables_the_rpath_of_its_file)
{
    make_chain();
    make_object("both.so", "middle.so", "$ORIGIN/sub", "/nowhere");
    unit_code(check_file("both.so"), ALCH_OK);
}
END_TEST

START_TEST(ld_library_path_holds_for_all_files)
{
    make_chain();
    make_object("runpath.so", "middle.so", NULL, "$ORIGIN/sub");
    setenv("LD_LIBRARY_PATH", in_folder("sub"), 1);
    check_refused("runpath.so", "last.so");
    unsetenv("LD_LIBRARY_PATH");
}
END_TEST

START_TEST(libraries_that_need_each_other_are_accepted)
{
    make_object("left.so", "right.so", NULL, "$ORIGIN");
    make_object("right.so", "left.so", NULL, "$ORIGIN");
    unit_code(check_file("left.so"), ALCH_OK);
}
END_TEST

START_TEST(the_linker_cache_has_the_c_library)
{
    size_t size = 0, cursor = 0;
    uint8_t *cache = alchi_host_file_read("/etc/ld.so.cache", 1 << 26, &size);
    const char *path;

    ck_assert(cache != NULL);
    path = alchi_host_ldcache_find(cache, size, "libc.so.6", &cursor);
    ck_assert(path && strstr(path, "libc.so.6"));
    free(cache);
}
END_TEST

START_TEST(a_cut_linker_cache_is_read_within_its_bounds)
{
    size_t size = 0;
    uint8_t *cache = alchi_host_file_read("/etc/ld.so.cache", 1 << 26, &size);

    ck_assert(cache != NULL);
    for (size_t cut = 0; cut < 200; cut++) {
        size_t cursor = 0;

        (void)alchi_host_ldcache_find(cache, cut, "libc.so.6", &cursor);
    }
    free(cache);
}
END_TEST

START_TEST(a_damaged_linker_cache_has_no_entries)
{
    uint8_t bad[64] = "glibc-ld.so.cache1.1";
    size_t cursor = 0;

    /* One entry, whose strings are outside of the cache. */
    bad[20] = 1;
    memset(bad + 48, 0xff, 16);
    ck_assert(alchi_host_ldcache_find(bad, sizeof(bad), "libc.so.6", &cursor) == NULL);
    /* More entries than the cache has room for. */
    bad[23] = 0xff;
    ck_assert(alchi_host_ldcache_find(bad, sizeof(bad), "libc.so.6", &cursor) == NULL);
    cursor = 0;
    ck_assert(alchi_host_ldcache_find(NULL, 0, "libc.so.6", &cursor) == NULL);
}
END_TEST

START_TEST(a_file_beyond_the_limit_is_not_read)
{
    size_t size = 0;

    ck_assert(alchi_host_file_read("/etc/ld.so.cache", 10, &size) == NULL);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tests = tcase_create("needs");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, names_that_only_open_mpi_uses_are_recognized);
    tcase_add_test(tests, names_of_mpich_and_other_libraries_are_accepted);
    tcase_add_test(tests, a_missing_file_is_an_error_of_the_system);
    tcase_add_test(tests, a_file_without_an_elf_header_is_refused);
    tcase_add_test(tests, an_object_for_another_machine_is_refused);
    tcase_add_test(tests, an_object_that_is_not_shared_is_refused);
    tcase_add_test(tests, a_cut_file_is_refused);
    tcase_add_test(tests, a_damaged_file_is_read_within_its_bounds);
    tcase_add_test(tests, strings_without_an_end_are_refused);
    tcase_add_test(tests, a_library_that_needs_open_mpi_is_refused);
    tcase_add_test(tests, a_library_that_needs_others_is_accepted);
    tcase_add_test(tests, a_need_that_is_not_found_is_skipped);
    tcase_add_test(tests, open_mpi_is_found_through_other_libraries);
    tcase_add_test(tests, a_need_with_a_slash_is_a_path);
    tcase_add_test(tests, a_rpath_holds_for_the_needs_of_needs);
    tcase_add_test(tests, a_runpath_holds_for_its_own_file_alone);
    tcase_add_test(tests, a_runpath_disables_the_rpath_of_its_file);
    tcase_add_test(tests, ld_library_path_holds_for_all_files);
    tcase_add_test(tests, libraries_that_need_each_other_are_accepted);
    tcase_add_test(tests, the_linker_cache_has_the_c_library);
    tcase_add_test(tests, a_cut_linker_cache_is_read_within_its_bounds);
    tcase_add_test(tests, a_damaged_linker_cache_has_no_entries);
    tcase_add_test(tests, a_file_beyond_the_limit_is_not_read);
    suite_add_tcase(suite, tests);
}
