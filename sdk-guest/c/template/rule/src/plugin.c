#include "portcullis.h"

/* What detectors believe less than this does not count. */
#define BELIEVED 0.5f
/* Longer numbers are not judged. */
#define LONGEST_NUMBER 400

static struct {
    double review_over;
    pc_string amount;
    pc_strings deny, redact;
} settings;

/* A list of categories; none if it is not given. */
static bool categories(const pc_json *given, const char *name, pc_strings *list, pc_error *error) {
    const pc_json *member = pc_json_member(given, pc_cstr(name));
    list->len = 0;
    if (member != NULL && !pc_json_strings(member, list)) {
        return pc_fail(error, PC_TEXT(pc_cstr(name), PC(": give a list of categories")));
    }
    return true;
}

bool plugin_configure(pc_string config, pc_error *error) {
    const pc_json *given = PC_CONFIG(config, error, "review_over", "amount", "deny", "redact");
    if (given == NULL) {
        return false;
    }
    if (!pc_json_double(pc_json_member(given, PC("review_over")), &settings.review_over) || settings.review_over < 0) {
        return pc_fail(error, PC("review_over: give a number of at least 0"));
    }
    const pc_json *amount = pc_json_member(given, PC("amount"));
    settings.amount = amount == NULL ? PC("/amount") : amount->string;
    bool is_text = amount == NULL || amount->kind == PC_STRING;
    if (!is_text || (settings.amount.len != 0 && !pc_starts_with(settings.amount, PC("/")))) {
        return pc_fail(error, PC("amount: use a JSON pointer, for instance /amount"));
    }
    return categories(given, "deny", &settings.deny, error) && categories(given, "redact", &settings.redact, error);
}

/* Holds what has a large amount, or one that is no number. Anything else is left to the caller: `*held` stays false. */
static bool judge_amount(pc_verdict *verdict, bool *held, pc_error *error) {
    pc_string text;
    if (!pc_payload_get(settings.amount, &text)) {
        return true;
    }
    const pc_json *amount = pc_json_parse(text);
    double number;
    if (amount == NULL || amount->kind != PC_NUMBER) {
        return *held = pc_review(verdict, PC("odd_amount"), PC("the amount is not a number"));
    }
    if (text.len > LONGEST_NUMBER) {
        return pc_fail(error, PC_TEXT(PC("amount: a number of "), pc_decimal(text.len), PC(" characters cannot be judged")));
    }
    if (pc_json_double(amount, &number) && number > settings.review_over) {
        return *held = pc_review(verdict, PC("large_amount"), PC_TEXT(PC("the amount "), text, PC(" is large")));
    }
    return true;
}

bool plugin_decide(const pc_call *call, pc_findings findings, pc_verdict *verdict, pc_error *error) {
    for (size_t i = 0; i < findings.len; i++) {
        const pc_seen *seen = &findings.ptr[i];
        if (seen->finding.score >= BELIEVED && pc_contains(settings.deny, seen->finding.category)) {
            return pc_deny(verdict, PC("forbidden"), PC_TEXT(seen->plugin, PC(" saw "), seen->finding.category));
        }
    }
    bool held = false;
    if (!judge_amount(verdict, &held, error) || held) {
        return held;
    }
    size_t places = 0;
    for (size_t i = 0; i < findings.len; i++) {
        const pc_finding *finding = &findings.ptr[i].finding;
        if (finding->score < BELIEVED || !pc_contains(settings.redact, finding->category)) {
            continue;
        }
        for (size_t s = 0; s < finding->spans.len; s++, places++) {
            pc_replace(verdict, finding->spans.ptr[s], PC("[removed]"));
        }
    }
    if (places > 0) {
        return pc_redact(verdict, PC("removed"), PC_TEXT(pc_decimal(places), PC(" places were removed")));
    }
    return pc_allow(verdict);
}
