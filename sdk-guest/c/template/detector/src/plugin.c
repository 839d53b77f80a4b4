#include "portcullis.h"

/* Stop here: the person who decides has seen enough. */
#define MOST_FINDINGS 100

static struct {
    pc_strings words;
    double score;
} settings;

bool plugin_configure(pc_string config, pc_error *error) {
    const pc_json *given = PC_CONFIG(config, error, "words", "score");
    if (given == NULL) {
        return false;
    }
    if (!pc_json_strings(pc_json_member(given, PC("words")), &settings.words) || settings.words.len == 0) {
        return pc_fail(error, PC("words: give a list of at least one word"));
    }
    for (size_t i = 0; i < settings.words.len; i++) {
        if (settings.words.ptr[i].len == 0) {
            return pc_fail(error, PC_TEXT(PC("words["), pc_decimal(i), PC("]: an empty word would be found everywhere")));
        }
    }
    const pc_json *score = pc_json_member(given, PC("score"));
    settings.score = 0.9;
    if (score != NULL && (!pc_json_double(score, &settings.score) || settings.score < 0 || settings.score > 1)) {
        return pc_fail(error, PC("score: use a number from 0 to 1"));
    }
    return true;
}

/* Reports every place of a word in a text. */
static void report_word(pc_report *report, size_t index, pc_string text, pc_string word) {
    size_t at = pc_find_ignoring_case(text, word, 0);
    while (at != PC_NOWHERE && report->count < MOST_FINDINGS) {
        size_t end = at + word.len;
        pc_report_at(report, PC("word.forbidden"), (float)settings.score, PC_TEXT(PC("a forbidden word: "), word),
                     pc_span_at(index, at, end));
        at = pc_find_ignoring_case(text, word, end);
    }
}

bool plugin_inspect(const pc_call *call, pc_report *report, pc_error *error) {
    pc_texts texts = pc_payload_texts();
    for (size_t i = 0; i < texts.len; i++) {
        for (size_t w = 0; w < settings.words.len; w++) {
            report_word(report, i, texts.ptr[i].value, settings.words.ptr[w]);
        }
    }
    if (report->count > 0) {
        pc_log_debug(PC_TEXT(pc_decimal(report->count), PC(" words found")));
    }
    return true;
}
