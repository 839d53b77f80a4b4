//! Portcullis plugins in Zig.
//!
//! A plugin is a file with two functions, `configure` and the one of its role:
//!
//! ```zig
//! pub fn configure(arena: Allocator, config: []const u8) !void
//! pub fn inspect(arena: Allocator, call: pc.Call) ![]const pc.Finding                                    // a detector
//! pub fn decide(arena: Allocator, call: pc.Call, findings: []const pc.Seen) !pc.Verdict                  // a rule
//! pub fn route(arena: Allocator, call: pc.Call, findings: []const pc.Seen, reasons: []const pc.Reason) !pc.Plan  // a router
//! ```
//!
//! An error goes to the host: `return pc.fail("words: give a list", .{})` with a text, any other with its name. `std.log`
//! goes to the host's log; a panic is logged and ends the call.
//!
//! Nothing has to be freed. What `configure` makes in its arena stays until the plugin is configured anew; what a call makes
//! goes when its answer was read. A plugin imports only what its code uses; functions under "granted" need their capability
//! in `asks` of plugin.toml.

const std = @import("std");
const Allocator = std.mem.Allocator;

const abi = @import("abi.zig");

/// The version of the plugin contract that this SDK speaks.
pub const abi_version = "1.0.0";

// ---- The call ----

/// Where in its life a call is being looked at.
pub const Phase = enum {
    /// Before the tool runs; the payload is the arguments.
    call,
    /// After the tool ran; the payload is its output.
    result,
    /// A tool list on its way to the agent; the payload is the array of definitions.
    listing,
    /// Other text on its way to the model.
    message,
};

/// One tool call, without its payload.
pub const Call = struct {
    /// UUID of the call; the same in every phase.
    id: []const u8,
    phase: Phase,
    /// Owner of the traffic.
    tenant: []const u8,
    /// Who makes the call, from its credential.
    agent: []const u8,
    /// The run of the agent this call belongs to.
    session: ?[]const u8,
    /// What the agent is for.
    persona: ?[]const u8,
    /// What the user asked for in this session.
    task: ?[]const u8,
    /// Name of the upstream that owns the tool.
    upstream: ?[]const u8,
    /// Name of the tool.
    tool: []const u8,
    /// SHA-256 of the canonical payload: 32 raw bytes.
    digest: []const u8,
};

/// One string of the payload.
pub const Text = struct {
    /// RFC 6901 pointer of the string.
    pointer: []const u8,
    /// Its decoded content.
    value: []const u8,
};

/// The payload of the call at hand.
pub const payload = struct {
    /// The payload as JSON text, exactly as received.
    pub fn raw() []const u8 {
        var out: Area = undefined;
        imports.payload.raw(out.at());
        return out.read([]const u8);
    }

    /// Every string in the payload, in document order. A span's `text` is an index into this list.
    pub fn texts() []const Text {
        var out: Area = undefined;
        imports.payload.texts(out.at());
        return out.read([]const Text);
    }

    /// Every distinct member name, decoded, in order of first appearance.
    pub fn names() []const []const u8 {
        var out: Area = undefined;
        imports.payload.names(out.at());
        return out.read([]const []const u8);
    }

    /// The JSON text at an RFC 6901 pointer, or null.
    pub fn get(pointer: []const u8) ?[]const u8 {
        var out: Area = undefined;
        imports.payload.get(abi.address(pointer), pointer.len, out.at());
        return out.read(?[]const u8);
    }
};

/// Where a word is found at or after `from`, with ASCII letters in either case; all other bytes must be equal. Nothing is found
/// for an empty word.
pub fn find(text: []const u8, word: []const u8, from: usize) ?usize {
    if (word.len == 0 or from > text.len or text.len - from < word.len) return null;
    const first: Place = .of(word[0]);
    const final: Place = .of(word[word.len - 1]);
    const last = text.len - word.len;
    var at = from;
    while (at <= last) {
        // Eight places at once, while the word's first and last byte are at none of them: so a call's fuel is enough to search
        // a megabyte.
        while (last - at >= 8) : (at += 8) {
            const differs = first.differences(text[at..][0..8]) | final.differences(text[at + word.len - 1 ..][0..8]);
            if ((differs -% every(1)) & ~differs & every(0x80) != 0) break;
        }
        for (at..at + @min(8, last - at + 1)) |place| {
            if (std.ascii.eqlIgnoreCase(text[place..][0..word.len], word)) return place;
        }
        at += 8;
    }
    return null;
}

