#include "base/testing.h"

#include "base/room.h"

static void one_alone_gets_a_half_and_a_newcomer_always_some(void **state)
{
    (void)state;
    struct room room;
    room_init(&room, 1200);
    struct room_hold greedy = room_hold_of(&room, slice_text("greedy"));
    struct room_hold other = room_hold_of(&room, slice_text("other"));
    assert_true(room_cover(&greedy, 600));
    assert_false(room_cover(&greedy, 601));
    assert_int_equal(greedy.n_bytes, 600);
    assert_true(room_cover(&other, 300));
    assert_false(room_cover(&other, 301));
    struct room_hold third = room_hold_of(&room, slice_text("third"));
    assert_true(room_cover(&third, 150));
    room_give(&greedy);
    assert_true(room_cover(&other, 500));
    room_give(&other);
    room_give(&third);
    room_deinit(&room);
}

static void holds_of_one_name_share_its_part(void **state)
{
    (void)state;
    struct room room;
    room_init(&room, 1000);
    struct room_hold first = room_hold_of(&room, slice_text("a"));
    struct room_hold second = room_hold_of(&room, slice_text("a"));
    assert_true(room_cover(&first, 300));
    assert_true(room_cover(&second, 200));
    assert_false(room_cover(&second, 201));
    struct room_hold moved = room_move(&first);
    room_give(&first);
    assert_int_equal(room_used(&room), 500);
    room_give(&moved);
    assert_true(room_cover(&second, 500));
    room_give(&second);
    assert_int_equal(room_used(&room), 0);
    room_deinit(&room);
}

static void a_hold_of_no_room_takes_what_it_wants(void **state)
{
    (void)state;
    struct room_hold hold = {0};
    assert_true(room_cover(&hold, SIZE_MAX));
    room_give(&hold);
    struct room room;
    room_init(&room, 10);
    hold = room_hold_of(&room, slice_text(""));
    assert_false(room_cover(&hold, SIZE_MAX));
    assert_true(room_cover(&hold, 0));
    room_deinit(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone_gets_a_half_and_a_newcomer_always_some),
        cmocka_unit_test(holds_of_one_name_share_its_part),
        cmocka_unit_test(a_hold_of_no_room_takes_what_it_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
