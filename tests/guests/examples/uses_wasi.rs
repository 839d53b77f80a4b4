//! Tries everything that a language runtime may want of WASI: clocks, random bytes, environment, sleep, output, exit.
#![allow(missing_docs, unsafe_code, reason = "generated bindings, called by the host")]

wit_bindgen::generate!({
    world: "wasi-detector",
    path: "../../wit/plugin@1.0.0",
    inline: r#"
        package test:guests;

        world wasi-detector {
            include portcullis:plugin/detector@1.0.0;
            import wasi:cli/environment@0.2.0;
            import wasi:cli/exit@0.2.0;
            import wasi:clocks/wall-clock@0.2.0;
            import wasi:clocks/monotonic-clock@0.2.0;
            import wasi:random/random@0.2.0;
            import wasi:io/poll@0.2.0;
        }

        package wasi:cli@0.2.0 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
                get-arguments: func() -> list<string>;
            }
            interface exit {
                exit: func(status: result);
            }
        }

        package wasi:clocks@0.2.0 {
            interface wall-clock {
                record datetime { seconds: u64, nanoseconds: u32 }
                now: func() -> datetime;
            }
            interface monotonic-clock {
                use wasi:io/poll@0.2.0.{pollable};
                now: func() -> u64;
                subscribe-duration: func(when: u64) -> pollable;
            }
        }

        package wasi:random@0.2.0 {
            interface random {
                get-random-bytes: func(len: u64) -> list<u8>;
            }
        }

        package wasi:io@0.2.0 {
            interface poll {
                resource pollable {
                    ready: func() -> bool;
                    block: func();
                }
                poll: func(in: list<borrow<pollable>>) -> list<u32>;
            }
        }
    "#,
    generate_all,
});

test_guests::stamp!();

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(call: Call) -> Result<Vec<Finding>, String> {
        use wasi::cli::environment::{get_arguments, get_environment};
        use wasi::clocks::{monotonic_clock, wall_clock};
        use wasi::random::random::get_random_bytes;
        if call.tool == "exit" {
            wasi::cli::exit::exit(Err(()));
        }
        if call.tool == "greedy" {
            let many = get_random_bytes(1 << 40);
            return Err(format!("got {} bytes", many.len()));
        }
        let nap = monotonic_clock::subscribe_duration(3_600_000_000_000);
        nap.block();
        let ready = wasi::io::poll::poll(&[&nap]);
        let time = wall_clock::now();
        let seen = format!(
            "{} {} {:?} {} {:?} {:?} {:?}",
            time.seconds,
            time.nanoseconds,
            monotonic_clock::now(),
            nap.ready(),
            ready,
            get_random_bytes(8),
            (get_environment(), get_arguments()),
        );
        Ok(vec![test_guests::finding!("wasi.seen", 1.0, seen)])
    }
}

export!(Plugin);
