/* Check the arguments of a call against a function's parameters. */
#include "wire/value.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A string field that the peer may have left out. */
static const char *
text_of(const char *text)
{
    return text ? text : "";
}

/* The index of a parameter; function->n_parameters: there is no parameter of that name. */
static size_t
find_parameter(const Alchw__Function *function, const char *name)
{
    size_t k;

    for (k = 0; k < function->n_parameters; k++)
        if (!strcmp(text_of(function->parameters[k]->name), name))
            return k;
    return function->n_parameters;
}

static int
report_unknown_parameter(const char *library, const Alchw__Function *function, const char *name, alch_error_t *err)
{
    char known[512] = "";
    size_t k, used = 0;

    for (k = 0; k < function->n_parameters && used < sizeof(known); k++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", k ? ", " : "",
                                 text_of(function->parameters[k]->name));
    return alchi_error_set(err, ALCH_ENOENT, "%s.%s has no parameter '%.64s' (it has %s%s)", library,
                           text_of(function->name), name, *known ? "" : "none", known);
}

/* @param why  completes the sentence "TestLib.truncated_svd: parameter 'rank' ..." */
static int
report_wrong_argument(const char *library, const Alchw__Function *function, const char *name, const char *why,
                      alch_error_t *err)
{
    return alchi_error_set(err, ALCH_ETYPE, "%s.%s: parameter '%s' %s", library, text_of(function->name), name, why);
}

/* Convert one argument to its parameter's type and store it. */
static int
store_argument(const char *library, const Alchw__Function *function, const Alchw__NamedValue *given,
               Alchw__NamedValue **arguments, alch_error_t *err)
{
    const char *name = text_of(given->name);
    size_t k = find_parameter(function, name);
    const Alchw__Parameter *parameter;
    Alchw__Value *value;
    char what[256];
    int code;

    if (k == function->n_parameters)
        return report_unknown_parameter(library, function, name, err);
    parameter = function->parameters[k];
    if (arguments[k])
        return report_wrong_argument(library, function, name, "is given twice", err);
    if (!given->value)
        return report_wrong_argument(library, function, name, "has no value", err);
    if ((code = alchi_value_check(given->value, err)))
        return code;
    snprintf(what, sizeof(what), "%s.%s: parameter '%s'", library, text_of(function->name), name);
    code = alchi_value_convert(given->value, (alch_type_t)parameter->type, parameter->list, what, &value, err);
    if (code)
        return code;
    arguments[k] = alchi_named_create(name, value);
    return arguments[k] ? ALCH_OK : alchi_error_set(err, ALCH_ENOMEM, "out of memory for %s", what);
}

/* Use the defaults of the parameters that were not given. */
static int
fill_in_defaults(const char *library, const Alchw__Function *function, Alchw__NamedValue **arguments, alch_error_t *err)
{
    size_t k;

    for (k = 0; k < function->n_parameters; k++) {
        const Alchw__Parameter *parameter = function->parameters[k];
        const char *name = text_of(parameter->name);
        Alchw__Value *value;

        if (arguments[k])
            continue;
        if (!parameter->optional_ || !parameter->default_value)
            return report_wrong_argument(library, function, name, "is missing", err);
        value = alchi_value_copy(parameter->default_value);
        arguments[k] = value ? alchi_named_create(name, value) : NULL;
        if (!arguments[k])
            return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the arguments of %s.%s", library,
                                   text_of(function->name));
    }
    return ALCH_OK;
}

int
alchi_arguments_check(const char *library, const Alchw__Function *function, Alchw__NamedValue *const *given,
                      size_t given_count, Alchw__NamedValue ***arguments_p, alch_error_t *err)
{
    Alchw__NamedValue **arguments = calloc(function->n_parameters ? function->n_parameters : 1, sizeof(*arguments));
    int code = ALCH_OK;
    size_t k;

    if (!arguments)
        return alchi_error_set(err, ALCH_ENOMEM, "out of memory for the arguments of %s.%s", library,
                               text_of(function->name));
    for (k = 0; k < given_count && !code; k++)
        code = store_argument(library, function, given[k], arguments, err);
    if (!code)
        code = fill_in_defaults(library, function, arguments, err);
    if (code) {
        for (k = 0; k < function->n_parameters; k++)
            alchi_message_free(arguments[k]);
        free(arguments);
        return code;
    }
    *arguments_p = arguments;
    return ALCH_OK;
}
