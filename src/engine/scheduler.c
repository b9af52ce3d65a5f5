/* Turns, limits and pauses; see scheduler.h. Three rings: groups with ready entries and room, trees of a group, entries
 * of a tree. Each pick takes from the head of all three and sends group and tree to the back of theirs. */
#include "engine/scheduler.h"

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

struct scheduler_tree {
    struct list node;    /* in group.trees */
    struct list entries;
    struct id root;
    struct scheduler_group *group;
    size_t n_ready;
};

struct scheduler_group {
    struct list node;    /* in scheduler.turns, or in scheduler.idle, or in none (no ready entry, or at its limit) */
    struct id key;
    struct list trees;
    struct map tree_of;  /* root -> tree */
    double limit;
    uint32_t in_flight;
    uint64_t n_ready;
    uint32_t until_next_decrease; /* finishes that still belong to the round of the last decrease */
    bool is_idle;
    bool was_full;       /* the limit held something back since the last increase */
    bool is_down;        /* not reached, and no answer since */
    int64_t pause_ns;    /* while down: the last pause without its jitter */
    int64_t probe_ns;    /* while down: no start before it */
    struct heap_node timer; /* in scheduler.pauses at probe_ns, while that is what ready entries wait for */
    uint32_t project;
    size_t host_len;
    char host[];
};

struct scheduler {
    struct scheduler_config config;
    struct map groups;   /* key -> group */
    struct list turns;   /* may start something */
    struct list idle;    /* nothing ready, nothing in flight; oldest first */
    struct heap pauses;  /* groups that are down and have ready entries */
    int64_t now_ns;
    size_t n_idle;
    size_t n_ready;
    size_t n_in_flight;
};

struct scheduler *scheduler_create(const struct scheduler_config *config)
{
    struct scheduler *scheduler = mem_must_zalloc(sizeof *scheduler);
    scheduler->config = *config;
    CHECK(config->in_flight_max > 0);
    map_init(&scheduler->groups);
    list_init(&scheduler->turns);
    list_init(&scheduler->idle);
    heap_init(&scheduler->pauses);
    scheduler->now_ns = INT64_MIN;
    return scheduler;
}

static void tree_free(struct scheduler_tree *tree)
{
    list_remove(&tree->node);
    map_remove(&tree->group->tree_of, tree->root);
    mem_free(tree);
}

static void group_free(struct scheduler *scheduler, struct scheduler_group *group)
{
    while (!list_is_empty(&group->trees))
        tree_free(container_of(group->trees.next, struct scheduler_tree, node));
    list_remove(&group->node);
    heap_remove(&scheduler->pauses, &group->timer);
    if (group->is_idle)
        scheduler->n_idle--;
    map_remove(&scheduler->groups, group->key);
    map_deinit(&group->tree_of);
    mem_free(group);
}

void scheduler_destroy(struct scheduler *scheduler)
{
    if (!scheduler)
        return;
    for (;;) {
        size_t cursor = 0;
        struct map_entry *entry = map_next(&scheduler->groups, &cursor);
        if (!entry)
            break;
        group_free(scheduler, entry->value);
    }
    map_deinit(&scheduler->groups);
    heap_deinit(&scheduler->pauses);
    mem_free(scheduler);
}

void scheduler_entry_init(struct scheduler_entry *entry)
{
    list_init(&entry->node);
    entry->tree = NULL;
    entry->group = NULL;
    entry->is_probe = false;
}

static struct scheduler_group *group_find(const struct scheduler *scheduler, uint32_t project, struct slice endpoint)
{
    return map_get(&scheduler->groups, scheduler_group_key(project, scheduler_host(endpoint)));
}

static uint32_t cap(const struct scheduler *scheduler)
{
    uint32_t wish = scheduler->config.group_cap;
    return wish > 0 && wish < scheduler->config.in_flight_max ? wish : scheduler->config.in_flight_max;
}

static uint32_t limit(const struct scheduler *scheduler, const struct scheduler_group *group)
{
    uint32_t most = cap(scheduler);
    return group->limit < (double)most ? (uint32_t)group->limit : most;
}

static struct scheduler_group *group_create(struct scheduler *scheduler, uint32_t project, struct slice host)
{
    struct scheduler_group *group = mem_must_zalloc(sizeof *group + host.len);
    list_init(&group->node);
    list_init(&group->trees);
    map_init(&group->tree_of);
    group->key = scheduler_group_key(project, host);
    group->project = project;
    group->limit = SCHEDULER_LIMIT_START;
    group->host_len = host.len;
    for (size_t i = 0; i < host.len; i++)
        group->host[i] = (char)scheduler_host_lower(host.data[i]);
    CHECK(map_put(&scheduler->groups, group->key, group) == DR_OK);
    return group;
}

static bool is_paused(const struct scheduler *scheduler, const struct scheduler_group *group)
{
    return group->is_down && scheduler->now_ns < group->probe_ns;
}

