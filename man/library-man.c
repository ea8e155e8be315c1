/* Writes the manual page of a library from what the library says of itself, so that the page, help() in Python and the
 * description on the wire are one text.
 *
 *     library-man plugins/linalg.so VERSION [about.man] > alchemist-linalg.7
 *
 * about.man is roff that stands before the functions. */
#include <alchemist/plugin.h>

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text as roff: no backslash or hyphen is taken for something else, no line for a request. */
static void
put(const char *text, size_t size, bool line_start)
{
    if (line_start && size && (*text == '.' || *text == '\''))
        fputs("\\&", stdout);
    for (size_t k = 0; k < size; k++) {
        if (text[k] == '\\')
            fputs("\\e", stdout);
        else if (text[k] == '-')
            fputs("\\-", stdout);
        else
            putchar(text[k]);
    }
}

static void
put_upper(const char *text)
{
    while (*text)
        putchar(toupper((unsigned char)*text++));
}

/* What one operation's documentation is being written for. */
typedef struct {
    const char *signature;
    const char *list; /* heading of the list that was begun last, NULL: none */
    bool item;        /* lines go on with a parameter or result */
} doc_t;

/* The heading under which a parameter or result of that name stands; NULL: the signature has none. */
static const char *
list_of(const char *signature, const char *name, size_t size)
{
    const char *arrow = strstr(signature, "->");

    for (const char *at = signature; size && (at = strchr(at, ':')); at++) {
        const char *start = at;

        while (start > signature && (isalnum((unsigned char)start[-1]) || start[-1] == '_'))
            start--;
        if ((size_t)(at - start) == size && !memcmp(start, name, size))
            return arrow && start > arrow ? "Results" : "Parameters";
    }
    return NULL;
}

/* A line "name: text" documents a parameter or result; those after it go on with it until a line is empty. */
static void
put_line(doc_t *doc, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size), *list;
    size_t name = colon ? (size_t)(colon - line) : 0;

    if (!size) {
        puts(".PP");
        doc->item = false;
        return;
    }
    if ((list = list_of(doc->signature, line, name))) {
        if (!doc->list || strcmp(doc->list, list) != 0)
            printf(".PP\n.B %s\n", list);
        printf(".TP\n.I ");
        put(line, name, false);
        putchar('\n');
        doc->list = list;
        doc->item = true;
        line = colon + 1 + strspn(colon + 1, " ");
        size -= (size_t)(line - (colon - name));
    }
    put(line, size, true);
    putchar('\n');
    if (!doc->item && size && strchr(".:", line[size - 1]))
        puts(".br");
}

static void
put_doc(const alch_operation_t *operation)
{
    doc_t doc = {.signature = operation->signature};

    for (const char *line = operation->doc; *line;) {
        size_t size = strcspn(line, "\n");

        put_line(&doc, line, size);
        line += size + (line[size] == '\n');
    }
}

static void
put_operation(const char *library, const alch_operation_t *operation)
{
    printf(".SS ");
    put(operation->name, strlen(operation->name), false);
    putchar('\n');
    put(operation->summary, strlen(operation->summary), true);
    printf("\n.PP\n.nh\n.ad l\n.B %s.", library);
    put(operation->name, strlen(operation->name), false);
    puts("\n.RS 4");
    put(operation->signature, strlen(operation->signature), true);
    puts("\n.RE\n.ad\n.hy\n.PP");
    put_doc(operation);
}

static int
put_file(const char *path)
{
    FILE *file = fopen(path, "r");
    int c;

    if (!file) {
        perror(path);
        return EXIT_FAILURE;
    }
    while ((c = getc(file)) != EOF)
        putchar(c);
    fclose(file);
    return EXIT_SUCCESS;
}

static void
put_head(const alch_plugin_t *plugin, const char *version)
{
    size_t size = strlen(plugin->summary);

    printf(".\\\" Made by man/library-man.c from the library itself.\n.TH ALCHEMIST\\-");
    put_upper(plugin->name);
    printf(" 7 \"\" \"Alchemist %s\" \"Alchemist\"\n.SH NAME\nalchemist\\-%s \\- ", version, plugin->name);
    /* In the index of pages it is no sentence. */
    put(plugin->summary, size - (size && plugin->summary[size - 1] == '.'), false);
    printf("\n.SH SYNOPSIS\n.nf\nlibrary = session.load_library(\"%s\")\n.fi\n", plugin->name);
    puts(".SH DESCRIPTION\nParameters stand before the arrow in each signature, results behind it; what has a default "
         "may be "
         "left out.\nA\n.I vector\nis a matrix with one column.\nIn Python the functions are attributes of the "
         "library, and "
         "help(library.function)\nshows the same text.");
}

int
main(int argc, char **argv)
{
    void *object = argc > 2 ? dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL) : NULL;
    const alch_plugin_t *plugin;
    alch_plugin_f *describe;

    if (!object) {
        fprintf(stderr, "usage: library-man LIBRARY.so VERSION [about.man]: %s\n", argc > 2 ? dlerror() : "");
        return EXIT_FAILURE;
    }
    *(void **)&describe = dlsym(object, ALCH_PLUGIN_SYMBOL);
    if (!describe || !(plugin = describe()) || plugin->abi != ALCH_PLUGIN_ABI) {
        fprintf(stderr, "library-man: %s is no library of this version\n", argv[1]);
        return EXIT_FAILURE;
    }
    put_head(plugin, argv[2]);
    if (argc > 3 && put_file(argv[3]))
        return EXIT_FAILURE;
    puts(".SH FUNCTIONS");
    for (size_t k = 0; k < plugin->operation_count; k++)
        put_operation(plugin->name, &plugin->operations[k]);
    puts(".SH SEE ALSO\n.BR alchemistd (8),\n.BR alchemist\\-layout (7),\n.BR alchemist\\-plugin (7)");
    return EXIT_SUCCESS;
}
