/*
 * Tests of the SDK, compiled natively with the sanitizers of the compiler.
 *
 * Without arguments it checks itself. With the argument `dump` it reads documents from standard input, each behind its length
 * (four bytes, the lowest first), and answers each with what was read, as JSON text behind its length, or with the length
 * 0xFFFFFFFF if it was refused: so another reader's opinion can be compared.
 */
#define PORTCULLIS_DETECTOR
#define PORTCULLIS_RULE
#define PORTCULLIS_ROUTER
#include "../sdk/portcullis.c"

#include <math.h>
#include <stdio.h>

/* Of the address sanitizer, whose header not every compiler brings. */
size_t __sanitizer_get_current_allocated_bytes(void);

static int failures;

#define CHECK(condition)                                                 \
    do {                                                                 \
        if (!(condition)) {                                              \
            failures++;                                                  \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
        }                                                                \
    } while (0)

/* ---- A host ---------------------------------------------------------------------------------------------------------- */

/* What the host lends is of exactly its size and goes with the call, so that reading beyond it is seen. */
static pc_string lent(pc_string text) {
    char *bytes = pc_realloc(NULL, 0, 1, text.len);
    if (text.len != 0) {
        memcpy(bytes, text.ptr, text.len);
    }
    return pc_bytes(bytes, text.len);
}

static pc_string raw;
static char logged[64];

void pc_import_payload_raw(pc_string *out) {
    *out = lent(raw);
}

void pc_import_payload_texts(pc_texts *out) {
    pc_text *text = pc_realloc(NULL, 0, 4, sizeof *text);
    text->pointer = lent(PC(""));
    text->value = lent(raw);
    out->ptr = text;
    out->len = 1;
}

void pc_import_payload_names(pc_strings *out) {
    *out = (pc_strings){NULL, 0};
}

void pc_import_payload_get(const char *ptr, size_t len, pc_optional *out) {
    *out = pc_equal(pc_bytes(ptr, len), PC("/there")) ? pc_some(lent(PC("12"))) : pc_none();
}

void pc_import_log_write(int32_t level, const char *ptr, size_t len) {
    snprintf(logged, sizeof logged, "%d %.*s", (int)level, (int)len, ptr);
}

uint64_t pc_import_clock_now_ms(void) {
    return 1700000000000;
}

void pc_import_state_increment(const char *key, size_t len, uint64_t by, uint32_t window, struct increment_result *out) {
    (void)key;
    *out = (struct increment_result){.failed = len == 0, .is.message = lent(PC("no key"))};
    if (len != 0) {
        out->is.sum = by + window;
    }
}

void pc_import_state_get(const char *key, size_t len, struct get_result *out) {
    (void)key;
    *out = (struct get_result){0, .is.value = len == 1 ? pc_some(lent(PC("kept"))) : pc_none()};
}

void pc_import_state_replace(const char *key, size_t len, int32_t expected, const char *expected_ptr, size_t expected_len,
                             int32_t value, const char *value_ptr, size_t value_len, uint32_t ttl,
                             struct replace_result *out) {
    (void)key, (void)len, (void)expected_ptr, (void)value_ptr, (void)expected_len, (void)value_len, (void)ttl;
    *out = (struct replace_result){0, .is.replaced = expected == 0 && value == 1};
}

void pc_import_labels_add(const char *label, size_t label_len, const char *value, size_t value_len,
                          struct text_result *out) {
    (void)label, (void)value, (void)value_len;
    *out = (struct text_result){label_len == 0, lent(PC("a label needs a name"))};
}

void pc_import_labels_all(pc_pairs *out) {
    *out = (pc_pairs){NULL, 0};
}

void pc_import_judge_ask(const char *name, size_t len, const pc_pair *variables, size_t count, struct judge_result *out) {
    (void)name, (void)len, (void)variables;
    *out = (struct judge_result){1, .is.error = {(uint8_t)count, lent(PC("why"))}};
}

void pc_import_http_send(const char *method, size_t method_len, const char *url, size_t url_len, const pc_pair *headers,
                         size_t header_count, const char *body, size_t body_len, struct http_result *out) {
    (void)method, (void)method_len, (void)url, (void)url_len, (void)headers, (void)header_count, (void)body;
    *out = (struct http_result){1, .is.error = {(uint8_t)body_len, lent(PC("why"))}};
}