/// A byte that is looked for, eight times; a letter in either case.
const Place = struct {
    fold: u64,
    wanted: u64,

    fn of(byte: u8) Place {
        return .{ .fold = if (std.ascii.isAlphabetic(byte)) every(0x20) else 0, .wanted = every(std.ascii.toLower(byte)) };
    }

    /// Zero where one of eight bytes is the one that is looked for.
    fn differences(place: Place, eight: *const [8]u8) u64 {
        return (std.mem.readInt(u64, eight, .little) | place.fold) ^ place.wanted;
    }
};

fn every(byte: u8) u64 {
    return byte * @as(u64, 0x0101010101010101);
}

// ---- Answers ----

/// A piece of one text of the payload: bytes from `start` up to `end`, both between two characters.
pub const Span = struct {
    text: u32,
    start: u32,
    end: u32,

    pub fn at(text: usize, start: usize, end: usize) Span {
        return .{ .text = @intCast(text), .start = @intCast(start), .end = @intCast(end) };
    }
};

/// What a detector saw.
pub const Finding = struct {
    /// Dotted category, for instance `secret.token`.
    category: []const u8,
    /// 0 to 1.
    score: f32,
    /// One sentence for the person who decides.
    message: []const u8,
    /// Where; empty if it is about the whole payload. Must not lie on the stack: see `spans`.
    spans: []const Span = &.{},
};

/// A copy of spans in an arena, for a finding.
pub fn spans(arena: Allocator, places: []const Span) Allocator.Error![]const Span {
    return arena.dupe(Span, places);
}

/// A finding of an earlier plugin, as a rule or router sees it.
pub const Seen = struct {
    /// Name of the plugin in the pipeline.
    plugin: []const u8,
    finding: Finding,
};

/// Why. `code` is stable and machine-readable (lower case, at most 64 bytes), `message` is one sentence for people.
pub const Reason = struct {
    code: []const u8,
    message: []const u8,
};

/// Text to put in place of a span.
pub const Replacement = struct {
    span: Span,
    value: []const u8,
};

/// Forward with replacements.
pub const Redaction = struct {
    reasons: []const Reason,
    replacements: []const Replacement,
};

/// What a rule decides.
pub const Verdict = union(enum) {
    allow,
    redact: Redaction,
    review: []const Reason,
    deny: []const Reason,
};

/// One reason, in an arena, for a verdict: `.{ .deny = try pc.reason(arena, "forbidden", "...", .{}) }`.
pub fn reason(arena: Allocator, code: []const u8, comptime format: []const u8, values: anytype) Allocator.Error![]const Reason {
    const message = try std.fmt.allocPrint(arena, format, values);
    return arena.dupe(Reason, &.{.{ .code = code, .message = message }});
}

/// Somebody who may decide.
pub const Approver = union(enum) {
    /// Any operator with this role.
    role: []const u8,
    /// This operator.
    operator: []const u8,
};

/// After `after_seconds` without a decision, also ask these.
pub const Step = struct {
    after_seconds: u32,
    approvers: []const Approver,
    channels: []const []const u8 = &.{},
};

/// Who decides, how many, until when, told where.
pub const Plan = struct {
    /// At least one.
    approvers: []const Approver,
    /// How many must approve.
    quorum: u32 = 1,
    /// After this long without a decision the call is denied.
    deadline_seconds: u32 = 900,
    channels: []const []const u8 = &.{},
    escalation: []const Step = &.{},
    /// What the approver reads first.
    summary: []const u8,
    /// Whether arguments may be changed before release.
    may_modify: bool = false,
};

// ---- Errors ----

pub const Error = error{ Failed, OutOfMemory };

var failure: []const u8 = "";

/// An error with a text, which is shown to people word for word: `return pc.fail("score: use a number", .{})`.
pub fn fail(comptime format: []const u8, values: anytype) Error {
    failure = try std.fmt.allocPrint(glue.current.allocator(), format, values);
    return error.Failed;
}

// ---- Configuration and other JSON ----

/// A JSON value; numbers are kept as they were written (`number_string`).
pub const Json = std.json.Value;

