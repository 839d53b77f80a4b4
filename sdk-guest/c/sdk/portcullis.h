/*
 * Portcullis plugins in C (C11) and C++ (C++17).
 *
 * A plugin is two functions: plugin_configure, and the one of its role: plugin_inspect (detector), plugin_decide (rule) or
 * plugin_route (router). Each returns true, or `return pc_fail(error, message)`.
 *
 * Memory. Everything that these functions hand out, and everything from pc_alloc, is released by the SDK: what was made in
 * plugin_configure stays until the plugin is configured anew; what was made in a call goes when the answer was read.
 * Nothing has to be freed. Without memory the call ends with a trap, so no function here returns NULL for that reason.
 *
 * Texts are UTF-8 with a length, not terminated by a NUL byte, and may contain one.
 *
 * A plugin imports only what its code uses. Functions under "granted" need their capability in `asks` of plugin.toml.
 */
#ifndef PORTCULLIS_H
#define PORTCULLIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the plugin contract that this SDK speaks. */
#define PORTCULLIS_ABI "1.0.0"

/* ---- Texts ---------------------------------------------------------------------------------------------------------- */

/* Bytes that belong to somebody else: a text, or raw bytes where a function says so. */
typedef struct pc_string {
    const char *ptr;
    size_t len;
} pc_string;

typedef struct pc_strings {
    const pc_string *ptr;
    size_t len;
} pc_strings;

/* A text that may be missing. */
typedef struct pc_optional {
    bool some;
    pc_string value;
} pc_optional;

/* No place: what pc_find returns when there is nothing. */
#define PC_NOWHERE SIZE_MAX

static inline pc_string pc_bytes(const char *ptr, size_t len) {
    pc_string text;
    text.ptr = ptr;
    text.len = len;
    return text;
}

/* A text of a string literal: PC("hello"). */
#define PC(literal) pc_bytes("" literal, sizeof(literal) - 1)

/* A text that ends with a NUL byte. */
pc_string pc_cstr(const char *text);

bool pc_equal(pc_string a, pc_string b);
bool pc_starts_with(pc_string text, pc_string start);
bool pc_contains(pc_strings list, pc_string text);

/* The bytes from `start` up to `end`; both are cut to what there is. */
pc_string pc_slice(pc_string text, size_t start, size_t end);

/* Where `needle` is found at or after `from`, or PC_NOWHERE. Nothing is found for an empty needle. */
size_t pc_find(pc_string text, pc_string needle, size_t from);

/* The same, with ASCII letters in either case. All other bytes must be equal. */
size_t pc_find_ignoring_case(pc_string text, pc_string needle, size_t from);

/* A number in decimal digits. */
pc_string pc_decimal(uint64_t number);

/* One text of several. PC_TEXT is easier to write. */
pc_string pc_join(const pc_string *parts, size_t count);

/* Whether the bytes are UTF-8. Every text that goes to the host must be. */
bool pc_is_utf8(pc_string bytes);

/* ---- Memory --------------------------------------------------------------------------------------------------------- */

/* Zeroed memory for `count` items of `size` bytes, aligned for anything. */
void *pc_alloc(size_t count, size_t size);

/* A copy of a text, with a NUL byte behind it that is not counted. */
pc_string pc_copy(pc_string text);

/* ---- Errors --------------------------------------------------------------------------------------------------------- */

/* Why a function returns false; shown to people word for word. */
typedef struct pc_error {
    pc_string message;
} pc_error;

/* Sets the message and returns false: `return pc_fail(error, PC("..."))`. */
bool pc_fail(pc_error *error, pc_string message);

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

typedef enum pc_kind { PC_NULL, PC_BOOL, PC_NUMBER, PC_STRING, PC_LIST, PC_OBJECT } pc_kind;

/* Deeper JSON than this is refused. */
#define PC_JSON_DEPTH 256

/*
 * A JSON value. The values of a list and the members of an object are a chain, in the order in which they were written:
 *     for (const pc_json *item = list->first; item != NULL; item = item->next) ...
 */
typedef struct pc_json {
    pc_kind kind;
    bool boolean;                /* of PC_BOOL */
    pc_string name;              /* decoded name, if it is a member of an object */
    pc_string text;              /* the JSON text of the value, as written */
    pc_string string;            /* decoded content of PC_STRING */
    size_t count;                /* how many values or members there are inside */
    const struct pc_json *first; /* the first of them, or NULL */
    const struct pc_json *next;  /* the next one beside it, or NULL */
} pc_json;

