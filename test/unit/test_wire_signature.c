/* Signatures, and arguments against them. */
#include "unit.h"
#include "wire/value.h"
#include "base/util.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static alch_error_t err;
static Alchw__Function *function;

static int
parse(const char *signature)
{
    return alchi_function_parse("svd", signature, "Summary.", "", &function, &err);
}

#define TYPES                                                                                                \
    "a type is expected: bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, " \
    "complex64, complex128, string, matrix or vector"

static const struct {
    const char *signature, *text;
} refused[] = {
    {"A", "column 2 (its end): ':' and a type are expected"},
    {"A:", "column 3 (its end): " TYPES},
    {"A:matrix, k:int=10", "column 13, at 'int=10': " TYPES},
    {"A:Matrix", "column 3, at 'Matrix': " TYPES},
    {"A:matrix,", "column 10 (its end): a name is expected: letters, digits and '_', at most 63"},
    {"A:matrix, ->", "column 11, at '->': a name is expected: letters, digits and '_', at most 63"},
    {"3:matrix", "column 1, at '3:matrix': a name is expected: letters, digits and '_', at most 63"},
    {"\xc3\xa4:matrix", "column 1, at '\xc3\xa4:matrix': a name is expected: letters, digits and '_', at most 63"},
    {"A:matrix B:matrix", "column 10, at 'B:matrix': ',', '->' or the end is expected"},
    {"A:matrix -> U:matrix -> V:matrix", "column 22, at '-> V:matrix': ',', '->' or the end is expected"},
    {"A:matrix, A:int64", "column 11, at 'A:int64': this name is given twice"},
    {"-> U:matrix, U:matrix", "column 14, at 'U:matrix': this name is given twice"},
    {"k:int64[", "column 9 (its end): ']' is expected"},
    {"k:int64=", "column 9 (its end): a default is missing after '='"},
    {"k:int64=, m:int64", "column 9, at ', m:int64': a default is missing after '='"},
    {"k:int64=abc, m:int64", "column 9, at 'abc, m:int64': 'abc' is not of type int64"},
    {"k:int8=300", "column 8, at '300': default: 300 does not fit int8"},
    {"A:matrix=3", "column 10, at '3': '3' is not of type matrix"},
    {"-> s:int64=3", "column 11, at '=3': a result has no default"},
    {"-> s:matrix[]", "column 6, at 'matrix[]': a list of matrices cannot be a result"},
};

START_TEST(refusals_name_the_place)
{
    char text[512];

    snprintf(text, sizeof(text), "function 'svd': signature, %s", refused[_i].text);
    unit_code(parse(refused[_i].signature), ALCH_EPLUGIN);
    ck_assert_str_eq(err.text, text);
}
END_TEST

START_TEST(missing_and_invalid_texts_are_refused)
{
    char many[4000] = "";
    size_t used = 0, k;

    unit_code(alchi_function_parse(NULL, "", "", "", &function, &err), ALCH_EPLUGIN);
    unit_code(alchi_function_parse("", "", "", "", &function, &err), ALCH_EPLUGIN);
    unit_code(alchi_function_parse("a b", "", "", "", &function, &err), ALCH_EPLUGIN);
    unit_code(alchi_function_parse(" a", "", "", "", &function, &err), ALCH_EPLUGIN);
    unit_code(alchi_function_parse("f", NULL, "", "", &function, &err), ALCH_EPLUGIN);
    ck_assert_str_eq(err.text, "function 'f' has no signature");
    unit_code(alchi_function_parse("f", "", "\xff", "", &function, &err), ALCH_EPLUGIN);
    unit_code(alchi_function_parse("f", "", "", "\xff", &function, &err), ALCH_EPLUGIN);
    ck_assert_str_eq(err.text, "the signature or documentation of function 'f' is not valid UTF-8");
    for (k = 0; k < 65; k++)
        used += (size_t)snprintf(many + used, sizeof(many) - used, "%sp%zu:bool", k ? "," : "", k);
    unit_code(parse(many), ALCH_EPLUGIN);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 64"));
}
END_TEST

