/* Writes the manual page of a library from the description that the library contains, so that the page, help() in
 * Python and the description on the wire are one text.
 *
 *     library-man plugins/linalg.so VERSION [about.man] > alchemist-linalg.7
 *
 * about.man is roff, which the page shows before the functions. */
#include <alchemist/plugin.h>

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Write text as roff: escape backslashes and hyphens, and the first character of a line that would be a request. */
static void
put_text(const char *text, size_t size, bool line_start)
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

/* The state of writing one operation's documentation. */
typedef struct {
    const char *signature;
    const char *list; /* heading of the list that was begun last; NULL: none was */
    bool item;        /* the current line belongs to a parameter or a result */
} doc_t;

/* The heading for a name of the signature: that of parameters or of results; NULL: the signature lacks the name. */
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

/* A line "name: text" documents a parameter or a result. The lines after it belong to it, up to an empty line. */
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
        put_text(line, name, false);
        putchar('\n');
        doc->list = list;
        doc->item = true;
        line = colon + 1 + strspn(colon + 1, " ");
        size -= (size_t)(line - (colon - name));
    }
    put_text(line, size, true);
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
    put_text(operation->name, strlen(operation->name), false);
    putchar('\n');
    put_text(operation->summary, strlen(operation->summary), true);
    printf("\n.PP\n.nh\n.ad l\n.B %s.", library);
    put_text(operation->name, strlen(operation->name), false);
    puts("\n.RS 4");
    put_text(operation->signature, strlen(operation->signature), true);
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
    /* The index of pages shows it as a phrase, without a full stop. */
    put_text(plugin->summary, size - (size && plugin->summary[size - 1] == '.'), false);
    printf("\n.SH SYNOPSIS\n.nf\nlibrary = session.load_library(\"%s\")\n.fi\n", plugin->name);
    puts(".SH DESCRIPTION\nIn each signature the parameters are before the arrow and the results after it.\n"
         "A parameter with a default may be left out.\nA\n.I vector\nis a matrix with one column.\n"
         "In Python the functions are attributes of the library, and help(library.function)\nshows the same text.");
}

int
main(int argc, char **argv)
{
    const alch_plugin_t *plugin;
    alch_plugin_f *describe;
    void *object;

    if (argc < 3) {
        fputs("usage: library-man LIBRARY.so VERSION [about.man]\n", stderr);
        return EXIT_FAILURE;
    }
    if (!(object = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL))) {
        fprintf(stderr, "library-man: %s\n", dlerror());
        return EXIT_FAILURE;
    }
    *(void **)&describe = dlsym(object, ALCH_PLUGIN_SYMBOL);
    if (!describe || !(plugin = describe()) || plugin->abi != ALCH_PLUGIN_ABI) {
        fprintf(stderr, "library-man: %s does not describe a library of plugin ABI %d\n", argv[1], ALCH_PLUGIN_ABI);
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