/* Reads JSON text (RFC 8259); NULL if it is none, not UTF-8, has lone surrogates, or is too deep. */
const pc_json *pc_json_parse(pc_string text);

/* A member of an object, or NULL. Of several with the same name it is the first. `object` may be NULL. */
const pc_json *pc_json_member(const pc_json *object, pc_string name);

/* The double that is nearest to a number, infinite if it is too large. False if `value` is NULL or no number. */
bool pc_json_double(const pc_json *value, double *number);

/* A whole number from 0 on, also if written as 60.0 or 6e1. False if `value` is NULL, anything else, or too large. */
bool pc_json_whole(const pc_json *value, uint64_t *number);

/* The texts of a list. False if `value` is NULL, no list, or has anything else in it. */
bool pc_json_strings(const pc_json *value, pc_strings *list);

/* ---- Configuration -------------------------------------------------------------------------------------------------- */

/*
 * The configuration as an object whose members all have one of `count` names; NULL with the error set if it is not. No
 * configuration is an empty object.
 * PC_CONFIG(config, error, "one", "two") is easier to write.
 */
const pc_json *pc_config(pc_string config, pc_error *error, const char *const *names, size_t count);

/* ---- The call ------------------------------------------------------------------------------------------------------- */

/* Where in its life a call is being looked at. */
enum {
    PC_PHASE_CALL,    /* before the tool runs; the payload is the arguments */
    PC_PHASE_RESULT,  /* after the tool ran; the payload is its output */
    PC_PHASE_LISTING, /* a tool list on its way to the agent; the payload is the array of definitions */
    PC_PHASE_MESSAGE  /* other text on its way to the model */
};

/* One tool call, without its payload. */
typedef struct pc_call {
    pc_string id;         /* UUID, the same in every phase */
    uint8_t phase;        /* PC_PHASE_... */
    pc_string tenant;     /* owner of the traffic */
    pc_string agent;      /* who makes the call, from its credential */
    pc_optional session;  /* the run of the agent this call belongs to */
    pc_optional persona;  /* what the agent is for */
    pc_optional task;     /* what the user asked for in this session */
    pc_optional upstream; /* name of the upstream that owns the tool */
    pc_string tool;       /* name of the tool */
    pc_string digest;     /* SHA-256 of the canonical payload: 32 raw bytes */
} pc_call;

/* One string of the payload. */
typedef struct pc_text {
    pc_string pointer; /* RFC 6901 pointer of the string */
    pc_string value;   /* its decoded content */
} pc_text;

typedef struct pc_texts {
    const pc_text *ptr;
    size_t len;
} pc_texts;

/* The payload as JSON text, exactly as received. */
pc_string pc_payload_raw(void);

/* Every string in the payload, in document order. A span's `text` is an index into this list. */
pc_texts pc_payload_texts(void);

/* Every distinct member name, decoded, in order of first appearance. */
pc_strings pc_payload_names(void);

/* The JSON text at an RFC 6901 pointer. False if there is none. */
bool pc_payload_get(pc_string pointer, pc_string *json);

/* ---- Findings ------------------------------------------------------------------------------------------------------- */

/* A piece of one text of the payload: bytes from `start` up to `end`, both between two characters. */
typedef struct pc_span {
    uint32_t text;
    uint32_t start;
    uint32_t end;
} pc_span;

typedef struct pc_spans {
    const pc_span *ptr;
    size_t len;
} pc_spans;

/* What a detector saw. */
typedef struct pc_finding {
    pc_string category; /* dotted, for instance `secret.token` */
    float score;        /* 0 to 1 */
    pc_string message;  /* one sentence for the person who decides */
    pc_spans spans;     /* where; empty if it is about the whole payload */
} pc_finding;

/* A finding of an earlier plugin, as a rule or router sees it. */
typedef struct pc_seen {
    pc_string plugin; /* name of the plugin in the pipeline */
    pc_finding finding;
} pc_seen;

typedef struct pc_findings {
    const pc_seen *ptr;
    size_t len;
} pc_findings;

static inline pc_span pc_span_at(size_t text, size_t start, size_t end) {
    pc_span span;
    span.text = (uint32_t)text;
    span.start = (uint32_t)start;
    span.end = (uint32_t)end;
    return span;
}

