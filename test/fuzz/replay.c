/* Runs a fuzz target without libFuzzer on every file of the given folders: on the whole file, on each of its
 * prefixes, and on the file with each bit flipped. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE_MAX_BYTES (1u << 20)
#define VARIED_MAX 1024 /* bytes; variations of larger files would take too long */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static unsigned files, runs;

/* The copy has exactly the size of the input, so that AddressSanitizer notices a read past its end. */
static void
run_target(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(EXIT_FAILURE);
    if (size)
        memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void
run_varied(uint8_t *bytes, size_t size)
{
    size_t k;
    int bit;

    run_target(bytes, size);
    if (size > VARIED_MAX)
        return;
    for (k = 0; k < size; k++) {
        run_target(bytes, k);
        for (bit = 0; bit < 8; bit++) {
            bytes[k] ^= (uint8_t)(1 << bit);
            run_target(bytes, size);
            bytes[k] ^= (uint8_t)(1 << bit);
        }
    }
}

static int
run_file(const char *path)
{
    static uint8_t bytes[SIZE_MAX_BYTES];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return -1;
    }
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    run_varied(bytes, size);
    files++;
    return 0;
}

static int
run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int status = 0;

    if (!dir) {
        perror(folder);
        return -1;
    }
    while (!status && (entry = readdir(dir))) {
        char path[4096];
        struct stat info;

        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (!stat(path, &info) && S_ISREG(info.st_mode))
            status = run_file(path);
    }
    closedir(dir);
    return status;
}

int
main(int argc, char **argv)
{
    int k;

    for (k = 1; k < argc; k++)
        if (run_folder(argv[k]))
            return EXIT_FAILURE;
    printf("%u files, %u runs\n", files, runs);
    return files ? EXIT_SUCCESS : EXIT_FAILURE;
}
