#include "sdk/registry.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct primitive_entry {
    struct primitive_entry *next;
    dr_primitive *primitive;
    void *arg;
    char *name;
};

struct dr_registry {
    struct dr_registry *next;
    char *name;
    char *endpoint;
    dr_client *client;
    bool owns_client;
    dr_function *functions;
    struct primitive_entry *primitives;
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

static const struct primitive_entry *find_primitive(const dr_registry *registry, struct slice name)
{
    const struct primitive_entry *entry = registry->primitives;
    while (entry && !is_named(entry->name, name))
        entry = entry->next;
    return entry;
}

static bool find_in(const dr_registry *registry, struct slice name, struct registry_entry *ret_entry)
{
    const dr_function *function = find_function(registry->functions, name);
    const struct primitive_entry *primitive = function ? NULL : find_primitive(registry, name);
    if (function)
        *ret_entry = (struct registry_entry){.function = function};
    else if (primitive)
        *ret_entry = (struct registry_entry){.primitive = primitive->primitive, .primitive_arg = primitive->arg};
    return function || primitive;
}

bool registry_find(const dr_registry *registry, struct slice name, struct registry_entry *ret_entry)
{
    pthread_mutex_lock(&lock);
    bool is_found = false;
    for (const dr_registry *each = open_registries; each && !is_found; each = each->next)
        is_found = (!registry || registry == each) && find_in(each, name, ret_entry);
    const dr_function *function = is_found || registry ? NULL : find_function(default_functions, name);
    if (function)
        *ret_entry = (struct registry_entry){.function = function};
    pthread_mutex_unlock(&lock);
    return is_found || function;
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
    while (registry->primitives) {
        struct primitive_entry *entry = registry->primitives;
        registry->primitives = entry->next;
        mem_free(entry->name);
        mem_free(entry);
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

/* Under the lock. */
static dr_code check_new_name(const dr_registry *registry, const char *name, struct dr_error *error)
{
    if (!name || !*name)
        return error_set(error, DR_INVALID_ARGUMENT, "missing function name");
    if (find_function(registry->functions, slice_text(name)) || find_primitive(registry, slice_text(name)))
        return error_set(error, DR_ALREADY_EXISTS, "function already registered with name '%s'", name);
    return DR_OK;
}

dr_code dr_registry_function(dr_registry *registry, dr_function *function, struct dr_error *error)
{
    if (!function->run)
        return error_set(error, DR_INVALID_ARGUMENT, "function '%s' has no code", function->name ? function->name : "");
    pthread_mutex_lock(&lock);
    dr_code code = check_new_name(registry, function->name, error);
    if (!code) {
        function->next = registry->functions;
        registry->functions = function;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

dr_code dr_registry_primitive(dr_registry *registry, const char *name, dr_primitive *primitive, void *arg,
                              struct dr_error *error)
{
    if (!primitive)
        return error_set(error, DR_INVALID_ARGUMENT, "function '%s' has no code", name ? name : "");
    struct primitive_entry *entry = mem_zalloc(sizeof *entry);
    char *name_copy = copy(name ? name : "");
    if (!entry || !name_copy) {
        mem_free(entry);
        mem_free(name_copy);
        return error_set(error, DR_NO_MEMORY, "register '%s': out of memory", name ? name : "");
    }
    *entry = (struct primitive_entry){.primitive = primitive, .arg = arg, .name = name_copy};
    pthread_mutex_lock(&lock);
    dr_code code = check_new_name(registry, name, error);
    if (!code) {
        entry->next = registry->primitives;
        registry->primitives = entry;
    }
    pthread_mutex_unlock(&lock);
    if (code) {
        mem_free(name_copy);
        mem_free(entry);
    }
    return code;
}
