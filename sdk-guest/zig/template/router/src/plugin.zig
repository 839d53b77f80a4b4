const std = @import("std");
const pc = @import("portcullis");

var approvers: []const pc.Approver = &.{};
var large: []const pc.Approver = &.{};
var deadline_seconds: u32 = 0;
var escalate_to: ?[]const u8 = null;

pub fn configure(arena: std.mem.Allocator, config: []const u8) !void {
    const given = try pc.config(arena, config, &.{ "approvers", "large", "deadline_seconds", "escalate_to" });
    approvers = try roles(arena, given.get("approvers"), "approvers");
    large = if (given.get("large")) |value| try roles(arena, value, "large") else approvers;
    deadline_seconds = if (given.get("deadline_seconds")) |value| pc.whole(u32, value) orelse 0 else 900;
    if (deadline_seconds == 0) return pc.fail("deadline_seconds: use a whole number of at least 1", .{});
    escalate_to = null;
    if (given.get("escalate_to")) |value| escalate_to = pc.string(value) orelse return pc.fail("escalate_to: give a role", .{});
}

fn roles(arena: std.mem.Allocator, value: ?pc.Json, comptime name: []const u8) ![]const pc.Approver {
    const names = try pc.strings(arena, value) orelse &.{};
    if (names.len == 0) return pc.fail(name ++ ": give a list of at least one role", .{});
    const list = try arena.alloc(pc.Approver, names.len);
    for (names, list) |role, *approver| approver.* = .{ .role = role };
    return list;
}

pub fn route(arena: std.mem.Allocator, call: pc.Call, findings: []const pc.Seen, reasons: []const pc.Reason) !pc.Plan {
    var is_large = false;
    var summary: std.Io.Writer.Allocating = .init(arena);
    try summary.writer.print("{s} wants {s}", .{ call.agent, call.tool });
    for (reasons, 0..) |reason, i| {
        is_large = is_large or std.mem.eql(u8, reason.code, "large_amount");
        try summary.writer.print("{s}{s}", .{ if (i == 0) ": " else ", ", reason.code });
    }
    if (findings.len > 0) try summary.writer.print(" ({d} findings)", .{findings.len});
    var plan: pc.Plan = .{
        .approvers = if (is_large) large else approvers,
        .quorum = if (is_large) 2 else 1,
        .deadline_seconds = deadline_seconds,
        .summary = summary.written(),
        .may_modify = !is_large,
    };
    if (escalate_to) |role| {
        const asked = try arena.dupe(pc.Approver, &.{.{ .role = role }});
        plan.escalation = try arena.dupe(pc.Step, &.{.{ .after_seconds = @max(1, deadline_seconds / 2), .approvers = asked }});
    }
    return plan;
}
