/*
 * The SDK's own half: memory, texts, JSON, answers, and the exchange with the host by the canonical ABI.
 *
 * The structures below and in portcullis.h that the host reads or writes have, on wasm32, the layout that the canonical ABI
 * gives to the types of the plugin contract. The compiler checks their sizes at the end of this file.
 */
#include "portcullis.h"

#include <stdlib.h>
#include <string.h>

#ifdef __wasm__
#define IMPORT(interface, name) \
    __attribute__((import_module("portcullis:plugin/" interface "@" PORTCULLIS_ABI), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))
#else
/* Natively, for tests: they define the imports themselves. */
#define IMPORT(interface, name) extern
#define EXPORT(name)
#endif

/* ---- Memory --------------------------------------------------------------------------------------------------------- */

/* Memory is taken in chunks of at least this size. */
#define CHUNK 16384
#define ALIGNED 16

struct chunk {
    struct chunk *next;
    size_t size, used;
    unsigned char *bytes;
};

/* Memory that is released as a whole. */
struct arena {
    struct chunk *chunks;
};

/* What plugin_configure makes, and what a call makes. */
static struct arena lasting, passing;
static struct arena *current = &passing;
/* The host may be still reading the last answer: what it lies in goes with the next call. */
static bool answered;
static bool configured;

static void *arena_take(struct arena *arena, size_t size, size_t align) {
    struct chunk *chunk = arena->chunks;
    if (chunk != NULL) {
        size_t skip = (size_t)(-(uintptr_t)(chunk->bytes + chunk->used)) & (align - 1);
        size_t left = chunk->size - chunk->used;
        if (skip <= left && size <= left - skip) {
            void *taken = chunk->bytes + chunk->used + skip;
            chunk->used += skip + size;
            return taken;
        }
    }
    if (size > PTRDIFF_MAX - CHUNK) {
        __builtin_trap();
    }
    size_t wanted = size + ALIGNED < CHUNK ? CHUNK : size + ALIGNED;
    chunk = malloc(sizeof(struct chunk) + wanted);
    if (chunk == NULL) {
        __builtin_trap();
    }
    chunk->bytes = (unsigned char *)(chunk + 1);
    chunk->size = wanted;
    size_t skip = (size_t)(-(uintptr_t)chunk->bytes) & (align - 1);
    chunk->used = skip + size;
    /* A large piece does not end the use of a chunk that has room left. */
    if (wanted > CHUNK && arena->chunks != NULL) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk->bytes + skip;
}

static void arena_release(struct arena *arena) {
    for (struct chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    arena->chunks = NULL;
}

static void after_answer(void) {
    if (answered) {
        arena_release(&passing);
        answered = false;
    }
}

void *pc_alloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        __builtin_trap();
    }
    void *taken = arena_take(current, bytes, ALIGNED);
    memset(taken, 0, bytes);
    return taken;
}

/* Where the host puts what it hands over. */
EXPORT("cabi_realloc") void *pc_realloc(void *old, size_t old_size, size_t align, size_t size) {
    after_answer();
    if (align == 0 || align > ALIGNED) {
        __builtin_trap();
    }
    unsigned char *taken = arena_take(current, size, align);
    if (old != NULL && old_size != 0) {
        memcpy(taken, old, old_size < size ? old_size : size);
    }
    return taken;
}

/* A list that grows. */
struct list {
    void *items;
    size_t len, room;
};

/* A zeroed place for one more item. */
static void *list_add(struct list *list, size_t size) {
    if (list->len == list->room) {
        size_t room = list->room == 0 ? 4 : list->room * 2;
        unsigned char *items = pc_alloc(room, size);
        if (list->len != 0) {
            memcpy(items, list->items, list->len * size);
        }
        list->items = items;
        list->room = room;
    }
    return (unsigned char *)list->items + size * list->len++;
}

/* ---- Texts ---------------------------------------------------------------------------------------------------------- */

pc_string pc_cstr(const char *text) {
    return pc_bytes(text, strlen(text));
}

bool pc_equal(pc_string a, pc_string b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool pc_starts_with(pc_string text, pc_string start) {
    return text.len >= start.len && pc_equal(pc_slice(text, 0, start.len), start);
}

bool pc_contains(pc_strings list, pc_string text) {
    for (size_t i = 0; i < list.len; i++) {
        if (pc_equal(list.ptr[i], text)) {
            return true;
        }
    }
    return false;
}

pc_string pc_slice(pc_string text, size_t start, size_t end) {
    end = end < text.len ? end : text.len;
    start = start < end ? start : end;
    return start == end ? pc_bytes("", 0) : pc_bytes(text.ptr + start, end - start);
}

size_t pc_find(pc_string text, pc_string needle, size_t from) {
    if (needle.len == 0 || from > text.len) {
        return PC_NOWHERE;
    }
    while (text.len - from >= needle.len) {
        const char *start = text.ptr + from;
        const char *at = memchr(start, (unsigned char)needle.ptr[0], text.len - from - needle.len + 1);
        if (at == NULL) {
            break;
        }
        from += (size_t)(at - start);
        if (memcmp(at, needle.ptr, needle.len) == 0) {
            return from;
        }
        from++;
    }
    return PC_NOWHERE;
}

static unsigned char lower(char one) {
    unsigned char byte = (unsigned char)one;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + ('a' - 'A')) : byte;
}