void pc_import_secrets_placeholder(const char *name, size_t len, struct text_result *out) {
    *out = (struct text_result){len == 0, lent(pc_bytes(name, len))};
}

void pc_import_files_read(const char *path, size_t len, struct text_result *out) {
    *out = (struct text_result){len == 0, lent(pc_bytes(path, len))};
}

void pc_import_files_entries(const char *path, size_t len, struct entries_result *out) {
    (void)path;
    *out = (struct entries_result){len == 0, .is.message = lent(PC(""))};
}

/* ---- A plugin of each role, which runs what a test gives it ----------------------------------------------------------- */

static void (*in_call)(pc_report *report);
static void (*in_rule)(pc_verdict *verdict);
static pc_string kept;

bool plugin_configure(pc_string config, pc_error *error) {
    if (PC_CONFIG(config, error, "one", "two") == NULL) {
        return false;
    }
    kept = config;
    return true;
}

bool plugin_inspect(const pc_call *call, pc_report *report, pc_error *error) {
    (void)call;
    if (in_call == NULL) {
        return pc_fail(error, PC(""));
    }
    in_call(report);
    return true;
}

bool plugin_decide(const pc_call *call, pc_findings findings, pc_verdict *verdict, pc_error *error) {
    (void)call, (void)findings, (void)error;
    in_rule(verdict);
    return true;
}

bool plugin_route(const pc_call *call, pc_findings findings, pc_reasons reasons, pc_plan *plan, pc_error *error) {
    (void)call, (void)findings, (void)reasons, (void)error;
    pc_plan_role(plan, PC("approver"));
    pc_plan_channel(plan, PC("mail"));
    pc_step *one = pc_plan_step(plan, 10);
    pc_step *two = pc_plan_step(plan, 20);
    for (int i = 0; i < 20; i++) {
        pc_step_operator(one, PC("ana"));
        pc_step_role(two, PC("boss"));
        pc_step_channel(two, PC("chat"));
    }
    plan->summary = PC_TEXT(PC("sum"), PC("mary"));
    return true;
}

static const pc_call nothing;

/* Runs something as a call of a configured detector. */
static void call(void (*run)(pc_report *report)) {
    struct answer *out;
    in_call = run;
    out = pc_export_inspect(&nothing);
    CHECK(!out->failed);
    pc_post_inspect(out);
}

