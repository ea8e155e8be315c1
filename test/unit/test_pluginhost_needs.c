/* The walk of what a library needs, over files made here: sound, hostile and cut ones. */
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

/* A file in the test's folder; some names live until the end of the test. */
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

/* A shared object of this machine, as small as can be. */
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
check(const char *name)
{
    memset(&err, 0, sizeof(err));
    return alchi_host_needs_check(in_folder(name), &err);
}

static void
refused(const char *name, const char *part)
{
    unit_code(check(name), ALCH_EPLUGIN);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' lacks '%s'", err.text, part);
}

static void
setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/alchemist-elf-XXXXXX");
    ck_assert(mkdtemp(folder) != NULL);
    mkdir(in_folder("sub"), 0700);
    unsetenv("LD_LIBRARY_PATH");
}

static void
teardown(void)
{
    char *command = alchi_asprintf("rm -rf %s", folder);

    ck_assert_int_eq(system(command), 0);
    free(command);
}

START_TEST(names)
{
    ck_assert(alchi_host_needs_is_openmpi("libmpi.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("/usr/lib/libmpi.so.40.30.4"));
    ck_assert(alchi_host_needs_is_openmpi("libmpi.so"));
    ck_assert(alchi_host_needs_is_openmpi("libmpi_mpifh.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("libopen-rte.so.40"));
    ck_assert(alchi_host_needs_is_openmpi("libopen-pal.so.80"));
    ck_assert(!alchi_host_needs_is_openmpi("libmpich.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libmpichcxx.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libmpi.so.12"));
    ck_assert(!alchi_host_needs_is_openmpi("libm.so.6"));
}
END_TEST

START_TEST(no_shared_object)
{
    image_t image;

    unit_code(check("absent.so"), ALCH_ESYSTEM);
    refused("sub", "is not a file");
    write_file("empty.so", "", 0);
    refused("empty.so", "is not an ELF file");
    write_file("text.so", "GROUP ( libc.so.6 )\n", 20);
    refused("text.so", "is not an ELF file");
    make_image(&image, NULL, NULL, NULL);
    image.header.e_ident[EI_CLASS] = ELFCLASS32;
    write_file("class.so", &image, sizeof(image));
    refused("class.so", "is not built for this machine");
    make_image(&image, NULL, NULL, NULL);
    image.header.e_type = ET_EXEC;
    write_file("program", &image, sizeof(image));
    refused("program", "is not a shared object");
    make_image(&image, NULL, NULL, NULL);
    image.programs[1].p_type = PT_NOTE;
    write_file("static.so", &image, sizeof(image));
    refused("static.so", "no dynamic section");
}
END_TEST

START_TEST(hostile)
{
    static const char *const needed[] = {"libm.so.6", "absent.so", NULL};
    image_t image, broken;

    make_image(&image, needed, "$ORIGIN", "$ORIGIN");
    for (size_t size = 0; size < sizeof(image); size++) {
        write_file("cut.so", &image, size);
        unit_code(check("cut.so"), ALCH_EPLUGIN);
    }
    /* Any byte may be anything: the answer does not matter, that there is one does. */
    for (size_t at = 0; at < offsetof(image_t, strings) + 64; at++) {
        for (int value = 0; value < 256; value += 85) {
            broken = image;
            ((unsigned char *)&broken)[at] = (unsigned char)value;
            write_file("broken.so", &broken, sizeof(broken));
            (void)check("broken.so");
        }
    }
    make_image(&broken, needed, NULL, NULL);
    memset(broken.strings, 'x', sizeof(broken.strings));
    write_file("endless.so", &broken, sizeof(broken));
    refused("endless.so", "broken table of strings");
}
END_TEST

START_TEST(direct_need)
{
    make_object("direct.so", "libmpi.so.40", NULL, NULL);
    refused("direct.so", "direct.so needs Open MPI (libmpi.so.40): this worker runs MPICH");
    make_object("plain.so", "libm.so.6", NULL, NULL);
    unit_code(check("plain.so"), ALCH_OK);
    make_object("mpich.so", "libmpich.so.12", NULL, NULL);
    unit_code(check("mpich.so"), ALCH_OK);
    make_object("missing.so", "libdoes-not-exist.so.1", NULL, NULL);
    unit_code(check("missing.so"), ALCH_OK);
}
END_TEST

START_TEST(deep_need)
{
    make_object("one.so", "two.so", NULL, "$ORIGIN");
    make_object("two.so", "three.so", NULL, "/nowhere:${ORIGIN}/sub");
    make_object("sub/three.so", "libopen-pal.so.40", NULL, NULL);
    refused("one.so", "one.so needs Open MPI (libopen-pal.so.40) through");
    ck_assert(strstr(err.text, in_folder("two.so")) && strstr(err.text, in_folder("sub/three.so")));
    make_object("slash.so", in_folder("two.so"), NULL, NULL);
    refused("slash.so", "two.so");
}
END_TEST

START_TEST(search_order)
{
    /* DT_RPATH holds for what its file's needs need; DT_RUNPATH does not. */
    make_object("sub/last.so", "libmpi.so.40", NULL, NULL);
    make_object("sub/middle.so", "last.so", NULL, NULL);
    make_object("rpath.so", "middle.so", "$ORIGIN/sub", NULL);
    refused("rpath.so", "last.so");
    make_object("runpath.so", "middle.so", NULL, "$ORIGIN/sub");
    unit_code(check("runpath.so"), ALCH_OK);
    make_object("both.so", "middle.so", "$ORIGIN/sub", "/nowhere");
    unit_code(check("both.so"), ALCH_OK);
    setenv("LD_LIBRARY_PATH", in_folder("sub"), 1);
    refused("runpath.so", "last.so");
    unsetenv("LD_LIBRARY_PATH");
}
END_TEST

START_TEST(circles)
{
    make_object("left.so", "right.so", NULL, "$ORIGIN");
    make_object("right.so", "left.so", NULL, "$ORIGIN");
    unit_code(check("left.so"), ALCH_OK);
}
END_TEST

START_TEST(linker_cache)
{
    size_t size = 0, cursor = 0;
    uint8_t *cache = alchi_host_file_read("/etc/ld.so.cache", 1 << 26, &size);
    uint8_t bad[64] = "glibc-ld.so.cache1.1";
    const char *path;

    ck_assert(cache != NULL);
    path = alchi_host_ldcache_find(cache, size, "libc.so.6", &cursor);
    ck_assert(path && strstr(path, "libc.so.6"));
    for (size_t cut = 0; cut < 200; cut++) {
        cursor = 0;
        (void)alchi_host_ldcache_find(cache, cut, "libc.so.6", &cursor);
    }
    free(cache);
    /* One entry is claimed, and its strings lie outside. */
    bad[20] = 1;
    memset(bad + 48, 0xff, 16);
    cursor = 0;
    ck_assert(alchi_host_ldcache_find(bad, sizeof(bad), "libc.so.6", &cursor) == NULL);
    bad[23] = 0xff;
    ck_assert(alchi_host_ldcache_find(bad, sizeof(bad), "libc.so.6", &cursor) == NULL);
    cursor = 0;
    ck_assert(alchi_host_ldcache_find(NULL, 0, "libc.so.6", &cursor) == NULL);
    ck_assert(alchi_host_file_read("/etc/ld.so.cache", 10, &size) == NULL);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tests = tcase_create("elf");

    tcase_set_timeout(tests, 30); /* a sanitizer on a busy machine */
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, names);
    tcase_add_test(tests, no_shared_object);
    tcase_add_test(tests, hostile);
    tcase_add_test(tests, direct_need);
    tcase_add_test(tests, deep_need);
    tcase_add_test(tests, search_order);
    tcase_add_test(tests, circles);
    tcase_add_test(tests, linker_cache);
    suite_add_tcase(suite, tests);
}
