#include "sim/dice.h"

static const char *const NAMES[] = {
#define X(name, text, rate) text,
    SIM_FAULT_TABLE(X)
#undef X
};

static const uint32_t RATES_MAX[] = {
#define X(name, text, rate) rate,
    SIM_FAULT_TABLE(X)
#undef X
};

enum { MILLION = 1000000, RATE_SALT = 0x7a7e };

uint64_t dice_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void dice_init(struct dice *dice, uint64_t seed)
{
    *dice = (struct dice){.seed = seed};
    random_init(&dice->draws, seed);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        uint64_t lot = dice_mix(dice_mix(seed, RATE_SALT), (uint64_t)i);
        bool is_on = lot & 1;
        /* eighths of the most, so that faults come rarely in some runs and in heaps in others */
        dice->rates[i] = is_on ? (uint32_t)(RATES_MAX[i] * ((lot >> 8) % 8 + 1) / 8) : 0;
    }
}

uint64_t dice_below(struct dice *dice, uint64_t bound)
{
    return random_below(&dice->draws, bound);
}

int64_t dice_between(struct dice *dice, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(&dice->draws, (uint64_t)(high - low) + 1);
}

static bool is_masked(const struct dice *dice, enum sim_fault fault, uint64_t number)
{
    if (dice->kinds_off >> fault & 1)
        return true;
    for (size_t i = 0; i < dice->n_masks; i++) {
        if (dice->masks[i].fault == fault && dice->masks[i].number == number)
            return true;
    }
    return false;
}

bool dice_strikes(struct dice *dice, enum sim_fault fault)
{
    if (dice->is_calm || dice->rates[fault] == 0)
        return false;
    uint64_t number = ++dice->asked[fault];
    uint64_t lot = dice_mix(dice_mix(dice->seed, (uint64_t)fault + 1), number);
    if (lot % MILLION >= dice->rates[fault] || is_masked(dice, fault, number))
        return false;
    dice->struck[fault]++;
    if (dice->on_strike)
        dice->on_strike(dice->arg, (struct dice_mask){.fault = fault, .number = number});
    return true;
}

const char *sim_fault_name(enum sim_fault fault)
{
    return NAMES[fault];
}
