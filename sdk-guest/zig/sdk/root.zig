//! What the host calls, around the plugin's own functions; and where the standard library's log and panics go.

const std = @import("std");
const pc = @import("portcullis");
const plugin = @import("plugin");

const glue = pc.glue;

pub const std_options: std.Options = .{ .log_level = .debug, .logFn = log };
pub const panic = std.debug.FullPanic(panicked);

/// The host keeps no more of a line.
const longest_line = 4096;

fn log(comptime level: std.log.Level, comptime scope: @EnumLiteral(), comptime format: []const u8, values: anytype) void {
    var bytes: [longest_line]u8 = undefined;
    var line: std.Io.Writer = .fixed(&bytes);
    const prefix = if (scope == .default) "" else "(" ++ @tagName(scope) ++ ") ";
    // What does not fit is left out.
    line.print(prefix ++ format, values) catch {};
    glue.write(switch (level) {
        .err => 4,
        .warn => 3,
        .info => 2,
        .debug => 1,
    }, line.buffered());
}

fn panicked(message: []const u8, _: ?usize) noreturn {
    // The host must not be called while it hands something over.
    if (!handing_over) glue.write(4, message);
    @trap();
}

var handing_over = false;
/// The host may be still reading the last answer: what it lies in goes with the next call.
var answered = false;
var configured = false;
var answer: [64]u8 align(8) = undefined;

fn afterAnswer() void {
    if (!answered) return;
    _ = glue.passing.reset(.{ .retain_with_limit = 1 << 20 });
    answered = false;
}

/// Where the host puts what it hands over.
export fn cabi_realloc(old: usize, old_size: usize, alignment: usize, size: usize) usize {
    handing_over = true;
    defer handing_over = false;
    afterAnswer();
    if (size == 0) return alignment;
    const bytes = glue.current.allocator().alignedAlloc(u8, .@"8", size) catch @trap();
    if (old_size != 0) @memcpy(bytes[0..@min(size, old_size)], @as([*]const u8, @ptrFromInt(old)));
    return @intFromPtr(bytes.ptr);
}

/// Puts down what a function of the plugin answers, and says where.
fn answerWith(comptime T: type, result: anyerror!T) usize {
    comptime std.debug.assert(glue.sizeOf(pc.Result(T, []const u8)) <= 64);
    const out: pc.Result(T, []const u8) =
        if (result) |value| .{ .ok = value } else |err| .{ .err = glue.explain(err) };
    glue.store(@TypeOf(out), glue.current.allocator(), @intFromPtr(&answer), out) catch @panic("out of memory");
    answered = true;
    return @intFromPtr(&answer);
}

fn configure(ptr: [*]const u8, len: usize) callconv(.c) usize {
    afterAnswer();
    _ = glue.lasting.reset(.free_all);
    glue.current = &glue.lasting;
    defer glue.current = &glue.passing;
    const arena = glue.lasting.allocator();
    const result: anyerror!void = if (arena.dupe(u8, ptr[0..len])) |config| plugin.configure(arena, config) else |err| err;
    configured = if (result) |_| true else |_| false;
    return answerWith(void, result);
}

/// Arguments of the roles, as the host puts them down.
const Inspected = struct { call: pc.Call };
const Decided = struct { call: pc.Call, findings: []const pc.Seen };
const Routed = struct { call: pc.Call, findings: []const pc.Seen, reasons: []const pc.Reason };

/// Reads the arguments and runs a role's function with them.
fn run(comptime T: type, comptime Given: type, comptime function: anytype, at: usize) usize {
    const arena = glue.passing.allocator();
    if (!configured) return answerWith(T, pc.fail("the plugin has no configuration", .{}));
    const given = glue.load(Given, arena, at) catch @panic("out of memory");
    const result: anyerror!T = switch (Given) {
        Inspected => function(arena, given.call),
        Decided => function(arena, given.call, given.findings),
        else => function(arena, given.call, given.findings, given.reasons),
    };
    return answerWith(T, result);
}

fn inspect(at: usize) callconv(.c) usize {
    return run([]const pc.Finding, Inspected, plugin.inspect, at);
}

fn decide(at: usize) callconv(.c) usize {
    return run(pc.Verdict, Decided, plugin.decide, at);
}

fn route(at: usize) callconv(.c) usize {
    return run(pc.Plan, Routed, plugin.route, at);
}

fn read(at: usize) callconv(.c) void {
    _ = at;
    afterAnswer();
}

comptime {
    @export(&configure, .{ .name = "configure" });
    @export(&read, .{ .name = "cabi_post_configure" });
    if (@hasDecl(plugin, "inspect")) {
        @export(&inspect, .{ .name = "inspect" });
        @export(&read, .{ .name = "cabi_post_inspect" });
    }
    if (@hasDecl(plugin, "decide")) {
        @export(&decide, .{ .name = "decide" });
        @export(&read, .{ .name = "cabi_post_decide" });
    }
    if (@hasDecl(plugin, "route")) {
        @export(&route, .{ .name = "route" });
        @export(&read, .{ .name = "cabi_post_route" });
    }
}
