const std = @import("std");
const pc = @import("portcullis");

/// Stop here: the person who decides has seen enough.
const most_findings = 100;

var words: []const []const u8 = &.{};
var score: f64 = 0;

pub fn configure(arena: std.mem.Allocator, config: []const u8) !void {
    const given = try pc.config(arena, config, &.{ "words", "score" });
    words = try pc.strings(arena, given.get("words")) orelse &.{};
    if (words.len == 0) return pc.fail("words: give a list of at least one word", .{});
    for (words, 0..) |word, i| {
        if (word.len == 0) return pc.fail("words[{d}]: an empty word would be found everywhere", .{i});
    }
    score = if (given.get("score")) |value| pc.number(value) orelse -1 else 0.9;
    if (!(score >= 0 and score <= 1)) return pc.fail("score: use a number from 0 to 1", .{});
}

pub fn inspect(arena: std.mem.Allocator, _: pc.Call) ![]const pc.Finding {
    var findings: std.ArrayList(pc.Finding) = .empty;
    for (pc.payload.texts(), 0..) |text, i| {
        for (words) |word| {
            var from: usize = 0;
            while (pc.find(text.value, word, from)) |start| : (from = start + word.len) {
                if (findings.items.len == most_findings) break;
                try findings.append(arena, .{
                    .category = "word.forbidden",
                    .score = @floatCast(score),
                    .message = try std.fmt.allocPrint(arena, "a forbidden word: {s}", .{word}),
                    .spans = try pc.spans(arena, &.{.at(i, start, start + word.len)}),
                });
            }
        }
    }
    if (findings.items.len > 0) std.log.debug("{d} words found", .{findings.items.len});
    return findings.items;
}
