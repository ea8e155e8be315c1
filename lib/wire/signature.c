/* Parse signatures and documentation of functions. */
#include "wire/kind.h"
#include "base/error.h"
#include "base/util.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 63
#define PARAMETERS_MAX 64
#define NEAR_BYTES 24 /* of the signature, which an error text quotes */

typedef struct {
    const char *start, *at;
    const char *function; /* name */
    alch_error_t *err;
} parser_t;

/* A part of the signature, not terminated by a NUL. */
typedef struct {
    const char *text;
    size_t size;
} token_t;

static int
refuse_at(const parser_t *in, const char *at, const char *why)
{
    char near[NEAR_BYTES + 1];

    snprintf(near, sizeof(near), "%s", at);
    return alchi_error_set(in->err, ALCH_EPLUGIN, "function '%s': signature, column %d%s%s%s: %s", in->function,
                           (int)(at - in->start) + 1, *near ? ", at '" : "", near, *near ? "'" : " (its end)", why);
}

static int
no_memory(const parser_t *in)
{
    return alchi_error_set(in->err, ALCH_ENOMEM, "out of memory for function '%s'", in->function);
}

static void
skip_space(parser_t *in)
{
    while (isspace((unsigned char)*in->at))
        in->at++;
}

/* Read a name, [A-Za-z_][A-Za-z0-9_]*. The token is empty if there is no name. */
static token_t
take_name(parser_t *in)
{
    token_t token;

    skip_space(in);
    token.text = in->at;
    if (isalpha((unsigned char)*in->at) || *in->at == '_')
        while (isalnum((unsigned char)*in->at) || *in->at == '_')
            in->at++;
    token.size = (size_t)(in->at - token.text);
    return token;
}

static bool
take_symbol(parser_t *in, const char *symbol)
{
    size_t length = strlen(symbol);

    skip_space(in);
    if (strncmp(in->at, symbol, length))
        return false;
    in->at += length;
    return true;
}

static bool
token_is(token_t token, const char *text)
{
    return strlen(text) == token.size && !memcmp(text, token.text, token.size);
}

static alch_type_t
type_of(token_t token)
{
    unsigned type;

    if (token_is(token, "vector"))
        return ALCH_TYPE_MATRIX;
    for (type = 1; alch_type_name((alch_type_t)type); type++)
        if (token_is(token, alch_type_name((alch_type_t)type)))
            return (alch_type_t)type;
    return 0;
}

/* Read a default value. It ends at a comma or arrow that is not inside quotes or brackets. */
static token_t
take_default(parser_t *in)
{
    bool quoted = false;
    int depth = 0;
    token_t token;

    skip_space(in);
    token.text = in->at;
    for (; *in->at; in->at++) {
        char c = *in->at;

        if (quoted && c == '\\' && in->at[1])
            in->at++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == ']'))
            depth += c == '[' ? 1 : -1;
        else if (!quoted && depth <= 0 && (c == ',' || (c == '-' && in->at[1] == '>')))
            break;
    }
    token.size = (size_t)(in->at - token.text);
    while (token.size && isspace((unsigned char)token.text[token.size - 1]))
        token.size--;
    return token;
}

static int
read_default(parser_t *in, Alchw__Parameter *parameter)
{
    token_t token = take_default(in);
    alch_error_t err = {0};
    int code;

    if (!token.size)
        return refuse_at(in, token.text, "a default is missing after '='");
    parameter->default_text = strndup(token.text, token.size);
    if (!parameter->default_text)
        return no_memory(in);
    code = alchi_value_parse(parameter->default_text, (alch_type_t)parameter->type, parameter->list,
                             &parameter->default_value, &err);
    if (code == ALCH_ENOMEM)
        return no_memory(in);
    if (code)
        return refuse_at(in, token.text, err.text);
    parameter->has_optional_ = parameter->optional_ = 1;
    return ALCH_OK;
}

static int
read_type(parser_t *in, Alchw__Parameter *parameter, bool result)
{
    token_t token = take_name(in);

    parameter->has_type = parameter->has_list = 1;
    parameter->type = (uint32_t)type_of(token);
    if (!parameter->type)
        return refuse_at(in, token.text,
                         "a type is expected: bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, "
                         "float64, complex64, complex128, string, matrix or vector");
    parameter->list = take_symbol(in, "[");
    if (parameter->list && !take_symbol(in, "]"))
        return refuse_at(in, in->at, "']' is expected");
    if (parameter->list && result && parameter->type == ALCH_TYPE_MATRIX)
        return refuse_at(in, token.text, "a list of matrices cannot be a result");
    return ALCH_OK;
}

/* name:type[=default] */
static int
read_parameter(parser_t *in, Alchw__Parameter *parameter, bool result)
{
    token_t name = take_name(in);
    int code;

    if (!name.size || name.size > NAME_MAX_BYTES)
        return refuse_at(in, name.text, "a name is expected: letters, digits and '_', at most 63");
    parameter->name = strndup(name.text, name.size);
    parameter->doc = strdup("");
    if (!parameter->name || !parameter->doc)
        return no_memory(in);
    if (!take_symbol(in, ":"))
        return refuse_at(in, in->at, "':' and a type are expected");
    if ((code = read_type(in, parameter, result)) || !take_symbol(in, "="))
        return code;
    return result ? refuse_at(in, in->at - 1, "a result has no default") : read_default(in, parameter);
}