#define EVERY(byte) ((byte) * UINT64_C(0x0101010101010101))

/* A byte that is looked for, eight times; a letter in either case. */
struct place {
    uint64_t fold, wanted;
};

static struct place place_of(char one) {
    unsigned char byte = lower(one);
    return (struct place){byte >= 'a' && byte <= 'z' ? EVERY(0x20) : 0, EVERY(byte)};
}

/* Zero where one of eight bytes is the one that is looked for. */
static uint64_t differences(struct place place, const char *at) {
    uint64_t eight;
    memcpy(&eight, at, 8);
    return (eight | place.fold) ^ place.wanted;
}

size_t pc_find_ignoring_case(pc_string text, pc_string needle, size_t from) {
    if (needle.len == 0 || from > text.len || text.len - from < needle.len) {
        return PC_NOWHERE;
    }
    struct place first = place_of(needle.ptr[0]), final = place_of(needle.ptr[needle.len - 1]);
    size_t last = text.len - needle.len;
    while (from <= last) {
        /* Eight places at once, while the needle's first and last byte are at none of them: so a call's fuel is enough to
         * search a megabyte. */
        while (last - from >= 8) {
            uint64_t differs = differences(first, text.ptr + from) | differences(final, text.ptr + from + needle.len - 1);
            if (((differs - EVERY(1)) & ~differs & EVERY(0x80)) != 0) {
                break;
            }
            from += 8;
        }
        for (size_t end = last - from < 8 ? last + 1 : from + 8; from < end; from++) {
            size_t same = 0;
            while (same < needle.len && lower(text.ptr[from + same]) == lower(needle.ptr[same])) {
                same++;
            }
            if (same == needle.len) {
                return from;
            }
        }
    }
    return PC_NOWHERE;
}

pc_string pc_decimal(uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return pc_copy(pc_bytes(digits + at, sizeof digits - at));
}

pc_string pc_join(const pc_string *parts, size_t count) {
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(len, parts[i].len, &len)) {
            __builtin_trap();
        }
    }
    char *bytes = pc_alloc(len, 1);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len != 0) {
            memcpy(bytes + at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    return pc_bytes(bytes, len);
}

pc_string pc_copy(pc_string text) {
    if (text.len == SIZE_MAX) {
        __builtin_trap();
    }
    char *bytes = arena_take(current, text.len + 1, 1);
    if (text.len != 0) {
        memcpy(bytes, text.ptr, text.len);
    }
    bytes[text.len] = 0;
    return pc_bytes(bytes, text.len);
}

/* How many bytes the character at `at` has; 0 if it is none. */
static size_t character(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xC2 || first > 0xF4) {
        return 0;
    }
    size_t len = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < len) {
        return 0;
    }
    /* The second byte rules out overlong forms, surrogates, and what is beyond U+10FFFF. */
    unsigned char from = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char to = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < from || at[1] > to) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool pc_is_utf8(pc_string bytes) {
    for (size_t at = 0, len; at < bytes.len; at += len) {
        len = character((const unsigned char *)bytes.ptr + at, bytes.len - at);
        if (len == 0) {
            return false;
        }
    }
    return true;
}

pc_string pc_span_text(pc_texts texts, pc_span span) {
    if (span.text >= texts.len || span.start > span.end || span.end > texts.ptr[span.text].value.len) {
        return pc_bytes("", 0);
    }
    return pc_slice(texts.ptr[span.text].value, span.start, span.end);
}

/* ---- Errors --------------------------------------------------------------------------------------------------------- */

bool pc_fail(pc_error *error, pc_string message) {
    error->message = pc_copy(message);
    return false;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

/* What is left to read. */
struct reader {
    const char *at, *end;
};

static void skip_space(struct reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) {
        in->at++;
    }
}

/* Takes this byte if it is the next one. */
static bool take(struct reader *in, char byte) {
    if (in->at < in->end && *in->at == byte) {
        in->at++;
        return true;
    }
    return false;
}

static bool take_word(struct reader *in, pc_string word) {
    if (!pc_starts_with(pc_bytes(in->at, (size_t)(in->end - in->at)), word)) {
        return false;
    }
    in->at += word.len;
    return true;
}

static bool take_digits(struct reader *in) {
    const char *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        in->at++;
    }
    return in->at > start;
}