static void configure(pc_string config, pc_string error) {
    struct answer *out = pc_export_configure(config.ptr, config.len);
    CHECK(out->failed == (error.len != 0));
    CHECK(!out->failed || pc_equal(out->is.message, error));
    pc_post_configure(out);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

/* Reads a copy that is of exactly the size of the text. */
static const pc_json *parse(pc_string text) {
    return pc_json_parse(lent(text));
}

static void json_is_read(pc_report *report) {
    (void)report;
    const pc_json *read = parse(PC(" {\"a\": [1, -2.50, 1E+400], \"b\\u00e9\": \"\\ud83d\\udd11\\n\\/\", \"a\": null, \"\": {}} "));
    CHECK(read != NULL && read->kind == PC_OBJECT && read->count == 4);
    if (read == NULL) {
        return;
    }
    const pc_json *list = pc_json_member(read, PC("a"));
    CHECK(list == read->first && list->kind == PC_LIST && list->count == 3);
    CHECK(pc_equal(list->text, PC("[1, -2.50, 1E+400]")));
    double number = 0;
    CHECK(pc_json_double(list->first, &number) && number == 1);
    CHECK(pc_json_double(list->first->next, &number) && number == -2.5);
    CHECK(pc_equal(list->first->next->text, PC("-2.50")));
    CHECK(pc_json_double(list->first->next->next, &number) && isinf(number));
    CHECK(list->first->next->next->next == NULL);
    const pc_json *text = pc_json_member(read, PC("b\xc3\xa9"));
    CHECK(text != NULL && pc_equal(text->string, PC("\xf0\x9f\x94\x91\n/")));
    CHECK(pc_json_member(read, PC("")) != NULL && pc_json_member(read, PC("c")) == NULL);
    CHECK(pc_json_member(NULL, PC("a")) == NULL && pc_json_member(list, PC("a")) == NULL);
    CHECK(!pc_json_double(NULL, &number) && !pc_json_double(text, &number));
    const pc_json *zero = parse(PC("\"a\\u0000b\""));
    CHECK(zero != NULL && pc_equal(zero->string, PC("a\0b")));
}

static void what_is_no_json_is_refused(pc_report *report) {
    (void)report;
    static const char *const bad[] = {
        "", " ", "nul", "truex", "tru", "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "[", "]", "[1",
        "[1,", "[1,]", "[,1]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}",
        "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1}", "{\"a\":1]", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u12\"",
        "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\n\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\\ud800\\ud800\"", "\"\n\"", "\"\x7f\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"", "1 2", "[] []", "\xef\xbb\xbf{}", "'a'", "// c\n1", "[1 2]", "\"a\" \"b\"", "\xc2\xa0" "1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(pc_cstr(bad[i])) != NULL) {
            failures++;
            fprintf(stderr, "was read: %s\n", bad[i]);
        }
    }
    CHECK(parse(PC("\"a\0b\"")) == NULL && parse(PC("1\0")) == NULL);
    CHECK(pc_json_parse(pc_bytes(NULL, 0)) == NULL);
}

static void depth_is_bounded(pc_report *report) {
    (void)report;
    char text[2 * PC_JSON_DEPTH + 4];
    for (size_t depth = PC_JSON_DEPTH - 1; depth <= PC_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        text[depth] = '1';
        memset(text + depth + 1, ']', depth);
        CHECK((parse(pc_bytes(text, 2 * depth + 1)) != NULL) == (depth <= PC_JSON_DEPTH));
    }
    /* Without an end, and far deeper than any stack. */
    size_t deep = 4 * 1024 * 1024;
    char *open = malloc(deep);
    memset(open, '[', deep);
    CHECK(pc_json_parse(pc_bytes(open, deep)) == NULL);
    free(open);
}

static bool whole(const char *text, uint64_t *number) {
    return pc_json_whole(parse(pc_cstr(text)), number);
}

static void whole_numbers(pc_report *report) {
    (void)report;
    uint64_t number = 0;
    CHECK(whole("0", &number) && number == 0);
    CHECK(whole("60.0", &number) && number == 60);
    CHECK(whole("6e1", &number) && number == 60);
    CHECK(whole("18446744073709551615", &number) && number == UINT64_MAX);
    CHECK(!whole("18446744073709551616", &number) && !whole("1.5", &number) && !whole("-1", &number));
    CHECK(!whole("1e300", &number) && !whole("1e400", &number) && !whole("\"1\"", &number) && !whole("null", &number));
    pc_strings list;
    CHECK(pc_json_strings(parse(PC("[]")), &list) && list.len == 0);
    CHECK(pc_json_strings(parse(PC("[\"a\",\"\"]")), &list) && list.len == 2 && list.ptr[1].len == 0);
    CHECK(!pc_json_strings(parse(PC("[\"a\",1]")), &list) && !pc_json_strings(NULL, &list));
}

/* ---- Texts ----------------------------------------------------------------------------------------------------------- */

static void texts(pc_report *report) {
    (void)report;
    pc_string none = pc_bytes(NULL, 0), text = lent(PC("Ab\0aB"));
    CHECK(pc_find(text, PC("B"), 0) == 4 && pc_find(text, PC("B"), 5) == PC_NOWHERE);
    CHECK(pc_find(text, PC("Ab\0aB"), 0) == 0 && pc_find(text, PC("Ab\0aBc"), 0) == PC_NOWHERE);
    CHECK(pc_find(text, none, 0) == PC_NOWHERE && pc_find(none, PC("a"), 0) == PC_NOWHERE);
    CHECK(pc_find(text, PC("A"), 6) == PC_NOWHERE && pc_find(text, PC("A"), SIZE_MAX) == PC_NOWHERE);
    CHECK(pc_find_ignoring_case(text, PC("ab"), 0) == 0 && pc_find_ignoring_case(text, PC("AB"), 1) == 3);
    CHECK(pc_find_ignoring_case(text, PC("ab"), 4) == PC_NOWHERE);
    CHECK(pc_find_ignoring_case(text, none, 0) == PC_NOWHERE && pc_find_ignoring_case(text, PC("b"), SIZE_MAX) == PC_NOWHERE);
    CHECK(pc_find_ignoring_case(PC("\xc3\x84"), PC("\xc3\xa4"), 0) == PC_NOWHERE);
    CHECK(pc_find_ignoring_case(PC("@[`{"), PC("`"), 0) == 2);
    CHECK(pc_equal(pc_slice(text, 1, 3), PC("b\0")) && pc_slice(text, 5, 9).len == 0 && pc_slice(text, 3, 1).len == 0);
    CHECK(pc_equal(pc_slice(text, 0, SIZE_MAX), text) && pc_slice(text, SIZE_MAX, SIZE_MAX).len == 0);
    CHECK(pc_equal(none, PC("")) && pc_starts_with(text, none) && !pc_starts_with(none, text));
    CHECK(pc_equal(pc_decimal(0), PC("0")) && pc_equal(pc_decimal(UINT64_MAX), PC("18446744073709551615")));
    CHECK(pc_equal(PC_TEXT(PC("a"), none, PC("b\0c")), PC("ab\0c")) && pc_copy(none).len == 0);
    CHECK(pc_is_utf8(none) && pc_is_utf8(PC("\xf4\x8f\xbf\xbf\xe0\xa0\x80")) && !pc_is_utf8(PC("\xe0\x9f\xbf")));
    CHECK(!pc_is_utf8(PC("\xf0\x8f\xbf\xbf")) && !pc_is_utf8(PC("\x80")) && !pc_is_utf8(PC("\xc3")));
    pc_text one = {PC(""), text};
    pc_texts all = {&one, 1};
    CHECK(pc_equal(pc_span_text(all, pc_span_at(0, 1, 2)), PC("b")) && pc_span_text(all, pc_span_at(1, 0, 1)).len == 0);
    CHECK(pc_span_text(all, pc_span_at(0, 2, 1)).len == 0 && pc_span_text(all, pc_span_at(0, 0, 6)).len == 0);
}

/* The same, said simply. */
static size_t found(pc_string text, pc_string needle, size_t from) {
    for (; from + needle.len <= text.len; from++) {
        size_t same = 0;
        while (same < needle.len && lower(text.ptr[from + same]) == lower(needle.ptr[same])) {
            same++;
        }
        if (same == needle.len) {
            return from;
        }
    }
    return PC_NOWHERE;
}

static void words_are_found_wherever_they_are(pc_report *report) {
    (void)report;
    static const char *const words[] = {"a", "B", "ab", "aab", "\x01", "@", "\xc3\xa4", "a\x81", "abababab", "aaaaaaaaa"};
    static const char letters[] = {'a', 'A', 'b', 'B', '@', '\x01', '\x81', '\xc3', '\xa4', '`'};
    uint64_t dice = 42;
    for (int i = 0; i < 3000; i++) {
        char text[40];
        size_t len = (size_t)i % sizeof text;
        for (size_t at = 0; at < len; at++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            text[at] = letters[(dice >> 33) % (i % 2 == 0 ? sizeof letters : 4)];
        }
        pc_string given = lent(pc_bytes(text, len));
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            for (size_t from = 0; from <= len; from += 3) {
                CHECK(pc_find_ignoring_case(given, pc_cstr(words[w]), from) == found(given, pc_cstr(words[w]), from));
            }
        }
    }
}

