/* The operation greet: returns a scalar of every type. */
#include "testlib.h"

#include <stdio.h>
#include <string.h>

/* Name, type, default. The macros below paste string literals, because the table of operations is static. */
#define SCALARS(X)                           \
    X(b, "bool", "true")                     \
    X(i8, "int8", "-8")                      \
    X(i16, "int16", "-1600")                 \
    X(i32, "int32", "-320000")               \
    X(i64, "int64", "-64000000000")          \
    X(u8, "uint8", "8")                      \
    X(u16, "uint16", "1600")                 \
    X(u32, "uint32", "3200000000")           \
    X(u64, "uint64", "18446744073709551615") \
    X(f32, "float32", "-1.5")                \
    X(f64, "float64", "-2.5e-300")           \
    X(c64, "complex64", "1.5-2.5j")          \
    X(c128, "complex128", "-1e300+2j")       \
    X(text, "string", "\"Gr\xc3\xbc\xc3\x9f Gott\"")

#define PARAMETER(name, type, value) ", " #name ":" type "=" value
#define RESULT(name, type, value) ", " #name ":" type

/* PARAMETER and RESULT begin with a comma, so the first parameter and the first result are written out. */
const char testlib_greet_signature[] = "name:string=\"world\"" SCALARS(PARAMETER) " -> greeting:string" SCALARS(RESULT);

const char testlib_greet_doc[] = "Each parameter is returned as the result of the same name.\n\n"
                                 "name: the name to greet\n"
                                 "greeting: \"Hello, \" and the name\n";

/* arg_int() and ret_int() serve integers of all widths; the other kinds likewise. */
static int
echo_integers(alch_call_t *call)
{
    static const char *const ints[] = {"i8", "i16", "i32", "i64"}, *const uints[] = {"u8", "u16", "u32", "u64"};
    const alch_host_t *host = call->host;
    int code = host->ret_bool(call, "b", host->arg_bool(call, "b"));

    for (int k = 0; k < 4 && !code; k++)
        code = host->ret_int(call, ints[k], host->arg_int(call, ints[k]));
    for (int k = 0; k < 4 && !code; k++)
        code = host->ret_uint(call, uints[k], host->arg_uint(call, uints[k]));
    return code;
}

static int
echo_reals(alch_call_t *call)
{
    static const char *const reals[] = {"f32", "f64"}, *const complexes[] = {"c64", "c128"};
    const alch_host_t *host = call->host;
    int code = ALCH_OK;

    for (int k = 0; k < 2 && !code; k++)
        code = host->ret_real(call, reals[k], host->arg_real(call, reals[k]));
    for (int k = 0; k < 2 && !code; k++) {
        double re, im;

        host->arg_complex(call, complexes[k], &re, &im);
        code = host->ret_complex(call, complexes[k], re, im);
    }
    return code;
}

int
testlib_greet(alch_call_t *call)
{
    const alch_host_t *host = call->host;
    const char *name = host->arg_string(call, "name");
    char greeting[1024];
    int code;

    if (strlen(name) > sizeof(greeting) - sizeof("Hello, !"))
        return host->fail(call, ALCH_ERANGE, "greet: name has %zu bytes, the limit is %zu", strlen(name),
                          sizeof(greeting) - sizeof("Hello, !"));
    snprintf(greeting, sizeof(greeting), "Hello, %s!", name);
    if ((code = host->ret_string(call, "greeting", greeting)) || (code = echo_integers(call)) ||
        (code = echo_reals(call)))
        return code;
    return host->ret_string(call, "text", host->arg_string(call, "text"));
}
