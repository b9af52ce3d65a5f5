/* JSON of the server's API as values. */
#include "sdk/client.h"

#include "base/error.h"
#include <jansson.h>

static dr_value *value_of(const json_t *json);

/* NULL when out of memory or past a limit of values, as all that build. */
static dr_value *list_of(const json_t *json)
{
    dr_value *list = NULL;
    dr_builder *builder = dr_list_begin();
    for (size_t i = 0; i < json_array_size(json); i++)
        dr_list_add(builder, value_of(json_array_get(json, i)));
    return dr_builder_end(builder, &list, NULL) == DR_OK ? list : NULL;
}

static dr_value *map_of(const json_t *json)
{
    dr_value *map = NULL;
    const char *key;
    json_t *member;
    dr_builder *builder = dr_map_begin();
    json_object_foreach((json_t *)json, key, member)
        dr_map_add(builder, key, value_of(member));
    return dr_builder_end(builder, &map, NULL) == DR_OK ? map : NULL;
}

static dr_value *value_of(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return map_of(json);
    case JSON_ARRAY:
        return list_of(json);
    case JSON_STRING:
        return dr_value_text_n(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
        return dr_value_int(json_integer_value(json));
    case JSON_REAL:
        return dr_value_float(json_real_value(json));
    case JSON_TRUE:
        return dr_value_bool(true);
    case JSON_FALSE:
        return dr_value_bool(false);
    default:
        return dr_value_null();
    }
}

dr_code client_value_of_json(struct slice text, dr_value **ret_value, struct dr_error *error)
{
    json_error_t detail;
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &detail);
    if (!json)
        return error_set(error, DR_INTERNAL, "the server's answer is not JSON: %s", detail.text);
    dr_value *value = value_of(json);
    json_decref(json);
    if (!value)
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    *ret_value = value;
    return DR_OK;
}