/* ---- Answers --------------------------------------------------------------------------------------------------------- */

static void many_findings(pc_report *report) {
    for (uint32_t i = 0; i < 1000; i++) {
        char message[16];
        int len = snprintf(message, sizeof message, "finding %u", (unsigned)i);
        pc_report_at(report, PC("a.b"), 0.5f, pc_bytes(message, (size_t)len), pc_span_at(0, i, i + 1));
        memset(message, 'x', sizeof message);
    }
    CHECK(report->count == 1000);
}

static void answers(void) {
    in_call = many_findings;
    struct answer *out = pc_export_inspect(&nothing);
    const pc_finding *findings = out->is.findings.ptr;
    CHECK(!out->failed && out->is.findings.len == 1000);
    CHECK(pc_equal(findings[999].message, PC("finding 999")) && findings[999].spans.ptr->start == 999);
    pc_post_inspect(out);

    in_call = NULL;
    out = pc_export_inspect(&nothing);
    CHECK(out->failed && pc_equal(out->is.message, PC("the plugin failed without saying why")));
    pc_post_inspect(out);

    struct route_arguments asked;
    memset(&asked, 0, sizeof asked);
    out = pc_export_route(&asked);
    const struct wire_plan *plan = &out->is.plan;
    const struct wire_step *steps = plan->escalation.ptr;
    CHECK(!out->failed && plan->quorum == 1 && plan->deadline_seconds == 900 && !plan->may_modify);
    CHECK(plan->approvers.len == 1 && plan->channels.len == 1 && plan->escalation.len == 2);
    CHECK(steps[0].after_seconds == 10 && steps[0].approvers.len == 20 && steps[0].channels.len == 0);
    CHECK(steps[1].channels.len == 20 && pc_equal(plan->summary, PC("summary")));
    CHECK(((const struct approver *)steps[0].approvers.ptr)[19].kind == APPROVER_OPERATOR);
    pc_post_route(out);
}