static bool take_number(struct reader *in) {
    take(in, '-');
    if (!take(in, '0') && !take_digits(in)) {
        return false;
    }
    if (take(in, '.') && !take_digits(in)) {
        return false;
    }
    if (take(in, 'e') || take(in, 'E')) {
        if (!take(in, '+')) {
            take(in, '-');
        }
        return take_digits(in);
    }
    return true;
}

/* The four hexadecimal digits behind `\u`, or -1. */
static int32_t take_unit(struct reader *in) {
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        if (in->at == in->end) {
            return -1;
        }
        char one = *in->at++;
        if (one >= '0' && one <= '9') {
            unit = unit * 16 + (one - '0');
        } else if (lower(one) >= 'a' && lower(one) <= 'f') {
            unit = unit * 16 + (lower(one) - 'a' + 10);
        } else {
            return -1;
        }
    }
    return unit;
}

/* The character behind `\u`, put at `to` in at most four bytes; how many, or 0. */
static size_t take_escaped(struct reader *in, char *to) {
    int32_t one = take_unit(in);
    if (one >= 0xD800 && one <= 0xDBFF) {
        int32_t two = take(in, '\\') && take(in, 'u') ? take_unit(in) : -1;
        if (two < 0xDC00 || two > 0xDFFF) {
            return 0;
        }
        one = 0x10000 + ((one - 0xD800) << 10) + (two - 0xDC00);
    } else if (one < 0 || (one >= 0xDC00 && one <= 0xDFFF)) {
        return 0;
    }
    if (one < 0x80) {
        to[0] = (char)one;
        return 1;
    }
    if (one < 0x800) {
        to[0] = (char)(0xC0 | one >> 6);
        to[1] = (char)(0x80 | (one & 0x3F));
        return 2;
    }
    if (one < 0x10000) {
        to[0] = (char)(0xE0 | one >> 12);
        to[1] = (char)(0x80 | (one >> 6 & 0x3F));
        to[2] = (char)(0x80 | (one & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | one >> 18);
    to[1] = (char)(0x80 | (one >> 12 & 0x3F));
    to[2] = (char)(0x80 | (one >> 6 & 0x3F));
    to[3] = (char)(0x80 | (one & 0x3F));
    return 4;
}

/* A string with its quotes. Without escapes, what it says is a part of the text itself. */
static bool take_string(struct reader *in, pc_string *string) {
    if (!take(in, '"')) {
        return false;
    }
    const char *start = in->at;
    bool escapes = false;
    while (in->at < in->end && *in->at != '"') {
        if ((unsigned char)*in->at < 0x20) {
            return false;
        }
        if (*in->at == '\\') {
            escapes = true;
            in->at++;
            if (in->at == in->end) {
                return false;
            }
        }
        in->at++;
    }
    const char *end = in->at;
    if (!take(in, '"')) {
        return false;
    }
    *string = pc_bytes(start, (size_t)(end - start));
    if (!escapes) {
        return true;
    }
    /* What is decoded is never longer than what was written. */
    char *bytes = pc_alloc(string->len, 1);
    size_t len = 0;
    struct reader inner = {start, end};
    while (inner.at < inner.end) {
        char one = *inner.at++;
        if (one != '\\') {
            bytes[len++] = one;
            continue;
        }
        static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        char name = *inner.at++;
        const char *known = name == 0 ? NULL : strchr(names, name);
        if (known != NULL) {
            bytes[len++] = meant[known - names];
        } else if (name == 'u') {
            size_t more = take_escaped(&inner, bytes + len);
            if (more == 0) {
                return false;
            }
            len += more;
        } else {
            return false;
        }
    }
    *string = pc_bytes(bytes, len);
    return true;
}

/* The beginning of a value: all of it, unless something is inside. */
static bool take_value(struct reader *in, pc_json *value) {
    char first = in->at < in->end ? *in->at : 0;
    switch (first) {
        case '{':
            value->kind = PC_OBJECT;
            return take(in, '{');
        case '[':
            value->kind = PC_LIST;
            return take(in, '[');
        case '"':
            value->kind = PC_STRING;
            return take_string(in, &value->string);
        case 't':
        case 'f':
            value->kind = PC_BOOL;
            value->boolean = first == 't';
            return value->boolean ? take_word(in, PC("true")) : take_word(in, PC("false"));
        case 'n':
            value->kind = PC_NULL;
            return take_word(in, PC("null"));
        default:
            value->kind = PC_NUMBER;
            return take_number(in);
    }
}

/* An object or list whose end was not read yet. */
struct open {
    pc_json *value, *last;
};

const pc_json *pc_json_parse(pc_string text) {
    if (text.len == 0 || !pc_is_utf8(text)) {
        return NULL;
    }
    struct reader in = {text.ptr, text.ptr + text.len};
    struct open open[PC_JSON_DEPTH];
    size_t depth = 0;
    pc_json *root = NULL;
    for (;;) {
        /* A value, with its name before it in an object. */
        pc_json *value = pc_alloc(1, sizeof *value);
        skip_space(&in);
        if (depth == 0) {
            root = value;
        } else {
            struct open *in_here = &open[depth - 1];
            if (in_here->value->kind == PC_OBJECT) {
                if (!take_string(&in, &value->name)) {
                    return NULL;
                }
                skip_space(&in);
                if (!take(&in, ':')) {
                    return NULL;
                }
                skip_space(&in);
            }
            if (in_here->last == NULL) {
                in_here->value->first = value;
            } else {
                in_here->last->next = value;
            }
            in_here->last = value;
            in_here->value->count++;
        }
        const char *start = in.at;
        if (!take_value(&in, value)) {
            return NULL;
        }
        value->text = pc_bytes(start, (size_t)(in.at - start));
        bool ended = true;
        if (value->kind == PC_OBJECT || value->kind == PC_LIST) {
            skip_space(&in);
            if (take(&in, value->kind == PC_OBJECT ? '}' : ']')) {
                value->text.len = (size_t)(in.at - start);
            } else if (depth == PC_JSON_DEPTH) {
                return NULL;
            } else {
                open[depth].value = value;
                open[depth].last = NULL;
                depth++;
                ended = false;
            }
        }
        /* Whatever ends here, too. */
        while (ended) {
            skip_space(&in);
            if (depth == 0) {
                return in.at == in.end ? root : NULL;
            }
            if (take(&in, ',')) {
                break;
            }
            pc_json *above = open[depth - 1].value;
            if (!take(&in, above->kind == PC_OBJECT ? '}' : ']')) {
                return NULL;
            }
            above->text.len = (size_t)(in.at - above->text.ptr);
            depth--;
        }
    }
}

const pc_json *pc_json_member(const pc_json *object, pc_string name) {
    if (object == NULL || object->kind != PC_OBJECT) {
        return NULL;
    }
    const pc_json *member = object->first;
    while (member != NULL && !pc_equal(member->name, name)) {
        member = member->next;
    }
    return member;
}

bool pc_json_double(const pc_json *value, double *number) {
    if (value == NULL || value->kind != PC_NUMBER) {
        return false;
    }
    *number = strtod(pc_copy(value->text).ptr, NULL);
    return true;
}

bool pc_json_whole(const pc_json *value, uint64_t *number) {
    double approximate;
    if (!pc_json_double(value, &approximate)) {
        return false;
    }
    uint64_t exact = 0;
    size_t digits = 0;
    for (; digits < value->text.len; digits++) {
        char one = value->text.ptr[digits];
        if (one < '0' || one > '9' || __builtin_mul_overflow(exact, (uint64_t)10, &exact) ||
            __builtin_add_overflow(exact, (uint64_t)(one - '0'), &exact)) {
            break;
        }
    }
    if (digits == value->text.len) {
        *number = exact;
        return true;
    }
    /* 2^53: beyond it a double does not tell neighbours apart. */
    if (!(approximate >= 0 && approximate <= 9007199254740992.0) || (double)(uint64_t)approximate != approximate) {
        return false;
    }
    *number = (uint64_t)approximate;
    return true;
}

bool pc_json_strings(const pc_json *value, pc_strings *list) {
    if (value == NULL || value->kind != PC_LIST) {
        return false;
    }
    pc_string *texts = pc_alloc(value->count, sizeof *texts);
    size_t len = 0;
    for (const pc_json *item = value->first; item != NULL; item = item->next) {
        if (item->kind != PC_STRING) {
            return false;
        }
        texts[len++] = item->string;
    }
    list->ptr = texts;
    list->len = len;
    return true;
}

const pc_json *pc_config(pc_string config, pc_error *error, const char *const *names, size_t count) {
    const pc_json *object = pc_json_parse(config.len == 0 ? PC("{}") : config);
    if (object == NULL || object->kind != PC_OBJECT) {
        pc_fail(error, PC("the configuration is not a JSON object"));
        return NULL;
    }
    for (const pc_json *member = object->first; member != NULL; member = member->next) {
        size_t i = 0;
        while (i < count && !pc_equal(member->name, pc_cstr(names[i]))) {
            i++;
        }
        if (i == count) {
            pc_fail(error, PC_TEXT(member->name, PC(": there is no such key")));
            return NULL;
        }
    }
    return object;
}

/* ---- What the host offers ------------------------------------------------------------------------------------------- */

/* result<_, string> and the results whose value is one text or list. */
struct text_result {
    uint8_t failed;
    pc_string text;
};

static bool result_of(const struct text_result *result, pc_string *value, pc_error *error) {
    if (result->failed) {
        return pc_fail(error, result->text);
    }
    *value = result->text;
    return true;
}

IMPORT("payload", "raw") void pc_import_payload_raw(pc_string *out);
IMPORT("payload", "texts") void pc_import_payload_texts(pc_texts *out);
IMPORT("payload", "names") void pc_import_payload_names(pc_strings *out);
IMPORT("payload", "get") void pc_import_payload_get(const char *ptr, size_t len, pc_optional *out);

pc_string pc_payload_raw(void) {
    pc_string out;
    pc_import_payload_raw(&out);
    return out;
}

pc_texts pc_payload_texts(void) {
    pc_texts out;
    pc_import_payload_texts(&out);
    return out;
}

pc_strings pc_payload_names(void) {
    pc_strings out;
    pc_import_payload_names(&out);
    return out;
}

bool pc_payload_get(pc_string pointer, pc_string *json) {
    pc_optional out;
    pc_import_payload_get(pointer.ptr, pointer.len, &out);
    if (out.some) {
        *json = out.value;
    }
    return out.some;
}

IMPORT("log", "write") void pc_import_log_write(int32_t level, const char *ptr, size_t len);

void pc_log_trace(pc_string line) {
    pc_import_log_write(0, line.ptr, line.len);
}

void pc_log_debug(pc_string line) {
    pc_import_log_write(1, line.ptr, line.len);
}

void pc_log_info(pc_string line) {
    pc_import_log_write(2, line.ptr, line.len);
}

void pc_log_warn(pc_string line) {
    pc_import_log_write(3, line.ptr, line.len);
}

void pc_log_error(pc_string line) {
    pc_import_log_write(4, line.ptr, line.len);
}

IMPORT("clock", "now-ms") uint64_t pc_import_clock_now_ms(void);

uint64_t pc_clock_now_ms(void) {
    return pc_import_clock_now_ms();
}

struct increment_result {
    uint8_t failed;
    union {
        uint64_t sum;
        pc_string message;
    } is;
};

struct get_result {
    uint8_t failed;
    union {
        pc_optional value;
        pc_string message;
    } is;
};

struct replace_result {
    uint8_t failed;
    union {
        bool replaced;
        pc_string message;
    } is;
};

IMPORT("state", "increment")
void pc_import_state_increment(const char *key, size_t len, uint64_t by, uint32_t window, struct increment_result *out);
IMPORT("state", "get") void pc_import_state_get(const char *key, size_t len, struct get_result *out);
IMPORT("state", "replace")
void pc_import_state_replace(const char *key, size_t len, int32_t expected, const char *expected_ptr, size_t expected_len,
                             int32_t value, const char *value_ptr, size_t value_len, uint32_t ttl,
                             struct replace_result *out);

bool pc_state_increment(pc_string key, uint64_t by, uint32_t window_seconds, uint64_t *sum, pc_error *error) {
    struct increment_result out;
    pc_import_state_increment(key.ptr, key.len, by, window_seconds, &out);
    if (out.failed) {
        return pc_fail(error, out.is.message);
    }
    *sum = out.is.sum;
    return true;
}

bool pc_state_get(pc_string key, pc_optional *value, pc_error *error) {
    struct get_result out;
    pc_import_state_get(key.ptr, key.len, &out);
    if (out.failed) {
        return pc_fail(error, out.is.message);
    }
    *value = out.is.value.some ? out.is.value : pc_none();
    return true;
}

bool pc_state_replace(pc_string key, pc_optional expected, pc_optional value, uint32_t ttl_seconds, bool *replaced,
                      pc_error *error) {
    struct replace_result out;
    pc_import_state_replace(key.ptr, key.len, expected.some, expected.value.ptr, expected.value.len, value.some,
                            value.value.ptr, value.value.len, ttl_seconds, &out);
    if (out.failed) {
        return pc_fail(error, out.is.message);
    }
    *replaced = out.is.replaced;
    return true;
}

IMPORT("labels", "add")
void pc_import_labels_add(const char *label, size_t label_len, const char *value, size_t value_len,
                          struct text_result *out);
IMPORT("labels", "all") void pc_import_labels_all(pc_pairs *out);

bool pc_labels_add(pc_string label, pc_string value, pc_error *error) {
    struct text_result out;
    pc_string nothing;
    pc_import_labels_add(label.ptr, label.len, value.ptr, value.len, &out);
    if (!out.failed) {
        return true;
    }
    return result_of(&out, &nothing, error);
}

pc_pairs pc_labels_all(void) {
    pc_pairs out;
    pc_import_labels_all(&out);
    return out;
}

/* A variant whose cases hold a text or nothing. */
struct named_error {
    uint8_t which;
    pc_string detail;
};

/* Says which one it is, with what the host says about it for the first and, if it has one, the last. */
static bool named_fail(const struct named_error *failed, const char *const *names, bool detailed, int *why,
                       pc_error *error) {
    if (why != NULL) {
        *why = failed->which;
    }
    pc_string name = pc_cstr(names[failed->which]);
    return pc_fail(error, detailed ? PC_TEXT(name, PC(": "), failed->detail) : name);
}

struct judge_result {
    uint8_t failed;
    union {
        pc_string answer;
        struct named_error error;
    } is;
};

IMPORT("judge", "ask")
void pc_import_judge_ask(const char *template_name, size_t template_len, const pc_pair *variables, size_t count,
                         struct judge_result *out);

bool pc_judge_ask(pc_string template_name, pc_pairs variables, pc_string *answer, int *why, pc_error *error) {
    static const char *const names[] = {"the model could not be reached", "the budget for the model is spent",
                                        "the model gave no answer in time", "the model's answer does not fit"};
    struct judge_result out;
    pc_import_judge_ask(template_name.ptr, template_name.len, variables.ptr, variables.len, &out);
    if (out.failed) {
        uint8_t which = out.is.error.which;
        return named_fail(&out.is.error, names, which == PC_JUDGE_UNAVAILABLE || which == PC_JUDGE_BAD_ANSWER, why,
                          error);
    }
    *answer = out.is.answer;
    return true;
}

struct http_result {
    uint8_t failed;
    union {
        pc_response response;
        struct named_error error;
    } is;
};

IMPORT("http", "send")
void pc_import_http_send(const char *method, size_t method_len, const char *url, size_t url_len, const pc_pair *headers,
                         size_t header_count, const char *body, size_t body_len, struct http_result *out);

bool pc_http_send(const pc_request *request, pc_response *response, int *why, pc_error *error) {
    static const char *const names[] = {"this request is not granted", "no connection", "no answer in time",
                                        "the answer is too large"};
    struct http_result out;
    pc_import_http_send(request->method.ptr, request->method.len, request->url.ptr, request->url.len,
                        request->headers.ptr, request->headers.len, request->body.ptr, request->body.len, &out);
    if (out.failed) {
        return named_fail(&out.is.error, names, out.is.error.which <= PC_HTTP_UNREACHABLE, why, error);
    }
    *response = out.is.response;
    return true;
}

IMPORT("secrets", "placeholder")
void pc_import_secrets_placeholder(const char *name, size_t len, struct text_result *out);

bool pc_secrets_placeholder(pc_string name, pc_string *placeholder, pc_error *error) {
    struct text_result out;
    pc_import_secrets_placeholder(name.ptr, name.len, &out);
    return result_of(&out, placeholder, error);
}

struct entries_result {
    uint8_t failed;
    union {
        pc_strings names;
        pc_string message;
    } is;
};

IMPORT("files", "read") void pc_import_files_read(const char *path, size_t len, struct text_result *out);
IMPORT("files", "entries") void pc_import_files_entries(const char *path, size_t len, struct entries_result *out);

bool pc_files_read(pc_string path, pc_string *bytes, pc_error *error) {
    struct text_result out;
    pc_import_files_read(path.ptr, path.len, &out);
    return result_of(&out, bytes, error);
}

bool pc_files_entries(pc_string path, pc_strings *names, pc_error *error) {
    struct entries_result out;
    pc_import_files_entries(path.ptr, path.len, &out);
    if (out.failed) {
        return pc_fail(error, out.is.message);
    }
    *names = out.is.names;
    return true;
}

/* ---- What a plugin answers ------------------------------------------------------------------------------------------ */

struct pc_items {
    struct list findings;
};

void pc_report_finding(pc_report *report, pc_finding finding) {
    pc_finding *added = list_add(&report->items->findings, sizeof *added);
    /* Copied: what they point to may lie on the caller's stack. */
    added->category = pc_copy(finding.category);
    added->score = finding.score;
    added->message = pc_copy(finding.message);
    if (finding.spans.len != 0) {
        pc_span *spans = pc_alloc(finding.spans.len, sizeof *spans);
        memcpy(spans, finding.spans.ptr, finding.spans.len * sizeof *spans);
        added->spans.ptr = spans;
        added->spans.len = finding.spans.len;
    }
    report->count = report->items->findings.len;
}

void pc_report_at(pc_report *report, pc_string category, float score, pc_string message, pc_span span) {
    pc_finding finding = {category, score, message, {&span, 1}};
    pc_report_finding(report, finding);
}

/* In the order of strength, which is the contract's order from ALLOW on. */
enum { UNDECIDED, ALLOW, REDACT, REVIEW, DENY };

struct replacement {
    pc_span span;
    pc_string value;
};

struct pc_decision {
    int is;
    struct list reasons, replacements;
};

static bool decide(pc_verdict *verdict, int is, pc_string code, pc_string message) {
    struct pc_decision *decision = verdict->decision;
    if (is > decision->is) {
        decision->is = is;
        decision->reasons = (struct list){NULL, 0, 0};
    }
    if (is == decision->is && is != ALLOW) {
        pc_reason *reason = list_add(&decision->reasons, sizeof *reason);
        reason->code = pc_copy(code);
        reason->message = pc_copy(message);
    }
    return true;
}

bool pc_allow(pc_verdict *verdict) {
    return decide(verdict, ALLOW, PC(""), PC(""));
}

bool pc_redact(pc_verdict *verdict, pc_string code, pc_string message) {
    return decide(verdict, REDACT, code, message);
}

bool pc_review(pc_verdict *verdict, pc_string code, pc_string message) {
    return decide(verdict, REVIEW, code, message);
}

bool pc_deny(pc_verdict *verdict, pc_string code, pc_string message) {
    return decide(verdict, DENY, code, message);
}

void pc_replace(pc_verdict *verdict, pc_span span, pc_string value) {
    struct replacement *added = list_add(&verdict->decision->replacements, sizeof *added);
    added->span = span;
    added->value = pc_copy(value);
}

enum { APPROVER_ROLE, APPROVER_OPERATOR };

struct approver {
    uint8_t kind;
    pc_string name;
};

struct pc_step {
    uint32_t after_seconds;
    struct list approvers, channels;
    struct pc_step *next;
};

static void add_approver(pc_step *step, uint8_t kind, pc_string name) {
    struct approver *added = list_add(&step->approvers, sizeof *added);
    added->kind = kind;
    added->name = pc_copy(name);
}

void pc_step_role(pc_step *step, pc_string role) {
    add_approver(step, APPROVER_ROLE, role);
}

void pc_step_operator(pc_step *step, pc_string name) {
    add_approver(step, APPROVER_OPERATOR, name);
}

void pc_step_channel(pc_step *step, pc_string channel) {
    pc_string *added = list_add(&step->channels, sizeof *added);
    *added = pc_copy(channel);
}

void pc_plan_role(pc_plan *plan, pc_string role) {
    pc_step_role(plan->first, role);
}

void pc_plan_operator(pc_plan *plan, pc_string name) {
    pc_step_operator(plan->first, name);
}

void pc_plan_channel(pc_plan *plan, pc_string channel) {
    pc_step_channel(plan->first, channel);
}

pc_step *pc_plan_step(pc_plan *plan, uint32_t after_seconds) {
    pc_step *last = plan->first;
    while (last->next != NULL) {
        last = last->next;
    }
    last->next = pc_alloc(1, sizeof *last);
    last->next->after_seconds = after_seconds;
    return last->next;
}

/* ---- What the host calls -------------------------------------------------------------------------------------------- */

/* A list as the host reads it. */
struct wire_list {
    const void *ptr;
    size_t len;
};

static struct wire_list wire(const struct list *list) {
    return (struct wire_list){list->items, list->len};
}

struct wire_verdict {
    uint8_t is;
    struct wire_list reasons, replacements;
};

struct wire_step {
    uint32_t after_seconds;
    struct wire_list approvers, channels;
};

struct wire_plan {
    struct wire_list approvers;
    uint32_t quorum, deadline_seconds;
    struct wire_list channels, escalation;
    pc_string summary;
    bool may_modify;
};

struct answer {
    uint8_t failed;
    union {
        pc_string message;
        struct wire_list findings;
        struct wire_verdict verdict;
        struct wire_plan plan;
    } is;
};

static struct answer answer;

/* Where an answer goes: fails unless it is filled. */
static struct answer *answer_start(pc_error *error) {
    after_answer();
    memset(&answer, 0, sizeof answer);
    error->message = pc_bytes("", 0);
    return &answer;
}

static struct answer *answer_error(pc_string message) {
    memset(&answer, 0, sizeof answer);
    answer.failed = 1;
    answer.is.message = message.len != 0 ? message : PC("the plugin failed without saying why");
    return &answer;
}

#define NOT_CONFIGURED PC("the plugin has no configuration")

EXPORT("configure") struct answer *pc_export_configure(const char *ptr, size_t len) {
    pc_error error;
    struct answer *out = answer_start(&error);
    arena_release(&lasting);
    current = &lasting;
    configured = plugin_configure(pc_copy(pc_bytes(ptr, len)), &error);
    current = &passing;
    answered = true;
    return configured ? out : answer_error(error.message);
}

EXPORT("cabi_post_configure") void pc_post_configure(struct answer *done) {
    (void)done;
    after_answer();
}

#ifdef PORTCULLIS_DETECTOR
static struct answer *inspect(const pc_call *call) {
    pc_error error;
    struct answer *out = answer_start(&error);
    struct pc_items items = {{NULL, 0, 0}};
    pc_report report = {0, &items};
    if (!configured) {
        return answer_error(NOT_CONFIGURED);
    }
    if (!plugin_inspect(call, &report, &error)) {
        return answer_error(error.message);
    }
    out->is.findings = wire(&items.findings);
    return out;
}

EXPORT("inspect") struct answer *pc_export_inspect(const pc_call *call) {
    struct answer *out = inspect(call);
    answered = true;
    return out;
}

EXPORT("cabi_post_inspect") void pc_post_inspect(struct answer *done) {
    (void)done;
    after_answer();
}
#endif

#ifdef PORTCULLIS_RULE
struct decide_arguments {
    pc_call call;
    pc_findings findings;
};

static struct answer *decide_call(const struct decide_arguments *given) {
    pc_error error;
    struct answer *out = answer_start(&error);
    struct pc_decision decision = {UNDECIDED, {NULL, 0, 0}, {NULL, 0, 0}};
    pc_verdict verdict = {&decision};
    if (!configured) {
        return answer_error(NOT_CONFIGURED);
    }
    if (!plugin_decide(&given->call, given->findings, &verdict, &error)) {
        return answer_error(error.message);
    }
    if (decision.is == UNDECIDED) {
        return answer_error(PC("the rule decided nothing"));
    }
    out->is.verdict.is = (uint8_t)(decision.is - ALLOW);
    out->is.verdict.reasons = wire(&decision.reasons);
    if (decision.is == REDACT) {
        out->is.verdict.replacements = wire(&decision.replacements);
    }
    return out;
}

EXPORT("decide") struct answer *pc_export_decide(const struct decide_arguments *given) {
    struct answer *out = decide_call(given);
    answered = true;
    return out;
}

EXPORT("cabi_post_decide") void pc_post_decide(struct answer *done) {
    (void)done;
    after_answer();
}
#endif

#ifdef PORTCULLIS_ROUTER
struct route_arguments {
    pc_call call;
    pc_findings findings;
    pc_reasons reasons;
};

static struct answer *route_call(const struct route_arguments *given) {
    pc_error error;
    struct answer *out = answer_start(&error);
    struct pc_step first = {0, {NULL, 0, 0}, {NULL, 0, 0}, NULL};
    pc_plan plan = {1, 900, pc_bytes("", 0), false, &first};
    if (!configured) {
        return answer_error(NOT_CONFIGURED);
    }
    if (!plugin_route(&given->call, given->findings, given->reasons, &plan, &error)) {
        return answer_error(error.message);
    }
    struct list steps = {NULL, 0, 0};
    for (const struct pc_step *step = first.next; step != NULL; step = step->next) {
        struct wire_step *added = list_add(&steps, sizeof *added);
        added->after_seconds = step->after_seconds;
        added->approvers = wire(&step->approvers);
        added->channels = wire(&step->channels);
    }
    struct wire_plan *to = &out->is.plan;
    to->approvers = wire(&first.approvers);
    to->quorum = plan.quorum;
    to->deadline_seconds = plan.deadline_seconds;
    to->channels = wire(&first.channels);
    to->escalation = wire(&steps);
    to->summary = pc_copy(plan.summary);
    to->may_modify = plan.may_modify;
    return out;
}

EXPORT("route") struct answer *pc_export_route(const struct route_arguments *given) {
    struct answer *out = route_call(given);
    answered = true;
    return out;
}

EXPORT("cabi_post_route") void pc_post_route(struct answer *done) {
    (void)done;
    after_answer();
}
#endif

#ifdef __wasm__
/* Sizes that the canonical ABI gives to the contract's types. */
_Static_assert(sizeof(pc_string) == 8 && sizeof(pc_optional) == 12, "string, option<string>");
_Static_assert(sizeof(pc_call) == 92 && offsetof(pc_call, tenant) == 12 && offsetof(pc_call, session) == 28, "call");
_Static_assert(sizeof(pc_text) == 16 && sizeof(pc_span) == 12 && sizeof(pc_pair) == 16, "text, span, tuple");
_Static_assert(sizeof(pc_finding) == 28 && sizeof(pc_seen) == 36 && sizeof(pc_reason) == 16, "findings, reason");
_Static_assert(sizeof(struct replacement) == 20 && sizeof(struct wire_verdict) == 20, "replacement, verdict");
_Static_assert(sizeof(struct approver) == 12 && sizeof(struct wire_step) == 20, "approver, step");
_Static_assert(sizeof(struct wire_plan) == 44 && offsetof(struct wire_plan, may_modify) == 40, "plan");
_Static_assert(sizeof(struct answer) == 48 && offsetof(struct answer, is) == 4, "answers");
_Static_assert(sizeof(struct text_result) == 12 && sizeof(struct increment_result) == 16, "result<string>, result<u64>");
_Static_assert(sizeof(struct get_result) == 16 && sizeof(struct replace_result) == 12, "results of state");
_Static_assert(sizeof(struct judge_result) == 16 && sizeof(struct entries_result) == 12, "results of judge and files");
_Static_assert(sizeof(pc_response) == 20 && sizeof(struct http_result) == 24, "results of http");
#endif
