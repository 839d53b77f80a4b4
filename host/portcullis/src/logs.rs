//! Logs on standard error, and traces to a collector when asked for.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::{LogFormat, Logs, Traces};

/// Sends what is left of the traces when dropped.
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Starts logging, once per process.
///
/// # Errors
/// The level is not a filter, or the exporter of traces cannot be made.
pub(crate) fn start(logs: &Logs, traces: &Traces) -> Result<Telemetry> {
    let filter = EnvFilter::try_new(&logs.level)
        .with_context(|| format!("logs.level: `{}` is not a level or filter", logs.level))?;
    let lines = match logs.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_ansi(colours).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let provider = traces.otlp.as_deref().map(|base| provider(base, traces.sample.unwrap_or(1.0))).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("portcullis"))
            // The exporter's own HTTP client must not trace itself.
            .with_filter(tracing_subscriber::filter::filter_fn(|meta| meta.target().starts_with("portcullis")))
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).init();
    Ok(Telemetry(provider))
}

fn provider(base: &str, share: f64) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", base.trim_end_matches('/')))
        .build()
        .with_context(|| format!("traces.otlp: cannot export to {base}"))?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_resource(Resource::builder().with_service_name("portcullis").build())
        .build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take() {
            // Best effort: the process ends either way.
            let _ = provider.shutdown();
        }
    }
}