static void undecided(pc_verdict *verdict) {
    pc_replace(verdict, pc_span_at(0, 0, 0), PC("x"));
}

static void denied(pc_verdict *verdict) {
    pc_review(verdict, PC("weaker"), PC(""));
    pc_deny(verdict, PC("one"), PC(""));
    pc_deny(verdict, PC("two"), PC(""));
    pc_redact(verdict, PC("weaker"), PC(""));
    pc_allow(verdict);
}

static void redacted(pc_verdict *verdict) {
    pc_allow(verdict);
    undecided(verdict);
    pc_redact(verdict, PC("one"), PC(""));
}

static void verdicts(void) {
    struct decide_arguments asked;
    memset(&asked, 0, sizeof asked);
    in_rule = undecided;
    struct answer *out = pc_export_decide(&asked);
    CHECK(out->failed && pc_equal(out->is.message, PC("the rule decided nothing")));
    pc_post_decide(out);
    in_rule = denied;
    out = pc_export_decide(&asked);
    CHECK(!out->failed && out->is.verdict.is == 3 && out->is.verdict.reasons.len == 2);
    CHECK(pc_equal(((const pc_reason *)out->is.verdict.reasons.ptr)->code, PC("one")));
    pc_post_decide(out);
    in_rule = redacted;
    out = pc_export_decide(&asked);
    CHECK(!out->failed && out->is.verdict.is == 1 && out->is.verdict.replacements.len == 1);
    pc_post_decide(out);
}

static void host_functions(pc_report *report) {
    (void)report;
    pc_error error = {{NULL, 0}};
    pc_string text;
    uint64_t sum = 0;
    int why = -1;
    raw = PC("{\"t\": 1}");
    CHECK(pc_equal(pc_payload_raw(), raw) && pc_equal(pc_payload_texts().ptr->value, raw));
    CHECK(pc_payload_get(PC("/there"), &text) && pc_equal(text, PC("12")) && !pc_payload_get(PC("/x"), &text));
    pc_log_warn(PC("careful"));
    CHECK(strcmp(logged, "3 careful") == 0 && pc_clock_now_ms() == 1700000000000);
    CHECK(pc_state_increment(PC("k"), 3, 60, &sum, &error) && sum == 63);
    CHECK(!pc_state_increment(PC(""), 3, 60, &sum, &error) && pc_equal(error.message, PC("no key")));
    pc_optional value;
    CHECK(pc_state_get(PC("k"), &value, &error) && value.some && pc_equal(value.value, PC("kept")));
    CHECK(pc_state_get(PC("kk"), &value, &error) && !value.some);
    bool replaced = false;
    CHECK(pc_state_replace(PC("k"), pc_none(), pc_some(PC("v")), 0, &replaced, &error) && replaced);
    CHECK(pc_labels_add(PC("a"), PC("b"), &error) && !pc_labels_add(PC(""), PC("b"), &error));
    pc_pair pairs[3];
    memset(pairs, 0, sizeof pairs);
    CHECK(!pc_judge_ask(PC("t"), (pc_pairs){pairs, 3}, &text, &why, &error) && why == PC_JUDGE_BAD_ANSWER);
    CHECK(pc_equal(error.message, PC("the model's answer does not fit: why")));
    CHECK(!pc_judge_ask(PC("t"), (pc_pairs){pairs, 1}, &text, NULL, &error));
    CHECK(pc_equal(error.message, PC("the budget for the model is spent")));
    pc_request request = {PC("GET"), PC("https://a"), {NULL, 0}, PC("xx")};
    pc_response response;
    CHECK(!pc_http_send(&request, &response, &why, &error) && why == PC_HTTP_TIMED_OUT);
    CHECK(pc_secrets_placeholder(PC("s"), &text, &error) && pc_files_read(PC("a/b"), &text, &error));
    CHECK(pc_equal(text, PC("a/b")) && !pc_files_read(PC(""), &text, &error));
}

