#include "sim.h"
#include <stdlib.h>

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
    struct event t = *a;

    *a = *b;
    *b = t;
}

void net_at(struct sim *s, ms_t delay_ms, struct event event)
{
    size_t i = s->n_events;

    event.at_ms = s->world.now_ms + delay_ms;
    event.order = s->n_ordered++;
    if (s->n_events == s->room_events) {
        struct event *room;

        s->room_events = s->room_events ? s->room_events * 2 : 256;
        room = heap_alloc(s->heap, s->room_events * sizeof(*room));
        if (s->n_events > 0)
            memcpy(room, s->events, s->n_events * sizeof(*room));
        s->events = room;
    }
    s->events[s->n_events++] = event;
    for (; i > 0 && is_before(&s->events[i], &s->events[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->events[i], &s->events[(i - 1) / 2]);
}

bool net_next(struct sim *s, ms_t *ret_at_ms)
{
    if (s->n_events == 0)
        return false;
    *ret_at_ms = s->events[0].at_ms;
    return true;
}

struct event net_take(struct sim *s)
{
    struct event first = s->events[0];
    size_t i = 0;

    s->events[0] = s->events[--s->n_events];
    for (;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;

        if (left < s->n_events && is_before(&s->events[left], &s->events[least]))
            least = left;
        if (right < s->n_events && is_before(&s->events[right], &s->events[least]))
            least = right;
        if (least == i)
            return first;
        swap(&s->events[i], &s->events[least]);
        i = least;
    }
}

/* A datagram is lost, comes once, or comes twice, each copy with a delay of its own. A stream loses nothing
 * and keeps its order. */
static void carry(struct sim *s, struct ua *ua, bool is_stream, struct event event)
{
    ms_t delay = 1 + sim_random(s, s->params.delay_ms);

    s->n_messages++;
    if (is_stream) {
        ms_t at = s->world.now_ms + delay;

        if (at < ua->last_arrival_ms)
            at = ua->last_arrival_ms;
        ua->last_arrival_ms = at;
        net_at(s, at - s->world.now_ms, event);
        return;
    }
    if (sim_chance(s, s->params.loss))
        return;
    net_at(s, delay, event);
    if (sim_chance(s, s->params.duplication))
        net_at(s, 1 + sim_random(s, s->params.delay_ms), event);
}

void net_to_proxy(struct sim *s, struct ua *ua, struct slice bytes, uint64_t flow, bool is_hostile)
{
    carry(s, ua, ua->transport != SIP_TRANSPORT_UDP,
          (struct event){
              .kind = EVENT_TO_PROXY, .ua = ua, .bytes = bytes, .flow = flow, .is_hostile = is_hostile});
}

void net_to_ua(struct sim *s, struct ua *ua, struct slice bytes, uint64_t flow)
{
    carry(s, ua, flow != 0, (struct event){.kind = EVENT_TO_UA, .ua = ua, .bytes = bytes, .flow = flow});
}
