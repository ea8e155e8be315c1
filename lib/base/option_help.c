/* Command-line options from a table: the help and the manual's table. */
#include "base/option.h"
#include "base/util.h"

#include <stdio.h>
#include <string.h>

#define TEXT_COLUMN 28
#define LAST_COLUMN 100

/* Write the default, and whether the option may be repeated: " (default 24960 ms)". */
static void
format_remark(const alchi_option_t *row, char *text, size_t size)
{
    const char *unit = row->unit ? row->unit : "", *space = row->unit ? " " : "";
    bool list = row->type == ALCHI_OPTION_LIST;

    text[0] = '\0';
    if (row->default_text && list)
        snprintf(text, size, " (default %s; may be repeated)", row->default_text);
    else if (row->default_text)
        snprintf(text, size, " (default %s%s%s)", row->default_text, space, unit);
    else if (list)
        snprintf(text, size, " (may be repeated)");
    else if (row->unit)
        snprintf(text, size, " (%s)", unit);
}

/* Print the words of `text` between TEXT_COLUMN and LAST_COLUMN, in as many lines as needed. */
static void
print_wrapped(const char *text)
{
    size_t column = TEXT_COLUMN, length;

    for (; *text; text += length) {
        text += strspn(text, " ");
        length = strcspn(text, " ");
        if (column > TEXT_COLUMN && column + 1 + length > LAST_COLUMN) {
            printf("\n%*s", TEXT_COLUMN, "");
            column = TEXT_COLUMN;
        }
        column += (size_t)printf("%s%.*s", column > TEXT_COLUMN ? " " : "", (int)length, text);
    }
    putchar('\n');
}

void
alchi_options_help(const alchi_option_t *table, size_t count, const char *usage)
{
    char text[1024], tail[256], head[96];
    size_t k;

    printf("%s\n\nOptions:\n", usage);
    for (k = 0; k < count; k++) {
        const alchi_option_t *row = &table[k];

        snprintf(head, sizeof(head), "  --%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
        format_remark(row, tail, sizeof(tail));
        snprintf(text, sizeof(text), "%s%s", row->text, tail);
        if (strlen(head) + 2 > TEXT_COLUMN)
            printf("%s\n%*s", head, TEXT_COLUMN, "");
        else
            printf("%-*s", TEXT_COLUMN, head);
        print_wrapped(text);
    }
    printf("\nAn option can be given as --name VALUE or --name=VALUE, or in the environment as ALCHEMIST_NAME with\n"
           "underscores for dashes. The command line overrides the environment.\n");
}

/* Print text as roff source: escape hyphens and backslashes, and do not let the text start with a control character. */
static void
print_roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    }
}

void
alchi_options_man(const alchi_option_t *table, size_t count)
{
    char tail[256];
    size_t k;

    for (k = 0; k < count; k++) {
        const alchi_option_t *row = &table[k];

        fputs(".TP\n.B \\-\\-", stdout);
        print_roff(row->name);
        if (row->value) {
            fputs(" \\fI", stdout);
            print_roff(row->value);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        print_roff(row->text);
        format_remark(row, tail, sizeof(tail));
        print_roff(tail);
        putchar('\n');
    }
}
