#include <dispatchrun/status.h>

#include <errno.h>
#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
    bool is_retryable;
} table[] = {
#define X(name, number, wire, text, retried, effect) [number] = {wire, text, retried},
    DR_STATUS_TABLE(X)
#undef X
};

enum { N_STATUSES = sizeof(table) / sizeof(table[0]) };

static size_t row_of(dr_status status)
{
    return (unsigned)status < N_STATUSES ? (size_t)status : DR_STATUS_UNSPECIFIED;
}

const char *dr_status_name(dr_status status) { return table[row_of(status)].name; }

const char *dr_status_text(dr_status status) { return table[row_of(status)].text; }

bool dr_status_is_retryable(dr_status status) { return table[row_of(status)].is_retryable; }

dr_status dr_status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return DR_STATUS_INVALID_ARGUMENT;
    case 401:
        return DR_STATUS_UNAUTHENTICATED;
    case 403:
        return DR_STATUS_PERMISSION_DENIED;
    case 404:
        return DR_STATUS_NOT_FOUND;
    case 408:
        return DR_STATUS_TIMEOUT;
    case 429:
        return DR_STATUS_THROTTLED;
    case 501:
        return DR_STATUS_PERMANENT_ERROR;
    default:
        break;
    }
    switch (http_status / 100) {
    case 2:
        return DR_STATUS_OK;
    case 1:
    case 3:
    case 4:
        return DR_STATUS_PERMANENT_ERROR;
    case 5:
        return DR_STATUS_TEMPORARY_ERROR;
    default:
        return DR_STATUS_UNSPECIFIED;
    }
}

dr_status dr_status_of_errno(int error_number)
{
    switch (error_number) {
    case 0:
        return DR_STATUS_OK;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENETDOWN:
    case ENETUNREACH:
    case ENETRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
        return DR_STATUS_TCP_ERROR;
    case ETIMEDOUT:
        return DR_STATUS_TIMEOUT;
    case EPERM:
        return DR_STATUS_PERMISSION_DENIED;
    case EAGAIN:
    case EINTR:
    case EMFILE:
    case ENFILE:
        return DR_STATUS_TEMPORARY_ERROR;
    default:
        return DR_STATUS_PERMANENT_ERROR;
    }
}
