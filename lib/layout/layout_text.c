/* Read layouts from text and write them as text: see alchemist/layout.h. */
#include "layout/named.h"
#include "base/error.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 24 /* bytes of the longest word that is read, with its NUL; the longest known one is block_cyclic */

/* Step over blanks and then over `c`, which may be the NUL at the end of the text. @return false if another character
 * follows the blanks; *text is then at that character */
static bool
skip_char(const char **text, char c)
{
    while (isspace((unsigned char)**text))
        (*text)++;
    if (**text != c)
        return false;
    *text += c != '\0';
    return true;
}

static bool
read_word(const char **text, char *word)
{
    size_t length = 0;

    while (isspace((unsigned char)**text))
        (*text)++;
    while (isalpha((unsigned char)**text) || **text == '_') {
        if (length == WORD_MAX - 1)
            return false;
        word[length++] = *(*text)++;
    }
    word[length] = '\0';
    return length > 0;
}

static bool
read_number(const char **text, int64_t limit, int64_t *x_p)
{
    char *end;
    long long x;

    while (isspace((unsigned char)**text))
        (*text)++;
    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    x = strtoll(*text, &end, 10);
    if (errno != 0 || x > limit)
        return false;
    *text = end;
    *x_p = x;
    return true;
}

/* Read "(mb,nb)" or "(mb,nb,nprow,npcol)". If the text has no "(", all four stay 0. */
static bool
read_block_cyclic(const char **text, alch_layout_t *layout)
{
    int64_t nprow = 0, npcol = 0;

    if (!skip_char(text, '('))
        return true;
    if (!read_number(text, INT64_MAX, &layout->mb) || !skip_char(text, ',') ||
        !read_number(text, INT64_MAX, &layout->nb))
        return false;
    if (skip_char(text, ',') &&
        (!read_number(text, INT_MAX, &nprow) || !skip_char(text, ',') || !read_number(text, INT_MAX, &npcol)))
        return false;
    layout->nprow = (int)nprow;
    layout->npcol = (int)npcol;
    return skip_char(text, ')');
}

static bool
read_layout(const char *text, alch_layout_t *layout)
{
    char word[WORD_MAX], second[WORD_MAX], name[2 * WORD_MAX];
    bool bracket = skip_char(&text, '[');

    if (!read_word(&text, word))
        return false;
    if (!bracket && (strcasecmp(word, "block_cyclic") == 0 || strcasecmp(word, "scalapack") == 0))
        return read_block_cyclic(&text, layout) && skip_char(&text, '\0');
    snprintf(name, sizeof(name), "%s", word);
    if (skip_char(&text, ',')) {
        if (!read_word(&text, second))
            return false;
        snprintf(name, sizeof(name), "%s_%s", word, second);
    }
    if (bracket && !skip_char(&text, ']'))
        return false;
    for (int dist = ALCH_BLOCK_CYCLIC + 1; dist < ALCHI_DIST_COUNT; dist++)
        if (strcasecmp(name, alch_dist_name((alch_dist_t)dist)) == 0) {
            layout->dist = (alch_dist_t)dist;
            return skip_char(&text, '\0');
        }
    return false;
}

int
alch_layout_parse(const char *text, alch_layout_t *layout_p, alch_error_t *err)
{
    alch_layout_t layout = ALCH_LAYOUT_DEFAULT;
    char names[ALCHI_DIST_COUNT * WORD_MAX] = "";
    size_t length = 0;

    if (text && layout_p && read_layout(text, &layout)) {
        *layout_p = layout;
        return ALCH_OK;
    }
    for (int dist = ALCH_BLOCK_CYCLIC + 1; dist < ALCHI_DIST_COUNT; dist++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, ", %s", alch_dist_name((alch_dist_t)dist));
    return alchi_error_set(err, ALCH_EINVAL,
                           "\"%.60s\" is not a layout; valid layouts are block_cyclic, block_cyclic(mb,nb), "
                           "block_cyclic(mb,nb,nprow,npcol)%s",
                           text ? text : "", names);
}

char *
alch_layout_format(const alch_layout_t *layout, char *text, size_t size)
{
    const char *name = alch_dist_name(layout->dist);

    if (!name)
        snprintf(text, size, "unknown(%d)", (int)layout->dist);
    else if (layout->dist != ALCH_BLOCK_CYCLIC)
        snprintf(text, size, "%s", name);
    else if (layout->nprow != 0 || layout->npcol != 0)
        snprintf(text, size, "block_cyclic(%" PRId64 ",%" PRId64 ",%d,%d)", layout->mb, layout->nb, layout->nprow,
                 layout->npcol);
    else if (layout->mb != 0 || layout->nb != 0)
        snprintf(text, size, "block_cyclic(%" PRId64 ",%" PRId64 ")", layout->mb, layout->nb);
    else
        snprintf(text, size, "block_cyclic");
    return text;
}
