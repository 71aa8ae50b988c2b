/* Reads expected.txt. */
#ifndef EXPECTED_H
#define EXPECTED_H

#include "txn/machine.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECTED_MAX 400
#define WORD_MAX     80

enum expected_kind { EXPECTED_ENTER, EXPECTED_STATE, EXPECTED_CELL };

struct expected {
    enum expected_kind kind;
    int line;
    const struct txn_machine *machine;
    char state[WORD_MAX];
    char event[WORD_MAX];   /* of a CELL */
    char next[WORD_MAX];    /* of a CELL: a state, "ignore" or "bug" */
    char effects[WORD_MAX]; /* of an ENTER or CELL; the timers of a STATE */
};

static inline void expected_fail(int line, const char *why)
{
    fprintf(stderr, "%s:%d: %s\n", EXPECTED_FILE, line, why);
    exit(1);
}

static inline const struct txn_machine *expected_machine(const char *name)
{
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++)
        if (strcmp(txn_machine((enum txn_kind)kind)->name, name) == 0)
            return txn_machine((enum txn_kind)kind);
    return NULL;
}

/* Copies the next column, trimmed, and returns what is after its bar; an empty string at the end. */
static inline const char *expected_column(const char *from, char out[WORD_MAX], int line)
{
    size_t len = strcspn(from, "|");
    const char *rest = from[len] ? from + len + 1 : from + len;

    while (len > 0 && from[0] == ' ')
        from++, len--;
    while (len > 0 && from[len - 1] == ' ')
        len--;
    if (len >= WORD_MAX)
        expected_fail(line, "column too long");
    memcpy(out, from, len);
    out[len] = '\0';
    return rest;
}

static inline void expected_line(struct expected *e, const char *text)
{
    if (strncmp(text, "enter ", 6) == 0 || strncmp(text, "state ", 6) == 0) {
        e->kind = text[0] == 'e' ? EXPECTED_ENTER : EXPECTED_STATE;
        text = expected_column(text + 6, e->state, e->line);
        expected_column(text, e->effects, e->line);
        return;
    }
    e->kind = EXPECTED_CELL;
    text = expected_column(text, e->state, e->line);
    text = expected_column(text, e->event, e->line);
    text = expected_column(text, e->next, e->line);
    expected_column(text, e->effects, e->line);
}

static inline size_t expected_load(struct expected out[EXPECTED_MAX])
{
    FILE *file = fopen(EXPECTED_FILE, "r");
    const struct txn_machine *machine = NULL;
    char text[512];
    size_t n = 0;

    if (!file)
        expected_fail(0, "cannot be opened");
    for (int line = 1; fgets(text, sizeof(text), file); line++) {
        text[strcspn(text, "\n")] = '\0';
        if (text[0] == '\0' || text[0] == '#')
            continue;
        if (strncmp(text, "machine ", 8) == 0) {
            machine = expected_machine(text + 8);
            if (!machine)
                expected_fail(line, "no such machine");
            continue;
        }
        if (!machine || n == EXPECTED_MAX)
            expected_fail(line, "before any machine, or too much");
        out[n] = (struct expected){.line = line, .machine = machine};
        expected_line(&out[n++], text);
    }
    fclose(file);
    return n;
}

static inline int expected_state(const struct txn_machine *m, const char *name)
{
    for (int i = 0; i < m->n_states; i++)
        if (strcmp(m->states[i].name, name) == 0)
            return i;
    return -1;
}

static inline int expected_event(const struct txn_machine *m, const char *name)
{
    for (int i = 0; i < m->n_events; i++)
        if (strcmp(m->event_names[i], name) == 0)
            return i;
    return -1;
}

/* "ack tell-response" as bits; a word that is no effect ends the test. */
static inline unsigned expected_effects(const struct expected *e)
{
    char copy[WORD_MAX], *save = NULL;
    unsigned effects = 0;

    memcpy(copy, e->effects, sizeof(copy));
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        unsigned bit = 0;

        while (bit < TXN_EFFECT_COUNT && strcmp(word, txn_effect_name(bit)) != 0)
            bit++;
        if (bit == TXN_EFFECT_COUNT)
            expected_fail(e->line, "no such effect");
        effects |= 1u << bit;
    }
    return effects;
}

#endif
