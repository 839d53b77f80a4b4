//! "Randomness" inside the sandbox: always the same bytes, because a verdict must be the same when it is replayed.

#[allow(unsafe_code, reason = "the getrandom crate looks this symbol up and gives it a buffer of `len` bytes")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    // SAFETY: the caller owns `len` bytes at `dest`.
    unsafe { dest.write_bytes(0x5a, len) };
    Ok(())
}