static void some_memory(pc_report *report) {
    (void)report;
    raw = PC("x");
    for (int i = 0; i < 100; i++) {
        pc_payload_raw();
        memset(pc_alloc(1000, 3), 1, 3000);
    }
    char *large = pc_alloc(1, 100000);
    large[99999] = 1;
    CHECK(pc_equal(kept, PC("{\"one\":1}")));
}

static void reuse_does_not_leak(void) {
    call(some_memory);
    size_t before = __sanitizer_get_current_allocated_bytes();
    for (int i = 0; i < 200; i++) {
        call(some_memory);
        configure(PC("{\"one\":1}"), PC(""));
    }
    /* Also without the host saying that it read the answer. */
    for (int i = 0; i < 200; i++) {
        lent(PC("argument"));
        in_call = some_memory;
        pc_export_inspect(&nothing);
    }
    lent(PC("argument"));
    call(some_memory);
    CHECK(__sanitizer_get_current_allocated_bytes() == before);
}

static void configurations(void) {
    in_call = many_findings;
    struct answer *out = pc_export_inspect(&nothing);
    CHECK(out->failed && pc_equal(out->is.message, PC("the plugin has no configuration")));
    pc_post_inspect(out);
    configure(PC(""), PC(""));
    configure(PC(" "), PC("the configuration is not a JSON object"));
    configure(PC("[1]"), PC("the configuration is not a JSON object"));
    configure(PC("{\"one\":1,\"three\":1,\"four\":1}"), PC("three: there is no such key"));
    out = pc_export_inspect(&nothing);
    CHECK(out->failed);
    pc_post_inspect(out);
    configure(PC("{\"one\":1}"), PC(""));
}

/* ---- Comparison with another reader ----------------------------------------------------------------------------------- */

static void put(const void *bytes, size_t len, FILE *to) {
    if (len != 0) {
        fwrite(bytes, 1, len, to);
    }
}

static void put_string(pc_string text, FILE *to) {
    fputc('"', to);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            fprintf(to, "\\u%04x", byte);
        } else {
            fputc(byte, to);
        }
    }
    fputc('"', to);
}

static void put_value(const pc_json *value, FILE *to) {
    bool object = value->kind == PC_OBJECT;
    size_t seen = 0;
    switch (value->kind) {
        case PC_STRING:
            put_string(value->string, to);
            return;
        case PC_LIST:
        case PC_OBJECT:
            fputc(object ? '{' : '[', to);
            for (const pc_json *item = value->first; item != NULL; item = item->next, seen++) {
                if (seen != 0) {
                    fputc(',', to);
                }
                if (object) {
                    put_string(item->name, to);
                    fputc(':', to);
                }
                put_value(item, to);
            }
            fputc(object ? '}' : ']', to);
            CHECK(seen == value->count);
            /* What is said to be its text is a text with as much in it. */
            const pc_json *again = parse(value->text);
            CHECK(again != NULL && again->kind == value->kind && again->count == value->count);
            return;
        default:
            put(value->text.ptr, value->text.len, to);
    }
}

static pc_string document;

static void dump_document(pc_report *report) {
    (void)report;
    const pc_json *read = pc_json_parse(document);
    char *dumped = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&dumped, &size);
    if (read != NULL) {
        put_value(read, to);
    }
    fclose(to);
    uint32_t len = read == NULL ? UINT32_MAX : (uint32_t)size;
    unsigned char head[4] = {len & 255, len >> 8 & 255, len >> 16 & 255, len >> 24 & 255};
    put(head, 4, stdout);
    put(dumped, size, stdout);
    free(dumped);
}

static void dump(void) {
    unsigned char head[4];
    while (fread(head, 1, 4, stdin) == 4) {
        size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        /* Of exactly this size, so that reading beyond it is seen. */
        char *bytes = malloc(len);
        if (fread(bytes, 1, len, stdin) != len) {
            exit(2);
        }
        document = pc_bytes(bytes, len);
        call(dump_document);
        free(bytes);
    }
}

int main(int argc, char **argv) {
    configurations();
    if (argc == 2 && strcmp(argv[1], "dump") == 0) {
        dump();
    } else {
        call(json_is_read);
        call(what_is_no_json_is_refused);
        call(depth_is_bounded);
        call(whole_numbers);
        call(texts);
        call(words_are_found_wherever_they_are);
        call(host_functions);
        answers();
        verdicts();
        reuse_does_not_leak();
    }
    arena_release(&lasting);
    arena_release(&passing);
    return failures == 0 ? 0 : 1;
}
