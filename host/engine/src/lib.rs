//! Runs WebAssembly plugins: compile, snapshot, pool, limits, capabilities.
