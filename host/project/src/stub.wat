;; Deterministic, capability-free stand-in for the WASI preview1 adapter.
;; No WASI p2 imports at all: output is discarded, clocks tick by 1 ms per read,
;; randomness is a fixed xorshift stream, there are no files, no env, no args.
(module
  (import "env" "memory" (memory 0))
  (global $t (mut i64) (i64.const 1700000000000000000))
  (global $s (mut i64) (i64.const 0x9E3779B97F4A7C15))
  (func $next (result i64)
    global.get $s global.get $s i64.const 13 i64.shl i64.xor global.set $s
    global.get $s global.get $s i64.const 7 i64.shr_u i64.xor global.set $s
    global.get $s global.get $s i64.const 17 i64.shl i64.xor global.set $s
    global.get $s)
  (func (export "sched_yield") (result i32) i32.const 0)
  (func (export "proc_exit") (param i32) unreachable)
  (func (export "proc_raise") (param i32) (result i32) unreachable)
  (func $zero2 (param i32 i32) (result i32)
    local.get 0 i32.const 0 i32.store local.get 1 i32.const 0 i32.store i32.const 0)
  (func $ok2 (param i32 i32) (result i32) i32.const 0)
  (export "args_sizes_get" (func $zero2)) (export "args_get" (func $ok2))
  (export "environ_sizes_get" (func $zero2)) (export "environ_get" (func $ok2))
  (func (export "clock_time_get") (param i32 i64 i32) (result i32)
    global.get $t i64.const 1000000 i64.add global.set $t
    local.get 2 global.get $t i64.store i32.const 0)
  (func (export "clock_res_get") (param i32 i32) (result i32)
    local.get 1 i64.const 1000000 i64.store i32.const 0)
  (func (export "random_get") (param $p i32) (param $n i32) (result i32)
    (block $done (loop $l
      local.get $n i32.eqz br_if $done
      local.get $p call $next i32.wrap_i64 i32.store8
      local.get $p i32.const 1 i32.add local.set $p
      local.get $n i32.const 1 i32.sub local.set $n
      br $l))
    i32.const 0)
  (func (export "fd_write") (param $fd i32) (param $iov i32) (param $cnt i32) (param $out i32) (result i32)
    (local $sum i32)
    (if (i32.or (i32.lt_u (local.get $fd) (i32.const 1)) (i32.gt_u (local.get $fd) (i32.const 2)))
      (then (return (i32.const 8))))
    (block $done (loop $l
      local.get $cnt i32.eqz br_if $done
      local.get $sum local.get $iov i32.load offset=4 i32.add local.set $sum
      local.get $iov i32.const 8 i32.add local.set $iov
      local.get $cnt i32.const 1 i32.sub local.set $cnt
      br $l))
    local.get $out local.get $sum i32.store
    i32.const 0)
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32)
    (if (local.get 0) (then (return (i32.const 8))))
    local.get 3 i32.const 0 i32.store i32.const 0)
  (func (export "fd_close") (param i32) (result i32) i32.const 8)
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) i32.const 70)
  (func (export "fd_fdstat_get") (param i32 i32) (result i32)
    (if (i32.gt_u (local.get 0) (i32.const 2)) (then (return (i32.const 8))))
    local.get 1 i64.const 2 i64.store          ;; character device, no flags
    local.get 1 i64.const 64 i64.store offset=8 ;; rights: fd_write
    local.get 1 i64.const 0 i64.store offset=16
    i32.const 0)
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) i32.const 0)
  (func (export "fd_prestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "fd_filestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) i32.const 76)
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) i32.const 76)
  ;; every subscription is reported ready at once
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $n i32) (param $nev i32) (result i32)
    local.get $nev local.get $n i32.store
    (block $done (loop $l
      local.get $n i32.eqz br_if $done
      local.get $out local.get $in i64.load i64.store
      local.get $out i64.const 0 i64.store offset=8
      local.get $out local.get $in i32.load8_u offset=8 i32.store8 offset=10
      local.get $out i64.const 0 i64.store offset=16
      local.get $out i64.const 0 i64.store offset=24
      local.get $in i32.const 48 i32.add local.set $in
      local.get $out i32.const 32 i32.add local.set $out
      local.get $n i32.const 1 i32.sub local.set $n
      br $l))
    i32.const 0))
