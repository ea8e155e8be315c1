/* Addresses as text: parse, format, classify. */
#include "net/address.h"

#include "base/error.h"
#include "base/util.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int
refuse_text(const char *text, alch_error_t *err)
{
    return alchi_error_set(
        err, ALCH_EINVAL, "address \"%.300s\" is not HOST, HOST:PORT or [IPV6]:PORT with a port from 0 to 65535", text);
}

/* Accept only characters that have no other meaning in a message or a file name. */
static bool
host_valid(const char *host, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_:%*", host[i]))
            return false;
    return true;
}

int
alchi_address_parse(const char *text, int default_port, alchi_address_t *address_p, alch_error_t *err)
{
    alchi_address_t address = {.port = default_port};
    const char *host = text, *colon = strrchr(text, ':'), *port = NULL;
    size_t length = strlen(text);
    int64_t number;

    if (text[0] == '[') {
        const char *end = strchr(text, ']');

        if (!end || (end[1] != '\0' && end[1] != ':') || !memchr(text, ':', (size_t)(end - text)))
            return refuse_text(text, err);
        host = text + 1;
        length = (size_t)(end - host);
        port = end[1] == ':' ? end + 2 : NULL;
    } else if (colon && strchr(text, ':') == colon) {
        length = (size_t)(colon - text);
        port = colon + 1;
    }
    if (text[0] == '\0' || length >= sizeof(address.host) || !host_valid(host, length))
        return refuse_text(text, err);
    if (port && !alchi_parse_int64(port, 0, 65535, &number))
        return refuse_text(text, err);
    if (port)
        address.port = (int)number;
    if (length == 0)
        snprintf(address.host, sizeof(address.host), "localhost");
    else
        memcpy(address.host, host, length);
    *address_p = address;
    return ALCH_OK;
}

char *
alchi_address_format(const alchi_address_t *address, char *text, size_t size)
{
    const char *format = strchr(address->host, ':') ? "[%s]:%d" : "%s:%d";

    snprintf(text, size, format, address->host, address->port);
    return text;
}

bool
alchi_address_is_any(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return v4.s_addr == htonl(INADDR_ANY);
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_UNSPECIFIED(&v6);
    return host[0] == '\0' || strcmp(host, "*") == 0;
}

bool
alchi_address_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (alchi_address_is_any(host))
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return strcasecmp(host, "localhost") == 0;
}
