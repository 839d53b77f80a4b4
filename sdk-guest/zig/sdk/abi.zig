//! The canonical ABI for the types of the plugin contract: where a value of a Zig type lies in memory, and how it is read
//! from there and written there.
//!
//! `bool`, integers, floats, enums, `[]const T`, `?T`, structs (records, in the order of their fields), tagged unions
//! (variants, in the order of their cases). `[]const u8` is a string or a list of bytes.

const std = @import("std");
const Allocator = std.mem.Allocator;

pub fn alignOf(comptime T: type) usize {
    comptime return switch (@typeInfo(T)) {
        .void => 1,
        .bool, .@"enum" => 1,
        .int => |int| int.bits / 8,
        .float => |float| float.bits / 8,
        .pointer => 4,
        .optional => |optional| alignOf(optional.child),
        .@"struct" => |record| most(record.field_types),
        .@"union" => |variant| most(variant.field_types),
        else => @compileError("no type of the contract: " ++ @typeName(T)),
    };
}

pub fn sizeOf(comptime T: type) usize {
    comptime return switch (@typeInfo(T)) {
        .void => 0,
        .bool, .@"enum" => 1,
        .int, .float => alignOf(T),
        .pointer => 8,
        .optional => |optional| up(payload(T) + sizeOf(optional.child), alignOf(T)),
        .@"struct" => |record| up(offset(record.field_types, record.field_types.len), alignOf(T)),
        .@"union" => |variant| blk: {
            var largest: usize = 0;
            for (variant.field_types) |Case| largest = @max(largest, sizeOf(Case));
            break :blk up(payload(T) + largest, alignOf(T));
        },
        else => @compileError("no type of the contract: " ++ @typeName(T)),
    };
}

/// Where the value of an optional or a variant lies, behind its tag.
fn payload(comptime T: type) usize {
    return up(1, alignOf(T));
}

fn most(comptime types: []const type) usize {
    var largest: usize = 1;
    for (types) |T| largest = @max(largest, alignOf(T));
    return largest;
}

/// Where a field lies; one past the last is where they end.
fn offset(comptime types: []const type, comptime field: usize) usize {
    var at: usize = 0;
    for (types, 0..) |T, i| {
        at = up(at, alignOf(T));
        if (i == field) return at;
        at += sizeOf(T);
    }
    return at;
}

fn up(at: usize, alignment: usize) usize {
    return (at + alignment - 1) / alignment * alignment;
}

/// Writes a value. Lists go to the arena; strings stay where they are.
pub fn store(comptime T: type, arena: Allocator, at: usize, value: T) Allocator.Error!void {
    switch (@typeInfo(T)) {
        .void => {},
        .bool => place(u8, at).* = @intFromBool(value),
        .@"enum" => place(u8, at).* = index(T, value),
        .int, .float => place(T, at).* = value,
        .pointer => |pointer| {
            place(u32, at).* = if (pointer.child == u8) address(value) else try storeItems(pointer.child, arena, value);
            place(u32, at + 4).* = value.len;
        },
        .optional => |optional| {
            place(u8, at).* = @intFromBool(value != null);
            if (value) |some| try store(optional.child, arena, at + comptime payload(T), some);
        },
        .@"struct" => |record| inline for (record.field_names, record.field_types, 0..) |name, Field, i| {
            try store(Field, arena, at + comptime offset(record.field_types, i), @field(value, name));
        },
        .@"union" => switch (value) {
            inline else => |inner, tag| {
                place(u8, at).* = index(@TypeOf(tag), tag);
                try store(@TypeOf(inner), arena, at + comptime payload(T), inner);
            },
        },
        else => comptime unreachable,
    }
}

fn storeItems(comptime Item: type, arena: Allocator, items: []const Item) Allocator.Error!usize {
    if (items.len == 0) return nowhere;
    const size = comptime sizeOf(Item);
    const bytes = try arena.alignedAlloc(u8, .@"8", items.len * size);
    const start = @intFromPtr(bytes.ptr);
    for (items, 0..) |item, i| try store(Item, arena, start + i * size, item);
    return start;
}

/// Reads a value. Strings stay where they are; lists of other things are made in the arena.
pub fn load(comptime T: type, arena: Allocator, at: usize) Allocator.Error!T {
    switch (@typeInfo(T)) {
        .void => return,
        .bool => return place(u8, at).* != 0,
        .@"enum" => {
            inline for (comptime std.enums.values(T), 0..) |one, i| if (place(u8, at).* == i) return one;
            unreachable;
        },
        .int, .float => return place(T, at).*,
        .pointer => |pointer| {
            const start = place(u32, at).*;
            const len = place(u32, at + 4).*;
            if (len == 0) return &.{};
            if (pointer.child == u8) return @as([*]const u8, @ptrFromInt(start))[0..len];
            const items = try arena.alloc(pointer.child, len);
            for (items, 0..) |*item, i| item.* = try load(pointer.child, arena, start + i * comptime sizeOf(pointer.child));
            return items;
        },
        .optional => |optional| {
            if (place(u8, at).* == 0) return null;
            return try load(optional.child, arena, at + comptime payload(T));
        },
        .@"struct" => |record| {
            var value: T = undefined;
            inline for (record.field_names, record.field_types, 0..) |name, Field, i| {
                @field(value, name) = try load(Field, arena, at + comptime offset(record.field_types, i));
            }
            return value;
        },
        .@"union" => |variant| {
            inline for (variant.field_names, variant.field_types, 0..) |name, Case, i| {
                if (place(u8, at).* == i) return @unionInit(T, name, try load(Case, arena, at + comptime payload(T)));
            }
            unreachable;
        },
        else => comptime unreachable,
    }
}

/// Where a text begins.
pub fn address(text: []const u8) usize {
    return if (text.len == 0) nowhere else @intFromPtr(text.ptr);
}

/// Where nothing begins: the host looks at the address of an empty list, too, and Zig's may lie beyond the memory.
const nowhere = 8;

fn place(comptime T: type, at: usize) *T {
    return @ptrFromInt(at);
}

/// The place of a case among its like.
fn index(comptime T: type, value: T) u8 {
    inline for (comptime std.enums.values(T), 0..) |one, i| if (value == one) return i;
    unreachable;
}