/* What a span covers; an empty text if it does not fit these texts. */
pc_string pc_span_text(pc_texts texts, pc_span span);

/* What a detector reports. Read `count`; add with pc_report_... */
typedef struct pc_report {
    size_t count; /* findings so far */
    struct pc_items *items;
} pc_report;

/* Adds a finding about one place. */
void pc_report_at(pc_report *report, pc_string category, float score, pc_string message, pc_span span);

/* Adds a finding with any number of places, or none. */
void pc_report_finding(pc_report *report, pc_finding finding);

/* ---- Verdicts ------------------------------------------------------------------------------------------------------- */

/*
 * What a rule decides. The strongest wins: deny, then review, then redact, then allow; the same again adds a reason.
 * All of them return true, so that a rule can say `return pc_deny(...)`. A rule that decides nothing has failed.
 * `code` is stable and machine-readable (lower case, at most 64 bytes), `message` is one sentence for people.
 */
typedef struct pc_verdict {
    struct pc_decision *decision;
} pc_verdict;

bool pc_allow(pc_verdict *verdict);
bool pc_redact(pc_verdict *verdict, pc_string code, pc_string message);
bool pc_review(pc_verdict *verdict, pc_string code, pc_string message);
bool pc_deny(pc_verdict *verdict, pc_string code, pc_string message);

/* Text to put in place of a span, for pc_redact. */
void pc_replace(pc_verdict *verdict, pc_span span, pc_string value);

/* ---- Plans ---------------------------------------------------------------------------------------------------------- */

/* Why a call was parked. */
typedef struct pc_reason {
    pc_string code;
    pc_string message;
} pc_reason;

typedef struct pc_reasons {
    const pc_reason *ptr;
    size_t len;
} pc_reasons;

/* Who decides. Set the fields; add people and channels with the functions. At least one approver is needed. */
typedef struct pc_plan {
    uint32_t quorum;           /* how many must approve; 1 unless set */
    uint32_t deadline_seconds; /* after this long the call is denied; 900 unless set */
    pc_string summary;         /* what the approver reads first */
    bool may_modify;           /* whether arguments may be changed before release; false unless set */
    struct pc_step *first;     /* who is asked at once, then the later steps */
} pc_plan;

/* Somebody who is asked later. */
typedef struct pc_step pc_step;

void pc_plan_role(pc_plan *plan, pc_string role);         /* any operator with this role may decide */
void pc_plan_operator(pc_plan *plan, pc_string name);     /* this operator may decide */
void pc_plan_channel(pc_plan *plan, pc_string channel);   /* they are told through this channel */
pc_step *pc_plan_step(pc_plan *plan, uint32_t after_seconds); /* others are asked after this long without a decision */
void pc_step_role(pc_step *step, pc_string role);
void pc_step_operator(pc_step *step, pc_string name);
void pc_step_channel(pc_step *step, pc_string channel);

/* ---- Log: always granted -------------------------------------------------------------------------------------------- */

/* Each writes one line, at most 4 KiB of it. Never write arguments. */
void pc_log_trace(pc_string line);
void pc_log_debug(pc_string line);
void pc_log_info(pc_string line);
void pc_log_warn(pc_string line);
void pc_log_error(pc_string line);

/* ---- Granted: clock ------------------------------------------------------------------------------------------------- */

/* Milliseconds since the Unix epoch, the same for the whole call. */
uint64_t pc_clock_now_ms(void);

/* ---- Granted: state ------------------------------------------------------------------------------------------------- */

/* Adds to a counter over a sliding window and gives the sum with it. A window of 0 never forgets. */
bool pc_state_increment(pc_string key, uint64_t by, uint32_t window_seconds, uint64_t *sum, pc_error *error);

/* The bytes under a key; `value->some` is false if there are none. */
bool pc_state_get(pc_string key, pc_optional *value, pc_error *error);

/* Replaces a value if it still equals `expected`; `*replaced` says whether it did. A `ttl_seconds` of 0 keeps it. */
bool pc_state_replace(pc_string key, pc_optional expected, pc_optional value, uint32_t ttl_seconds, bool *replaced,
                      pc_error *error);

/* A value that is there, and one that is not, for pc_state_replace. */
static inline pc_optional pc_some(pc_string value) {
    pc_optional one;
    one.some = true;
    one.value = value;
    return one;
}

static inline pc_optional pc_none(void) {
    pc_optional none;
    none.some = false;
    none.value = pc_bytes("", 0);
    return none;
}

