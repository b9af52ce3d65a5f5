/* Equality, and what encoders share with it. */
#include "sdk/value.h"

int value_compare_text(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool value_double_of_int(int64_t integer, double *ret_number)
{
    double number = (double)integer;
    if (number >= 0x1p63 || (int64_t)number != integer)
        return false;
    *ret_number = number;
    return true;
}

bool value_double_of_uint(uint64_t integer, double *ret_number)
{
    double number = (double)integer;
    if (number >= 0x1p64 || (uint64_t)number != integer)
        return false;
    *ret_number = number;
    return true;
}

static bool value_is_number(dr_kind kind)
{
    return kind == DR_KIND_INT || kind == DR_KIND_UINT || kind == DR_KIND_FLOAT;
}

/* By value: an integer that no double holds equals no float. */
static bool value_numbers_equal(const dr_value *a, const dr_value *b)
{
    if (b->kind == DR_KIND_FLOAT && a->kind != DR_KIND_FLOAT)
        return value_numbers_equal(b, a);
    if (a->kind != DR_KIND_FLOAT) {
        bool is_negative = (a->kind == DR_KIND_INT && a->integer < 0) || (b->kind == DR_KIND_INT && b->integer < 0);
        if (is_negative && a->kind != b->kind)
            return false;
        return a->integer == b->integer; /* both signed, or both bit patterns mean the same */
    }
    double other = 0;
    if (b->kind == DR_KIND_FLOAT)
        return a->number == b->number;
    bool is_exact = b->kind == DR_KIND_INT ? value_double_of_int(b->integer, &other)
                                           : value_double_of_uint(b->unsigned_integer, &other);
    return is_exact && a->number == other;
}

static bool value_lists_equal(const dr_value *a, const dr_value *b)
{
    for (size_t i = 0; i < a->list.len; i++) {
        if (!dr_value_equal(a->list.items[i], b->list.items[i]))
            return false;
    }
    return true;
}

static bool value_maps_equal(const dr_value *a, const dr_value *b)
{
    for (size_t i = 0; i < a->map.len; i++) {
        const struct value_entry *left = &a->map.entries[value_map_sorted(a)[i]];
        const struct value_entry *right = &b->map.entries[value_map_sorted(b)[i]];
        if (!slice_equal(value_slice(left->key), value_slice(right->key)) || !dr_value_equal(left->value, right->value))
            return false;
    }
    return true;
}

bool dr_value_equal(const dr_value *a, const dr_value *b)
{
    dr_kind kind = dr_value_kind(a);
    if (value_is_number(kind) && value_is_number(dr_value_kind(b)))
        return value_numbers_equal(a, b);
    if (kind != dr_value_kind(b) || dr_value_len(a) != dr_value_len(b))
        return false;
    switch (kind) {
    case DR_KIND_BOOL:
        return a->boolean == b->boolean;
    case DR_KIND_TEXT:
    case DR_KIND_BYTES:
        return slice_equal(value_slice(a), value_slice(b));
    case DR_KIND_MESSAGE:
        return strcmp(dr_type_url(a), dr_type_url(b)) == 0 && slice_equal(value_slice(a), value_slice(b));
    case DR_KIND_TIMESTAMP:
    case DR_KIND_DURATION:
        return a->time.seconds == b->time.seconds && a->time.nanos == b->time.nanos;
    case DR_KIND_LIST:
        return value_lists_equal(a, b);
    case DR_KIND_MAP:
        return value_maps_equal(a, b);
    default:
        return true;
    }
}
