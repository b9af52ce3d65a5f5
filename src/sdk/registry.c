#include "sdk/registry.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

/* A function of a registry; function->next belongs to the default registry. */
struct member {
    struct member *next;
    char *name;
    struct registry_entry entry;
};

struct dr_registry {
    struct dr_registry *next;
    char *name;
    char *endpoint;
    dr_client *client;
    bool owns_client;
    struct member *members;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static dr_function *default_functions; /* of DR_FUNCTION: the default registry */
static dr_registry *open_registries;

static bool is_named(const char *name, struct slice wanted)
{
    return slice_equal(slice_text(name), wanted);
}

static const dr_function *find_function(const dr_function *first, struct slice name)
{
    while (first && !is_named(first->name, name))
        first = first->next;
    return first;
}

static const struct member *find_member(const dr_registry *registry, struct slice name)
{
    const struct member *member = registry->members;
    while (member && !is_named(member->name, name))
        member = member->next;
    return member;
}

bool registry_find(const dr_registry *registry, struct slice name, struct registry_entry *ret_entry)
{
    pthread_mutex_lock(&lock);
    const struct member *member = NULL;
    for (const dr_registry *each = open_registries; each && !member; each = each->next)
        if (!registry || registry == each)
            member = find_member(each, name);
    const dr_function *function = member || registry ? NULL : find_function(default_functions, name);
    if (member)
        *ret_entry = member->entry;
    else if (function)
        *ret_entry = (struct registry_entry){.function = function};
    pthread_mutex_unlock(&lock);
    return member || function;
}

void dr_function_register(dr_function *function)
{
    pthread_mutex_lock(&lock);
    if (!find_function(default_functions, slice_text(function->name))) {
        function->next = default_functions;
        default_functions = function;
    }
    pthread_mutex_unlock(&lock);
}

dr_code registry_check_endpoint(const char *url, struct dr_error *error)
{
    const char *colon = strstr(url, "://");
    if (!colon || colon == url)
        return error_set(error, DR_INVALID_ARGUMENT, "missing protocol scheme in registry endpoint URL: %s", url);
    size_t len = (size_t)(colon - url);
    bool is_known = (len == 4 && strncmp(url, "http", 4) == 0) || (len == 5 && strncmp(url, "https", 5) == 0) ||
                    (len == 6 && strncmp(url, "bridge", 6) == 0);
    if (!is_known)
        return error_set(error, DR_INVALID_ARGUMENT, "invalid protocol scheme in registry endpoint URL: %s", url);
    if (strchr("/?#", colon[3])) /* also the end of the text */
        return error_set(error, DR_INVALID_ARGUMENT, "missing host in registry endpoint URL: %s", url);
    return DR_OK;
}

static const char *or_environment(const char *value, const char *variable)
{
    if (!value || !*value)
        value = getenv(variable);
    return value && *value ? value : NULL;
}

static dr_code check_name(const char *name, struct dr_error *error)
{
    if (!name || !*name)
        return error_set(error, DR_INVALID_ARGUMENT, "missing registry name");
    for (const dr_registry *each = open_registries; each; each = each->next)
        if (strcmp(each->name, name) == 0)
            return error_set(error, DR_ALREADY_EXISTS, "registry with name '%s' already exists", name);
    return DR_OK;
}

static void free_registry(dr_registry *registry)
{
    while (registry->members) {
        struct member *member = registry->members;
        registry->members = member->next;
        mem_free(member->name);
        mem_free(member);
    }
    if (registry->owns_client)
        dr_client_close(registry->client);
    mem_free(registry->name);
    mem_free(registry->endpoint);
    mem_free(registry);
}

static char *copy(const char *text)
{
    return mem_strndup(text, strlen(text));
}

dr_code dr_registry_open(const struct dr_registry_options *options, dr_registry **ret_registry, struct dr_error *error)
{
    const char *endpoint = or_environment(options->endpoint, "DISPATCH_ENDPOINT_URL");
    if (!endpoint)
        return error_set(error, DR_INVALID_ARGUMENT,
                         "missing application endpoint: set it with the DISPATCH_ENDPOINT_URL environment variable");
    dr_registry *registry = mem_zalloc(sizeof *registry);
    if (!registry)
        return error_set(error, DR_NO_MEMORY, "open registry: out of memory");
    dr_code code = DR_OK;
    registry->client = options->client;
    registry->owns_client = !options->client;
    if (!options->client)
        code = dr_client_open(NULL, &registry->client, error);
    if (!code)
        code = registry_check_endpoint(endpoint, error);
    pthread_mutex_lock(&lock);
    if (!code)
        code = check_name(options->name, error);
    if (!code) {
        registry->name = copy(options->name);
        registry->endpoint = copy(endpoint);
        if (!registry->name || !registry->endpoint)
            code = error_set(error, DR_NO_MEMORY, "open registry: out of memory");
    }
    if (!code) {
        registry->next = open_registries;
        open_registries = registry;
        *ret_registry = registry;
    }
    pthread_mutex_unlock(&lock);
    if (code)
        free_registry(registry);
    return code;
}

void dr_registry_close(dr_registry *registry)
{
    if (!registry)
        return;
    pthread_mutex_lock(&lock);
    dr_registry **place = &open_registries;
    while (*place && *place != registry)
        place = &(*place)->next;
    if (*place)
        *place = registry->next;
    pthread_mutex_unlock(&lock);
    free_registry(registry);
}

const char *dr_registry_name(const dr_registry *registry)
{
    return registry->name;
}

const char *dr_registry_endpoint(const dr_registry *registry)
{
    return registry->endpoint;
}

dr_client *dr_registry_client(const dr_registry *registry)
{
    return registry->client;
}

static dr_code add_member(dr_registry *registry, const char *name, struct registry_entry entry, struct dr_error *error)
{
    if (!name || !*name)
        return error_set(error, DR_INVALID_ARGUMENT, "missing function name");
    struct member *member = mem_zalloc(sizeof *member);
    char *name_copy = copy(name);
    dr_code code = DR_OK;
    pthread_mutex_lock(&lock);
    if (!member || !name_copy)
        code = error_set(error, DR_NO_MEMORY, "register '%s': out of memory", name);
    else if (find_member(registry, slice_text(name)))
        code = error_set(error, DR_ALREADY_EXISTS, "function already registered with name '%s'", name);
    if (!code) {
        *member = (struct member){.next = registry->members, .name = name_copy, .entry = entry};
        registry->members = member;
    }
    pthread_mutex_unlock(&lock);
    if (code) {
        mem_free(name_copy);
        mem_free(member);
    }
    return code;
}

dr_code dr_registry_function(dr_registry *registry, dr_function *function, struct dr_error *error)
{
    if (!function->run)
        return error_set(error, DR_INVALID_ARGUMENT, "function '%s' has no code", function->name ? function->name : "");
    return add_member(registry, function->name, (struct registry_entry){.function = function}, error);
}

dr_code dr_registry_primitive(dr_registry *registry, const char *name, dr_primitive *primitive, void *arg,
                              struct dr_error *error)
{
    if (!primitive)
        return error_set(error, DR_INVALID_ARGUMENT, "function '%s' has no code", name ? name : "");
    return add_member(registry, name, (struct registry_entry){.primitive = primitive, .primitive_arg = arg}, error);
}