START_TEST(the_example_of_the_header_is_parsed)
{
    unit_code(parse("A:matrix, k:int64=10, t:string[] -> U:matrix, s:vector"), ALCH_OK);
    ck_assert_str_eq(function->name, "svd");
    ck_assert_str_eq(function->summary, "Summary.");
    ck_assert_str_eq(function->signature, "A:matrix, k:int64=10, t:string[] -> U:matrix, s:vector");
    ck_assert_uint_eq(function->n_parameters, 3);
    ck_assert_str_eq(function->parameters[0]->name, "A");
    ck_assert_uint_eq(function->parameters[0]->type, ALCH_TYPE_MATRIX);
    ck_assert(!function->parameters[0]->optional_ && !function->parameters[0]->list);
    ck_assert_ptr_null(function->parameters[0]->default_value);
    ck_assert_str_eq(function->parameters[0]->doc, "");
    ck_assert(function->parameters[1]->optional_);
    ck_assert_str_eq(function->parameters[1]->default_text, "10");
    ck_assert_int_eq(function->parameters[1]->default_value->i[0], 10);
    ck_assert_uint_eq(function->parameters[2]->type, ALCH_TYPE_STRING);
    ck_assert(function->parameters[2]->list);
    ck_assert_uint_eq(function->n_results, 2);
    ck_assert_str_eq(function->results[1]->name, "s");
    ck_assert_uint_eq(function->results[1]->type, ALCH_TYPE_MATRIX);
    alchi_message_free(function);
}
END_TEST

START_TEST(all_forms_are_parsed)
{
    static const struct {
        const char *signature;
        size_t parameters, results;
    } cases[] = {{"", 0, 0},
                 {" -> ", 0, 0},
                 {"->", 0, 0},
                 {"A:matrix", 1, 0},
                 {"A:matrix ->", 1, 0},
                 {"-> x:float32", 0, 1},
                 {"  a : int8 [ ] = [1, 2] , b:bool=true->c:uint64", 2, 1},
                 {"A:matrix->A:matrix", 1, 1},
                 {"l:matrix[]", 1, 0}};
    size_t k;

    for (k = 0; k < ALCHI_COUNT(cases); k++) {
        unit_code(parse(cases[k].signature), ALCH_OK);
        ck_assert_uint_eq(function->n_parameters, cases[k].parameters);
        ck_assert_uint_eq(function->n_results, cases[k].results);
        alchi_message_free(function);
    }
}
END_TEST

START_TEST(defaults_may_contain_separators)
{
    unit_code(parse("s:string=\"a,->\\\"b]\" , l:string[]=[\"x,\", \"]\"], z:complex128=1-2j, m:int64=-1->r:bool"),
              ALCH_OK);
    ck_assert_uint_eq(function->n_parameters, 4);
    ck_assert_str_eq(function->parameters[0]->default_value->s[0], "a,->\"b]");
    ck_assert_str_eq(function->parameters[0]->default_text, "\"a,->\\\"b]\"");
    ck_assert_uint_eq(function->parameters[1]->default_value->n_s, 2);
    ck_assert_double_eq(function->parameters[2]->default_value->d[1], -2);
    ck_assert_int_eq(function->parameters[3]->default_value->i[0], -1);
    alchi_message_free(function);
}
END_TEST

START_TEST(documentation_reaches_parameters_and_results)
{
    unit_code(alchi_function_parse("f", "A:matrix, k:int64 -> A:matrix, s:vector", NULL,
                                   "A paragraph.\n\nA: both of them  \n  k :rank, from 1\nNote: not a parameter\ns:\n"
                                   "k rank\n:\n s",
                                   &function, &err),
              ALCH_OK);
    ck_assert_str_eq(function->summary, "");
    ck_assert_str_eq(function->parameters[0]->doc, "both of them");
    ck_assert_str_eq(function->results[0]->doc, "both of them");
    ck_assert_str_eq(function->parameters[1]->doc, "rank, from 1");
    ck_assert_str_eq(function->results[1]->doc, "");
    alchi_message_free(function);
}
END_TEST

START_TEST(the_locale_does_not_change_the_decimal_point)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        return;
    unit_code(parse("x:float64=1.5"), ALCH_OK);
    ck_assert_double_eq(function->parameters[0]->default_value->d[0], 1.5);
    alchi_message_free(function);
}
END_TEST

/* ---- arguments ---- */

static Alchw__NamedValue *given[8];
static size_t given_count;
static Alchw__NamedValue **arguments;

static void
give_int(const char *name, int64_t x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, false);

    alchi_value_add_i(value, x);
    given[given_count++] = alchi_named_create(name, value);
}