static void arm(struct scheduler *scheduler, struct scheduler_group *group)
{
    heap_remove(&scheduler->pauses, &group->timer);
    if (group->n_ready == 0 || !is_paused(scheduler, group))
        return;
    group->timer.key = group->probe_ns;
    CHECK(heap_push(&scheduler->pauses, &group->timer) == DR_OK);
}

/* The group stands where its state says: in the turns, among the idle, or nowhere. */
static void group_place(struct scheduler *scheduler, struct scheduler_group *group)
{
    bool has_room = group->in_flight < limit(scheduler, group) && !is_paused(scheduler, group);
    bool may_start = group->n_ready > 0 && has_room;
    bool is_idle = group->n_ready == 0 && group->in_flight == 0;
    if (group->is_down || heap_has(&group->timer))
        arm(scheduler, group);
    if (may_start && !group->is_idle && list_is_linked(&group->node))
        return; /* keeps its place in the turns */
    list_remove(&group->node);
    if (group->is_idle)
        scheduler->n_idle--;
    group->is_idle = is_idle;
    if (may_start)
        list_push_back(&scheduler->turns, &group->node);
    if (!is_idle)
        return;
    list_push_back(&scheduler->idle, &group->node);
    if (++scheduler->n_idle > SCHEDULER_IDLE_GROUPS_MAX)
        group_free(scheduler, container_of(scheduler->idle.next, struct scheduler_group, node));
}

void scheduler_push(struct scheduler *scheduler, struct scheduler_entry *entry, uint32_t project, struct slice endpoint,
                    struct id root)
{
    CHECK(!entry->tree && !list_is_linked(&entry->node));
    struct scheduler_group *group = group_find(scheduler, project, endpoint);
    if (!group)
        group = group_create(scheduler, project, scheduler_host(endpoint));
    struct scheduler_tree *tree = map_get(&group->tree_of, root);
    if (!tree) {
        tree = mem_must_zalloc(sizeof *tree);
        list_init(&tree->entries);
        tree->root = root;
        tree->group = group;
        CHECK(map_put(&group->tree_of, root, tree) == DR_OK);
        list_push_back(&group->trees, &tree->node);
    }
    entry->tree = tree;
    entry->group = group;
    list_push_back(&tree->entries, &entry->node);
    tree->n_ready++;
    group->n_ready++;
    scheduler->n_ready++;
    group_place(scheduler, group);
}

static void unready(struct scheduler *scheduler, struct scheduler_entry *entry)
{
    struct scheduler_tree *tree = entry->tree;
    CHECK(tree->n_ready > 0 && tree->group->n_ready > 0 && scheduler->n_ready > 0);
    list_remove(&entry->node);
    entry->tree = NULL;
    tree->group->n_ready--;
    scheduler->n_ready--;
    if (--tree->n_ready == 0)
        tree_free(tree);
}

void scheduler_remove(struct scheduler *scheduler, struct scheduler_entry *entry)
{
    if (!entry->tree)
        return;
    struct scheduler_group *group = entry->group;
    unready(scheduler, entry);
    entry->group = NULL;
    group_place(scheduler, group);
}

bool scheduler_has_turn(const struct scheduler *scheduler)
{
    return scheduler->n_in_flight < scheduler->config.in_flight_max && !list_is_empty(&scheduler->turns);
}

struct scheduler_entry *scheduler_next(struct scheduler *scheduler)
{
    if (!scheduler_has_turn(scheduler))
        return NULL;
    struct scheduler_group *group = container_of(scheduler->turns.next, struct scheduler_group, node);
    CHECK(group->n_ready > 0 && group->in_flight < limit(scheduler, group));
    struct scheduler_tree *tree = container_of(group->trees.next, struct scheduler_tree, node);
    struct scheduler_entry *entry = container_of(tree->entries.next, struct scheduler_entry, node);
    list_remove(&tree->node);
    list_push_back(&group->trees, &tree->node);
    unready(scheduler, entry);
    entry->is_probe = group->is_down;
    if (group->is_down)
        group->probe_ns = time_add(scheduler->now_ns, group->pause_ns); /* a slow probe does not hold up the next one */
    group->in_flight++;
    scheduler->n_in_flight++;
    group->was_full |= group->in_flight >= limit(scheduler, group);
    list_remove(&group->node); /* to the back of the turns, if it may start more */
    group_place(scheduler, group);
    return entry;
}

static void give_back(struct scheduler *scheduler, struct scheduler_group *group)
{
    CHECK(group->in_flight > 0 && scheduler->n_in_flight > 0);
    group->in_flight--;
    scheduler->n_in_flight--;
}

static int effect_of(dr_status status)
{
    switch (status) {
#define X(name, number, wire, text, retried, effect) \
    case name:                                       \
        return effect;
        DR_STATUS_TABLE(X)
#undef X
    }
    return 1; /* unknown numbers are terminal, like PERMANENT_ERROR */
}