/// Reads JSON text. Of several members with the same name the first counts.
pub fn json(arena: Allocator, text: []const u8) !Json {
    const options: std.json.ParseOptions = .{
        .parse_numbers = false,
        .duplicate_field_behavior = .use_first,
        .allocate = .alloc_always,
    };
    return std.json.parseFromSliceLeaky(Json, arena, text, options);
}

/// The configuration as an object whose members all have one of these names. No configuration is an empty object.
pub fn config(arena: Allocator, text: []const u8, comptime names: []const []const u8) Error!std.json.ObjectMap {
    if (text.len == 0) return .empty;
    const read = json(arena, text) catch return fail("the configuration is not a JSON object", .{});
    if (read != .object) return fail("the configuration is not a JSON object", .{});
    for (read.object.keys()) |key| {
        const known = for (names) |name| {
            if (std.mem.eql(u8, key, name)) break true;
        } else false;
        if (!known) return fail("{s}: there is no such key", .{key});
    }
    return read.object;
}

/// The double that is nearest to a number, infinite if it is too large; null for anything else.
pub fn number(value: ?Json) ?f64 {
    const some = value orelse return null;
    if (some != .number_string) return null;
    return std.fmt.parseFloat(f64, some.number_string) catch null;
}

/// A whole number from 0 on, also if written as 60.0; null for anything else, and if it does not fit.
pub fn whole(comptime T: type, value: ?Json) ?T {
    const approximate = number(value) orelse return null;
    if (std.fmt.parseInt(T, value.?.number_string, 10) catch null) |exact| return exact;
    if (!(approximate >= 0 and approximate <= @min(std.math.maxInt(T), 1 << 53))) return null;
    return if (@trunc(approximate) == approximate) @trunc(approximate) else null;
}

/// A text; null for anything else.
pub fn string(value: ?Json) ?[]const u8 {
    const some = value orelse return null;
    return if (some == .string) some.string else null;
}

/// The texts of a list; null if it is none, or has anything else in it.
pub fn strings(arena: Allocator, value: ?Json) Allocator.Error!?[]const []const u8 {
    const some = value orelse return null;
    if (some != .array) return null;
    const texts = try arena.alloc([]const u8, some.array.items.len);
    for (some.array.items, texts) |item, *text| text.* = string(item) orelse return null;
    return texts;
}

/// Whether a list has this text.
pub fn contains(list: []const []const u8, text: []const u8) bool {
    return for (list) |one| {
        if (std.mem.eql(u8, one, text)) break true;
    } else false;
}

// ---- Granted: clock ----

pub const clock = struct {
    /// Milliseconds since the Unix epoch, the same for the whole call.
    pub fn nowMs() u64 {
        return imports.clock.@"now-ms"();
    }
};

// ---- Granted: state ----

pub const state = struct {
    /// Adds to a counter over a sliding window and returns the sum with it. A window of 0 never forgets.
    pub fn increment(key: []const u8, by: u64, window_seconds: u32) Error!u64 {
        var out: Area = undefined;
        imports.state.increment(abi.address(key), key.len, by, window_seconds, out.at());
        return out.read(Result(u64, []const u8)).unwrap();
    }

    /// The bytes under a key, or null.
    pub fn get(key: []const u8) Error!?[]const u8 {
        var out: Area = undefined;
        imports.state.get(abi.address(key), key.len, out.at());
        return out.read(Result(?[]const u8, []const u8)).unwrap();
    }

    /// Replaces a value if it still equals `expected`; false if it does not. `ttl_seconds` of 0 keeps it.
    pub fn replace(key: []const u8, expected: ?[]const u8, value: ?[]const u8, ttl_seconds: u32) Error!bool {
        var out: Area = undefined;
        const old = expected orelse "";
        const new = value orelse "";
        imports.state.replace(
            abi.address(key),
            key.len,
            @intFromBool(expected != null),
            abi.address(old),
            old.len,
            @intFromBool(value != null),
            abi.address(new),
            new.len,
            ttl_seconds,
            out.at(),
        );
        return out.read(Result(bool, []const u8)).unwrap();
    }
};

// ---- Granted: labels ----

/// A name and a value: a label, a header, a template's variable.
pub const Pair = struct {
    name: []const u8,
    value: []const u8,
};