/* ---- Granted: labels ------------------------------------------------------------------------------------------------ */

/* A name and a value: a label, a header, a template's variable. */
typedef struct pc_pair {
    pc_string name;
    pc_string value;
} pc_pair;

typedef struct pc_pairs {
    const pc_pair *ptr;
    size_t len;
} pc_pairs;

/* Adds a label to the session; adding it again with another value adds a second one. */
bool pc_labels_add(pc_string label, pc_string value, pc_error *error);

/* All labels of the session, oldest first. */
pc_pairs pc_labels_all(void);

/* ---- Granted: judge ------------------------------------------------------------------------------------------------- */

enum { PC_JUDGE_UNAVAILABLE, PC_JUDGE_BUDGET_SPENT, PC_JUDGE_TIMED_OUT, PC_JUDGE_BAD_ANSWER };

/* Asks the language model with a registered template; the answer is JSON text. False sets `*why` to PC_JUDGE_..., and the
 * error. `why` may be NULL. */
bool pc_judge_ask(pc_string template_name, pc_pairs variables, pc_string *answer, int *why, pc_error *error);

/* ---- Granted: http -------------------------------------------------------------------------------------------------- */

typedef struct pc_request {
    pc_string method; /* for instance `GET` */
    pc_string url;    /* absolute; the host must be granted */
    pc_pairs headers;
    pc_string body; /* raw bytes */
} pc_request;

typedef struct pc_response {
    uint16_t status;
    pc_pairs headers;
    pc_string body; /* raw bytes */
} pc_response;

enum { PC_HTTP_FORBIDDEN, PC_HTTP_UNREACHABLE, PC_HTTP_TIMED_OUT, PC_HTTP_TOO_LARGE };

/* Sends one request; redirects are not followed. False sets `*why` to PC_HTTP_..., and the error. `why` may be NULL. */
bool pc_http_send(const pc_request *request, pc_response *response, int *why, pc_error *error);

/* ---- Granted: secrets ----------------------------------------------------------------------------------------------- */

/* The placeholder of a secret, which the host replaces in outgoing headers. */
bool pc_secrets_placeholder(pc_string name, pc_string *placeholder, pc_error *error);

/* ---- Granted: files ------------------------------------------------------------------------------------------------- */

/* The raw bytes of a file, at most 16 MiB. `path` is `<folder name>/<relative path>`. */
bool pc_files_read(pc_string path, pc_string *bytes, pc_error *error);

/* Names in a folder, sorted; folders end with `/`. */
bool pc_files_entries(pc_string path, pc_strings *names, pc_error *error);

/* ---- What a plugin's author writes ---------------------------------------------------------------------------------- */

/* Every role: runs once per configuration, before any call. `config` is JSON text, and stays. */
bool plugin_configure(pc_string config, pc_error *error);

/* A detector: looks at one call and reports what it saw. */
bool plugin_inspect(const pc_call *call, pc_report *report, pc_error *error);

/* A rule: decides one call, given what the detectors saw. */
bool plugin_decide(const pc_call *call, pc_findings findings, pc_verdict *verdict, pc_error *error);

/* A router: says who decides, given why the call was parked. */
bool plugin_route(const pc_call *call, pc_findings findings, pc_reasons reasons, pc_plan *plan, pc_error *error);

#ifdef __cplusplus
}

template <class... Part>
inline pc_string pc_text_of(Part... parts) {
    const pc_string all[] = {parts...};
    return pc_join(all, sizeof...(parts));
}

template <class... Name>
inline const pc_json *pc_config_of(pc_string config, pc_error *error, Name... names) {
    const char *const all[] = {names...};
    return pc_config(config, error, all, sizeof...(names));
}

#define PC_TEXT(...) pc_text_of(__VA_ARGS__)
#define PC_CONFIG(config, error, ...) pc_config_of(config, error, __VA_ARGS__)
#else

/* One text of several texts: PC_TEXT(PC("the amount "), amount, PC(" is large")). */
#define PC_TEXT(...) \
    pc_join((const pc_string[]){__VA_ARGS__}, sizeof((const pc_string[]){__VA_ARGS__}) / sizeof(pc_string))

/* The configuration as an object with no other members than these: PC_CONFIG(config, error, "words", "score"). */
#define PC_CONFIG(config, error, ...)                       \
    pc_config(config, error, (const char *const[]){__VA_ARGS__}, \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#endif

#endif
