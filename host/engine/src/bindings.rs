//! Generated types and host traits of `portcullis:plugin@1.1.0`, one set for the three worlds. Components of 1.0.0 find all
//! that they import in it: a newer minor version only adds.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    dead_code,
    clippy::all,
    reason = "generated from the documented WIT; the generator's trait implementations are unsafe by nature"
)]

wasmtime::component::bindgen!({
    path: "../../wit/plugin@1.1.0",
    inline: r#"
        package portcullis:host;

        world plugin {
            include portcullis:plugin/imports@1.1.0;
            use portcullis:plugin/types@1.1.0.{call, finding, attributed-finding, reason, verdict};
            use portcullis:plugin/routing@1.1.0.{plan};
            export configure: func(config: string) -> result<_, string>;
            export inspect: func(call: call) -> result<list<finding>, string>;
            export decide: func(call: call, findings: list<attributed-finding>) -> result<verdict, string>;
            export route: func(call: call, findings: list<attributed-finding>, reasons: list<reason>) -> result<plan, string>;
        }
    "#,
    world: "plugin",
    imports: { default: trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
