/// Exports a [`Detector`](crate::Detector) as the component of this crate. Use it once, at the top level of a `cdylib`.
///
/// Natively it exports nothing and lets [`testing::run_cases`](crate::testing::run_cases) run the detector's cases.
#[macro_export]
macro_rules! detector {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        $crate::__export!($plugin, Detector, detector, {
            fn inspect(
                call: $crate::bindings::wire::Call,
            ) -> ::core::result::Result<::std::vec::Vec<$crate::bindings::wire::Finding>, ::std::string::String> {
                let findings = $crate::glue::with(&SLOT, |plugin| {
                    $crate::Detector::inspect(plugin, &call.into(), &$crate::bindings::HostPayload)
                })?;
                Ok($crate::bindings::lift(findings))
            }
        });
        #[cfg(not(target_family = "wasm"))]
        $crate::__subject!($plugin, Detector, |plugin, case, payload| {
            match $crate::Detector::inspect(&plugin, &case.call(), payload) {
                Ok(findings) => $crate::testing::Outcome::of_findings(&findings, payload),
                Err(error) => Ok($crate::testing::Outcome::Error(error)),
            }
        });
    };
}

/// Exports a [`Rule`](crate::Rule) as the component of this crate. Use it once, at the top level of a `cdylib`.
///
/// Natively it exports nothing and lets [`testing::run_cases`](crate::testing::run_cases) run the rule's cases.
#[macro_export]
macro_rules! rule {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        $crate::__export!($plugin, Rule, rule, {
            fn decide(
                call: $crate::bindings::wire::Call,
                findings: ::std::vec::Vec<$crate::bindings::wire::AttributedFinding>,
            ) -> ::core::result::Result<$crate::bindings::wire::Verdict, ::std::string::String> {
                let findings = $crate::bindings::lift(findings);
                let verdict = $crate::glue::with(&SLOT, |plugin| {
                    $crate::Rule::decide(plugin, &call.into(), &$crate::bindings::HostPayload, &findings)
                })?;
                Ok(verdict.into())
            }
        });
        #[cfg(not(target_family = "wasm"))]
        $crate::__subject!($plugin, Rule, |plugin, case, payload| {
            match $crate::Rule::decide(&plugin, &case.call(), payload, &case.findings(payload)?) {
                Ok(verdict) => $crate::testing::Outcome::of_verdict(&verdict, payload),
                Err(error) => Ok($crate::testing::Outcome::Error(error)),
            }
        });
    };
}

/// Exports a [`Router`](crate::Router) as the component of this crate. Use it once, at the top level of a `cdylib`.
///
/// Natively it exports nothing and lets [`testing::run_cases`](crate::testing::run_cases) run the router's cases.
#[macro_export]
macro_rules! router {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        $crate::__export!($plugin, Router, router, {
            fn route(
                call: $crate::bindings::wire::Call,
                findings: ::std::vec::Vec<$crate::bindings::wire::AttributedFinding>,
                reasons: ::std::vec::Vec<$crate::bindings::wire::Reason>,
            ) -> ::core::result::Result<$crate::bindings::wire::Plan, ::std::string::String> {
                let (findings, reasons) = ($crate::bindings::lift(findings), $crate::bindings::lift(reasons));
                let plan = $crate::glue::with(&SLOT, |plugin| {
                    $crate::Router::route(plugin, &call.into(), &$crate::bindings::HostPayload, &findings, &reasons)
                })?;
                Ok(plan.into())
            }
        });
        #[cfg(not(target_family = "wasm"))]
        $crate::__subject!($plugin, Router, |plugin, case, payload| {
            match $crate::Router::route(&plugin, &case.call(), payload, &case.findings(payload)?, &case.park_reasons())
            {
                Ok(plan) => Ok($crate::testing::Outcome::of_plan(&plan)),
                Err(error) => Ok($crate::testing::Outcome::Error(error)),
            }
        });
    };
}

/// The part that is the same for all roles: the slot, `configure`, the exports and the contract's version stamp.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $role:ident, $world:ident, { $answer:item }) => {
        const _: () = {
            ::std::thread_local! {
                static SLOT: $crate::glue::Slot<$plugin> = const { ::std::cell::RefCell::new(None) };
            }

            struct Exports;

            impl $crate::bindings::$world::Guest for Exports {
                fn configure(config: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                    $crate::glue::report_panics();
                    $crate::glue::configure(&SLOT, &config, <$plugin as $crate::$role>::configure)
                }

                $answer
            }

            $crate::bindings::$world::export!(Exports with_types_in $crate::bindings::$world);

            #[used]
            #[unsafe(link_section = "portcullis:abi")]
            static ABI: [u8; $crate::ABI.len()] = *b"1.0.0";
        };
    };
}

/// Natively a plugin exports nothing; its cases can be run.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __subject {
    ($plugin:ty, $role:ident, |$self:ident, $case:ident, $payload:ident| $answer:expr) => {
        impl $crate::testing::Subject for $plugin {
            fn run(
                $case: &$crate::testing::Case,
            ) -> ::core::result::Result<$crate::testing::Outcome, $crate::testing::CaseError> {
                let $payload = &$case.payload()?;
                let configured =
                    $crate::glue::parse_config(&$case.config_text()).and_then(<$plugin as $crate::$role>::configure);
                match configured {
                    Ok($self) => $answer,
                    Err(error) => Ok($crate::testing::Outcome::Error(error)),
                }
            }
        }
    };
}