static void
give_text(const char *name, const char *x)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_STRING, false);

    alchi_value_add_s(value, x);
    given[given_count++] = alchi_named_create(name, value);
}

static int
check(const char *signature)
{
    int code;

    unit_code(parse(signature), ALCH_OK);
    code = alchi_arguments_check("TestLib", function, given, given_count, &arguments, &err);
    while (given_count)
        alchi_message_free(given[--given_count]);
    return code;
}

static void
free_all(void)
{
    size_t k;

    for (k = 0; k < function->n_parameters; k++)
        alchi_message_free(arguments[k]);
    free(arguments);
    alchi_message_free(function);
}

static void
assert_check(const char *signature, int code, const char *text)
{
    unit_code(check(signature), code);
    ck_assert_str_eq(err.text, text);
    alchi_message_free(function);
}

START_TEST(wrong_arguments_are_refused)
{
    give_int("rnak", 3);
    assert_check("A:matrix, rank:int64", ALCH_ENOENT, "TestLib.svd has no parameter 'rnak' (it has A, rank)");
    give_int("x", 3);
    assert_check("", ALCH_ENOENT, "TestLib.svd has no parameter 'x' (it has none)");
    assert_check("rank:int64", ALCH_ETYPE, "TestLib.svd: parameter 'rank' is missing");
    give_int("rank", 3);
    give_int("rank", 3);
    assert_check("rank:int64", ALCH_ETYPE, "TestLib.svd: parameter 'rank' is given twice");
    give_text("rank", "3");
    assert_check("rank:int64", ALCH_ETYPE, "TestLib.svd: parameter 'rank' must be int64, not string");
    give_int("rank", 300);
    assert_check("rank:int8", ALCH_ETYPE, "TestLib.svd: parameter 'rank': 300 does not fit int8");
}
END_TEST

START_TEST(malformed_arguments_are_refused)
{
    Alchw__NamedValue bare = ALCHW__NAMED_VALUE__INIT, *pointer = &bare;

    unit_code(parse("rank:int64=1"), ALCH_OK);
    unit_code(alchi_arguments_check("L", function, &pointer, 1, &arguments, &err), ALCH_ENOENT);
    bare.name = (char *)"rank";
    unit_code(alchi_arguments_check("L", function, &pointer, 1, &arguments, &err), ALCH_ETYPE);
    ck_assert_str_eq(err.text, "L.svd: parameter 'rank' has no value");
    bare.value = alchi_value_create(ALCH_TYPE_INT64, false);
    unit_code(alchi_arguments_check("L", function, &pointer, 1, &arguments, &err), ALCH_EPROTO);
    alchi_message_free(bare.value);
    alchi_message_free(function);
}
END_TEST

START_TEST(arguments_are_ordered_and_defaults_added)
{
    give_int("k", 7);
    give_text("name", "x");
    unit_code(check("tol:float64=0.5, name:string, k:float32"), ALCH_OK);
    ck_assert_str_eq(arguments[0]->name, "tol");
    ck_assert_double_eq(arguments[0]->value->d[0], 0.5);
    ck_assert_str_eq(arguments[1]->value->s[0], "x");
    ck_assert_str_eq(arguments[2]->name, "k");
    ck_assert_uint_eq(arguments[2]->value->type, ALCH_TYPE_FLOAT32);
    ck_assert_double_eq(arguments[2]->value->d[0], 7);
    free_all();
    unit_code(check(""), ALCH_OK);
    ck_assert_ptr_nonnull(arguments);
    free_all();
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("signature");

    tcase_add_loop_test(tcase, refusals_name_the_place, 0, (int)ALCHI_COUNT(refused));
    tcase_add_test(tcase, missing_and_invalid_texts_are_refused);
    tcase_add_test(tcase, the_example_of_the_header_is_parsed);
    tcase_add_test(tcase, all_forms_are_parsed);
    tcase_add_test(tcase, defaults_may_contain_separators);
    tcase_add_test(tcase, documentation_reaches_parameters_and_results);
    tcase_add_test(tcase, the_locale_does_not_change_the_decimal_point);
    tcase_add_test(tcase, wrong_arguments_are_refused);
    tcase_add_test(tcase, malformed_arguments_are_refused);
    tcase_add_test(tcase, arguments_are_ordered_and_defaults_added);
    suite_add_tcase(suite, tcase);
}
