/* Texts of unknown origin: replace the bytes that cannot be sent or printed. */
#include "net/text.h"

#include "base/util.h"

#include <string.h>

/* Bytes of the UTF-8 character at `text`; 0: the bytes are not a valid character. */
static size_t
character_size(const char *text)
{
    size_t max = strnlen(text, 4);

    for (size_t size = 1; size <= max; size++)
        if (alchi_utf8_valid(text, size))
            return size;
    return 0;
}

static bool
is_control(char c, bool lines)
{
    return ((unsigned char)c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f;
}

char *
alchi_text_clean(const char *from, char *to, size_t size, bool lines)
{
    size_t length = 0;

    while (from && *from) {
        size_t bytes = character_size(from);
        bool replaced = bytes == 0 || is_control(*from, lines);

        bytes = replaced ? 1 : bytes;
        if (length + bytes >= size)
            break;
        memcpy(to + length, replaced ? "?" : from, bytes);
        length += bytes;
        from += bytes;
    }
    to[length] = '\0';
    return to;
}