static void decrease(struct scheduler_group *group)
{
    if (group->until_next_decrease > 0)
        return; /* this failure was sent before the last decrease could help */
    group->until_next_decrease = group->in_flight;
    group->limit /= 2;
    if (group->limit < SCHEDULER_LIMIT_MIN)
        group->limit = SCHEDULER_LIMIT_MIN;
}

static void increase(const struct scheduler *scheduler, struct scheduler_group *group)
{
    if (!group->was_full)
        return; /* a limit that nothing pushes against says nothing about the endpoint */
    group->limit += 1.0 / group->limit;
    if (group->limit > (double)cap(scheduler))
        group->limit = (double)cap(scheduler);
    if (group->in_flight + 1 < (uint32_t)group->limit && group->n_ready == 0)
        group->was_full = false;
}

/* Between half and all of the pause: several servers shall not knock at the same moment. */
static void pause(struct scheduler *scheduler, struct scheduler_group *group, int64_t pause_ns)
{
    int64_t half_ns = pause_ns / 2;
    int64_t jitter_ns = half_ns;
    if (scheduler->config.random)
        jitter_ns = (int64_t)random_below(scheduler->config.random, (uint64_t)half_ns + 1);
    group->is_down = true;
    group->pause_ns = pause_ns;
    group->probe_ns = time_add(scheduler->now_ns, half_ns + jitter_ns);
}

static void learn_reach(struct scheduler *scheduler, struct scheduler_group *group, const struct scheduler_outcome *outcome)
{
    if (outcome->reach == SCHEDULER_ANSWERED)
        group->is_down = false;
    else if (outcome->reach == SCHEDULER_UNREACHED && !group->is_down)
        pause(scheduler, group, SCHEDULER_PAUSE_MIN_NS);
    else if (outcome->reach == SCHEDULER_UNREACHED && outcome->is_probe)
        pause(scheduler, group, group->pause_ns < SCHEDULER_PAUSE_MAX_NS / 2 ? group->pause_ns * 2 : SCHEDULER_PAUSE_MAX_NS);
}

void scheduler_finish(struct scheduler *scheduler, struct scheduler_group *group, const struct scheduler_outcome *outcome)
{
    bool is_lone_failure = outcome->is_probe && outcome->reach == SCHEDULER_UNREACHED;
    if (group->until_next_decrease > 0)
        group->until_next_decrease--;
    if (effect_of(outcome->status) >= 0)
        increase(scheduler, group);
    else if (!is_lone_failure) /* alone, it says nothing of how many are too many */
        decrease(group);
    learn_reach(scheduler, group, outcome);
    give_back(scheduler, group);
    group_place(scheduler, group);
}

void scheduler_release(struct scheduler *scheduler, struct scheduler_group *group)
{
    give_back(scheduler, group);
    group_place(scheduler, group);
}

void scheduler_set_time(struct scheduler *scheduler, int64_t now_ns)
{
    struct heap_node *node;
    scheduler->now_ns = now_ns;
    while ((node = heap_peek(&scheduler->pauses)) && node->key <= now_ns)
        group_place(scheduler, container_of(node, struct scheduler_group, timer));
}

int64_t scheduler_deadline(const struct scheduler *scheduler)
{
    const struct heap_node *node = heap_peek(&scheduler->pauses);
    return node ? node->key : TIME_NEVER;
}

size_t scheduler_tree_ready(const struct scheduler *scheduler, uint32_t project, struct slice endpoint, struct id root)
{
    const struct scheduler_group *group = group_find(scheduler, project, endpoint);
    const struct scheduler_tree *tree = group ? map_get(&group->tree_of, root) : NULL;
    return tree ? tree->n_ready : 0;
}

size_t scheduler_ready(const struct scheduler *scheduler)
{
    return scheduler->n_ready;
}

size_t scheduler_in_flight(const struct scheduler *scheduler)
{
    return scheduler->n_in_flight;
}

static void view(const struct scheduler *scheduler, const struct scheduler_group *group,
                 struct scheduler_group_view *ret_view)
{
    ret_view->project = group->project;
    ret_view->host = slice_of(group->host, group->host_len);
    ret_view->limit = limit(scheduler, group);
    ret_view->in_flight = group->in_flight;
    ret_view->ready = group->n_ready;
    ret_view->is_paused = is_paused(scheduler, group);
    ret_view->probe_ns = group->probe_ns;
}

bool scheduler_group_view(const struct scheduler *scheduler, uint32_t project, struct slice endpoint,
                          struct scheduler_group_view *ret_view)
{
    const struct scheduler_group *group = group_find(scheduler, project, endpoint);
    if (group)
        view(scheduler, group, ret_view);
    return group != NULL;
}

bool scheduler_group_at(const struct scheduler *scheduler, size_t index, struct scheduler_group_view *ret_view)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = map_next(&scheduler->groups, &cursor))) {
        if (index-- == 0) {
            view(scheduler, entry->value, ret_view);
            return true;
        }
    }
    return false;
}
