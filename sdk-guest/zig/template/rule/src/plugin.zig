const std = @import("std");
const pc = @import("portcullis");

/// What detectors believe less than this does not count.
const believed = 0.5;
/// Longer numbers are not judged.
const longest_number = 400;

var review_over: f64 = 0;
var amount: []const u8 = "";
var deny: []const []const u8 = &.{};
var redact: []const []const u8 = &.{};

pub fn configure(arena: std.mem.Allocator, config: []const u8) !void {
    const given = try pc.config(arena, config, &.{ "review_over", "amount", "deny", "redact" });
    review_over = pc.number(given.get("review_over")) orelse -1;
    if (review_over < 0) return pc.fail("review_over: give a number of at least 0", .{});
    amount = if (given.get("amount")) |value| pc.string(value) orelse "?" else "/amount";
    if (amount.len > 0 and amount[0] != '/') return pc.fail("amount: use a JSON pointer, for instance /amount", .{});
    deny = try categories(arena, given, "deny");
    redact = try categories(arena, given, "redact");
}

/// A list of categories; none if it is not given.
fn categories(arena: std.mem.Allocator, given: std.json.ObjectMap, comptime name: []const u8) ![]const []const u8 {
    const value = given.get(name) orelse return &.{};
    return try pc.strings(arena, value) orelse pc.fail(name ++ ": give a list of categories", .{});
}

pub fn decide(arena: std.mem.Allocator, _: pc.Call, findings: []const pc.Seen) !pc.Verdict {
    for (findings) |seen| {
        if (seen.finding.score >= believed and pc.contains(deny, seen.finding.category)) {
            const reason = try pc.reason(arena, "forbidden", "{s} saw {s}", .{ seen.plugin, seen.finding.category });
            return .{ .deny = reason };
        }
    }
    if (pc.payload.get(amount)) |text| {
        const number = pc.number(pc.json(arena, text) catch null) orelse {
            return .{ .review = try pc.reason(arena, "odd_amount", "the amount is not a number", .{}) };
        };
        if (text.len > longest_number) return pc.fail("amount: a number of {d} characters cannot be judged", .{text.len});
        if (number > review_over) {
            return .{ .review = try pc.reason(arena, "large_amount", "the amount {s} is large", .{text}) };
        }
    }
    var replacements: std.ArrayList(pc.Replacement) = .empty;
    for (findings) |seen| {
        if (seen.finding.score < believed or !pc.contains(redact, seen.finding.category)) continue;
        for (seen.finding.spans) |span| try replacements.append(arena, .{ .span = span, .value = "[removed]" });
    }
    if (replacements.items.len == 0) return .allow;
    const reasons = try pc.reason(arena, "removed", "{d} places were removed", .{replacements.items.len});
    return .{ .redact = .{ .reasons = reasons, .replacements = replacements.items } };
}
