/* The token file. */
#include "daemon/token.h"
#include "base/error.h"
#include "base/util.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS (2 * ALCHI_KEY_SIZE)

static int
read_digits(const char *path, int fd, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err)
{
    char text[DIGITS + 8] = "";
    struct stat status;
    ssize_t size;
    bool good;

    if (fstat(fd, &status))
        return alchi_error_errno(err, errno, "--token-file %s cannot be read", path);
    if (status.st_uid != geteuid() || (status.st_mode & 077))
        return alchi_error_set(
            err, ALCH_EPERM,
            "--token-file %s must belong to the user who runs alchemistd, and no other user may read it (chmod 600)",
            path);
    size = read(fd, text, sizeof(text) - 1);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        text[--size] = '\0';
    good = size == DIGITS && alchi_hex_decode(text, token, ALCHI_KEY_SIZE);
    explicit_bzero(text, sizeof(text));
    if (!good)
        return alchi_error_set(err, ALCH_EINVAL, "--token-file %s does not hold %d hexadecimal digits", path, DIGITS);
    return ALCH_OK;
}

int
alchi_dmn_token_read(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), code;

    if (fd < 0 && errno == ENOENT)
        return alchi_error_set(err, ALCH_ENOENT, "--token-file %s does not exist", path);
    if (fd < 0)
        return alchi_error_errno(err, errno, "--token-file %s cannot be read", path);
    code = read_digits(path, fd, token, err);
    close(fd);
    return code;
}

static int
create_file(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err)
{
    char text[DIGITS + 2];
    int fd, code = ALCH_OK;

    if ((code = alchi_random(token, ALCHI_KEY_SIZE)))
        return alchi_error_set(err, code, "the system gave no random numbers for a token");
    if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        return alchi_error_errno(err, errno, "--token-file %s cannot be created", path);
    alchi_hex_encode(token, ALCHI_KEY_SIZE, text);
    text[DIGITS] = '\n';
    if (write(fd, text, DIGITS + 1) != DIGITS + 1)
        code = alchi_error_errno(err, errno, "--token-file %s cannot be written", path);
    explicit_bzero(text, sizeof(text));
    close(fd);
    if (code)
        unlink(path);
    return code;
}

int
alchi_dmn_token_read_or_create(const char *path, uint8_t token[ALCHI_KEY_SIZE], alch_error_t *err)
{
    if (access(path, F_OK) && errno == ENOENT)
        return create_file(path, token, err);
    return alchi_dmn_token_read(path, token, err);
}