pub const labels = struct {
    /// Adds a label to the session; adding it again with another value adds a second one.
    pub fn add(label: []const u8, value: []const u8) Error!void {
        var out: Area = undefined;
        imports.labels.add(abi.address(label), label.len, abi.address(value), value.len, out.at());
        return out.read(Result(void, []const u8)).unwrap();
    }

    /// All labels of the session, oldest first.
    pub fn all() []const Pair {
        var out: Area = undefined;
        imports.labels.all(out.at());
        return out.read([]const Pair);
    }
};

// ---- Granted: judge ----

pub const judge = struct {
    /// Why there is no answer.
    pub const Failure = union(enum) {
        unavailable: []const u8,
        budget_spent,
        timed_out,
        bad_answer: []const u8,
    };

    /// The answer as JSON text that fits the template's schema, or why there is none.
    pub const Answer = Result([]const u8, Failure);

    /// Asks the language model with a registered template. `(try pc.judge.ask(...)).unwrap()` makes an error of a failure.
    pub fn ask(template: []const u8, variables: []const Pair) Error!Answer {
        var out: Area = undefined;
        const given = try List.of(Pair, variables);
        imports.judge.ask(abi.address(template), template.len, given.start, given.len, out.at());
        return out.read(Answer);
    }
};

// ---- Granted: http ----

pub const http = struct {
    pub const Request = struct {
        /// For instance `GET`.
        method: []const u8 = "GET",
        /// Absolute; the host must be granted.
        url: []const u8,
        headers: []const Pair = &.{},
        body: []const u8 = "",
    };

    pub const Response = struct {
        status: u16,
        headers: []const Pair,
        body: []const u8,
    };

    /// Why there is no answer.
    pub const Failure = union(enum) {
        forbidden: []const u8,
        unreachable_host: []const u8,
        timed_out,
        too_large,
    };

    pub const Answer = Result(Response, Failure);

    /// Sends one request; redirects are not followed. `(try pc.http.send(...)).unwrap()` makes an error of a failure.
    pub fn send(request: Request) Error!Answer {
        var out: Area = undefined;
        const headers = try List.of(Pair, request.headers);
        imports.http.send(
            abi.address(request.method),
            request.method.len,
            abi.address(request.url),
            request.url.len,
            headers.start,
            headers.len,
            abi.address(request.body),
            request.body.len,
            out.at(),
        );
        return out.read(Answer);
    }
};

// ---- Granted: secrets ----

pub const secrets = struct {
    /// The placeholder of a secret, which the host replaces in outgoing headers.
    pub fn placeholder(name: []const u8) Error![]const u8 {
        var out: Area = undefined;
        imports.secrets.placeholder(abi.address(name), name.len, out.at());
        return out.read(Result([]const u8, []const u8)).unwrap();
    }
};

// ---- Granted: files ----

pub const files = struct {
    /// The raw bytes of a file, at most 16 MiB. `path` is `<folder name>/<relative path>`.
    pub fn read(path: []const u8) Error![]const u8 {
        var out: Area = undefined;
        imports.files.read(abi.address(path), path.len, out.at());
        return out.read(Result([]const u8, []const u8)).unwrap();
    }

    /// Names in a folder, sorted; folders end with `/`.
    pub fn entries(path: []const u8) Error![]const []const u8 {
        var out: Area = undefined;
        imports.files.entries(abi.address(path), path.len, out.at());
        return out.read(Result([]const []const u8, []const u8)).unwrap();
    }
};

// ---- The exchange with the host ----

/// What the host answers, or why it does not.
pub fn Result(comptime T: type, comptime Failure: type) type {
    return union(enum) {
        ok: T,
        err: Failure,

        /// The answer; a failure becomes an error with its text.
        pub fn unwrap(result: @This()) Error!T {
            switch (result) {
                .ok => |value| return value,
                .err => |why| {
                    if (Failure == []const u8) return fail("{s}", .{why});
                    switch (why) {
                        inline else => |detail, tag| {
                            if (@TypeOf(detail) == void) return fail("{t}", .{tag});
                            return fail("{t}: {s}", .{ tag, detail });
                        },
                    }
                },
            }
        }
    };
}

/// Where the host puts an answer.
const Area = struct {
    bytes: [32]u8 align(8),

    fn at(area: *Area) usize {
        return @intFromPtr(&area.bytes);
    }

    fn read(area: *Area, comptime T: type) T {
        comptime std.debug.assert(abi.sizeOf(T) <= 32);
        return abi.load(T, glue.current.allocator(), area.at()) catch @panic("out of memory");
    }
};

