#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_gateway::doors::mcp::fuzzing::sse(input));