static Alchw__Parameter *
append_parameter(Alchw__Parameter ***array_p, size_t *count_p)
{
    Alchw__Parameter **array = realloc(*array_p, (*count_p + 1) * sizeof(*array)), *parameter;

    if (!array)
        return NULL;
    *array_p = array;
    parameter = malloc(sizeof(*parameter));
    if (!parameter)
        return NULL;
    alchw__parameter__init(parameter);
    array[(*count_p)++] = parameter;
    return parameter;
}

static bool
named_before(Alchw__Parameter *const *array, size_t count)
{
    size_t k;

    for (k = 0; k + 1 < count; k++)
        if (!strcmp(array[k]->name, array[count - 1]->name))
            return true;
    return false;
}

/* Read a list of parameters, which may be empty, up to the arrow or the end. On failure the array keeps the parameters
 * that were read. */
static int
read_parameters(parser_t *in, Alchw__Parameter ***array_p, size_t *count_p, bool result)
{
    skip_space(in);
    if (!*in->at || !strncmp(in->at, "->", 2))
        return ALCH_OK;
    do {
        Alchw__Parameter *parameter;
        const char *at;
        int code;

        skip_space(in);
        at = in->at;
        if (*count_p == PARAMETERS_MAX)
            return refuse_at(in, at, "there are more than 64 parameters or results");
        parameter = append_parameter(array_p, count_p);
        if (!parameter)
            return no_memory(in);
        if ((code = read_parameter(in, parameter, result)))
            return code;
        if (named_before(*array_p, *count_p))
            return refuse_at(in, at, "this name is given twice");
    } while (take_symbol(in, ","));
    return ALCH_OK;
}

static int
read_signature(parser_t *in, Alchw__Function *function)
{
    int code = read_parameters(in, &function->parameters, &function->n_parameters, false);

    if (!code && take_symbol(in, "->"))
        code = read_parameters(in, &function->results, &function->n_results, true);
    if (code)
        return code;
    skip_space(in);
    return *in->at ? refuse_at(in, in->at, "',', '->' or the end is expected") : ALCH_OK;
}

static int
set_doc(Alchw__Parameter **array, size_t count, token_t name, token_t text)
{
    size_t k;

    for (k = 0; k < count; k++) {
        char *doc;

        if (!token_is(name, array[k]->name))
            continue;
        doc = strndup(text.text, text.size);
        if (!doc)
            return ALCH_ENOMEM;
        free(array[k]->doc);
        array[k]->doc = doc;
    }
    return ALCH_OK;
}

/* Read lines "name: text". If a parameter and a result have the same name, the line documents both. */
static int
read_doc(Alchw__Function *function)
{
    const char *line, *end;

    for (line = function->doc; *line; line = *end ? end + 1 : end) {
        parser_t in = {.start = line, .at = line};
        token_t name = take_name(&in), text;
        int code;

        end = line + strcspn(line, "\n");
        if (!name.size || in.at >= end || !take_symbol(&in, ":") || in.at > end)
            continue;
        skip_space(&in);
        text.text = in.at < end ? in.at : end;
        text.size = (size_t)(end - text.text);
        while (text.size && isspace((unsigned char)text.text[text.size - 1]))
            text.size--;
        if ((code = set_doc(function->parameters, function->n_parameters, name, text)) ||
            (code = set_doc(function->results, function->n_results, name, text)))
            return code;
    }
    return ALCH_OK;
}

static bool
name_valid(const char *name)
{
    parser_t in = {.start = name, .at = name};
    token_t token = take_name(&in);

    return token.text == name && token.size && token.size <= NAME_MAX_BYTES && !*in.at;
}

static bool
text_valid(const char *text)
{
    return alchi_utf8_valid(text, strlen(text));
}

static Alchw__Function *
function_create(const char *name, const char *signature, const char *summary, const char *doc)
{
    Alchw__Function *function = malloc(sizeof(*function));

    if (!function)
        return NULL;
    alchw__function__init(function);
    function->name = strdup(name);
    function->signature = strdup(signature);
    function->summary = strdup(summary);
    function->doc = strdup(doc);
    if (!function->name || !function->signature || !function->summary || !function->doc) {
        alchi_message_free(function);
        return NULL;
    }
    return function;
}

int
alchi_function_parse(const char *name, const char *signature, const char *summary, const char *doc,
                     Alchw__Function **function_p, alch_error_t *err)
{
    parser_t in = {.function = name ? name : "", .err = err};
    Alchw__Function *function;
    int code;

    if (!name || !name_valid(name))
        return alchi_error_set(
            err, ALCH_EPLUGIN,
            "the name of function '%s' must have 1 to 63 letters, digits and '_', and not begin with a digit",
            in.function);
    if (!signature)
        return alchi_error_set(err, ALCH_EPLUGIN, "function '%s' has no signature", name);
    summary = summary ? summary : "";
    doc = doc ? doc : "";
    if (!text_valid(signature) || !text_valid(summary) || !text_valid(doc))
        return alchi_error_set(err, ALCH_EPLUGIN, "the signature or documentation of function '%s' is not valid UTF-8",
                               name);
    function = function_create(name, signature, summary, doc);
    if (!function)
        return no_memory(&in);
    in.start = in.at = function->signature;
    code = read_signature(&in, function);
    if (!code && read_doc(function))
        code = no_memory(&in);
    if (code) {
        alchi_message_free(function);
        return code;
    }
    *function_p = function;
    return ALCH_OK;
}