/// A list as the host takes it.
const List = struct {
    start: usize,
    len: usize,

    fn of(comptime T: type, items: []const T) Error!List {
        var at: [8]u8 align(8) = undefined;
        try abi.store([]const T, glue.current.allocator(), @intFromPtr(&at), items);
        return .{ .start = std.mem.readInt(u32, at[0..4], .little), .len = items.len };
    }
};

const imports = struct {
    const payload = struct {
        extern "portcullis:plugin/payload@1.0.0" fn raw(out: usize) void;
        extern "portcullis:plugin/payload@1.0.0" fn texts(out: usize) void;
        extern "portcullis:plugin/payload@1.0.0" fn names(out: usize) void;
        extern "portcullis:plugin/payload@1.0.0" fn get(usize, usize, out: usize) void;
    };
    const log = struct {
        extern "portcullis:plugin/log@1.0.0" fn write(level: i32, usize, usize) void;
    };
    const clock = struct {
        extern "portcullis:plugin/clock@1.0.0" fn @"now-ms"() u64;
    };
    const state = struct {
        extern "portcullis:plugin/state@1.0.0" fn increment(usize, usize, by: u64, window: u32, out: usize) void;
        extern "portcullis:plugin/state@1.0.0" fn get(usize, usize, out: usize) void;
        extern "portcullis:plugin/state@1.0.0" fn replace(
            usize,
            usize,
            expected: i32,
            usize,
            usize,
            value: i32,
            usize,
            usize,
            ttl: u32,
            out: usize,
        ) void;
    };
    const labels = struct {
        extern "portcullis:plugin/labels@1.0.0" fn add(usize, usize, usize, usize, out: usize) void;
        extern "portcullis:plugin/labels@1.0.0" fn all(out: usize) void;
    };
    const judge = struct {
        extern "portcullis:plugin/judge@1.0.0" fn ask(usize, usize, variables: usize, count: usize, out: usize) void;
    };
    const http = struct {
        extern "portcullis:plugin/http@1.0.0" fn send(
            usize,
            usize,
            usize,
            usize,
            headers: usize,
            count: usize,
            usize,
            usize,
            out: usize,
        ) void;
    };
    const secrets = struct {
        extern "portcullis:plugin/secrets@1.0.0" fn placeholder(usize, usize, out: usize) void;
    };
    const files = struct {
        extern "portcullis:plugin/files@1.0.0" fn read(usize, usize, out: usize) void;
        extern "portcullis:plugin/files@1.0.0" fn entries(usize, usize, out: usize) void;
    };
};

/// For the SDK's own root file.
pub const glue = struct {
    /// What `configure` makes.
    pub var lasting: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);
    /// What a call makes.
    pub var passing: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);
    pub var current: *std.heap.ArenaAllocator = &passing;

    /// The text of an error, and none left for the next.
    pub fn explain(err: anyerror) []const u8 {
        defer failure = "";
        return if (err == error.Failed and failure.len != 0) failure else @errorName(err);
    }

    pub fn write(level: i32, line: []const u8) void {
        imports.log.write(level, abi.address(line), line.len);
    }

    pub const load = abi.load;
    pub const store = abi.store;
    pub const sizeOf = abi.sizeOf;
};

test find {
    const words = [_][]const u8{ "a", "B", "ab", "aab", "\x01", "@", "\xc3\xa4", "a\x81", "abababab", "aaaaaaaaa" };
    const letters = "aAbB@\x01\x81\xc3\xa4`";
    var dice: std.Random.DefaultPrng = .init(42);
    for (0..3000) |i| {
        var bytes: [40]u8 = undefined;
        const text = bytes[0 .. i % bytes.len];
        for (text) |*byte| byte.* = letters[dice.random().uintLessThan(usize, if (i % 2 == 0) letters.len else 4)];
        for (words) |word| {
            for (0..text.len + 2) |from| {
                // The same, said simply.
                const simply = for (from..@max(from, text.len)) |at| {
                    if (std.ascii.startsWithIgnoreCase(text[at..], word)) break at;
                } else null;
                try std.testing.expectEqual(simply, find(text, word, from));
            }
        }
    }
    try std.testing.expectEqual(null, find("abc", "", 0));
}
