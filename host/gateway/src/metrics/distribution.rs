use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A histogram of whole numbers that counts without a lock; `prometheus-client`'s own takes a mutex each time.
#[derive(Clone, Debug)]
pub(super) struct Distribution(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Largest number of each bucket, rising.
    bounds: Vec<u64>,
    /// One for each bucket and one for what is beyond them.
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
    /// How many of what is counted make one of the metric's unit.
    scale: f64,
}

impl Distribution {
    /// Times from 10 us to 10 s, counted in microseconds and shown in seconds.
    pub(super) fn seconds() -> Self {
        Self::new((0..16).map(|step| 10.0 * 2.5_f64.powi(step)), 1e6)
    }

    /// Fuel from 1,000 to 262 million.
    pub(super) fn fuel() -> Self {
        Self::new((0..10).map(|step| 1_000.0 * 4_f64.powi(step)), 1.0)
    }

    /// Bytes from 64 KiB to 64 MiB.
    pub(super) fn memory() -> Self {
        Self::new((0..6).map(|step| 65_536.0 * 4_f64.powi(step)), 1.0)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are small and not negative")]
    fn new(bounds: impl Iterator<Item = f64>, scale: f64) -> Self {
        let bounds: Vec<u64> = bounds.map(|bound| bound as u64).collect();
        let buckets = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self(Arc::new(Counts { bounds, buckets, sum: AtomicU64::default(), scale }))
    }

    /// Counts one.
    pub(super) fn observe(&self, value: u64) {
        let Counts { bounds, buckets, sum, .. } = &*self.0;
        if let Some(bucket) = buckets.get(bounds.partition_point(|bound| *bound < value)) {
            bucket.fetch_add(1, Relaxed);
            sum.fetch_add(value, Relaxed);
        }
    }

    /// Counts one time.
    pub(super) fn observe_time(&self, took: Duration) {
        self.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

impl TypedMetric for Distribution {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Distribution {
    #[allow(clippy::cast_precision_loss, reason = "figures for a graph")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Counts { bounds, buckets, sum, scale } = &*self.0;
        let bounds = bounds.iter().map(|bound| *bound as f64 / scale).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(buckets.iter().map(|bucket| bucket.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.load(Relaxed) as f64 / scale, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn buckets_include_their_bound_and_the_last_takes_the_rest() {
        let distribution = Distribution::new([10.0, 100.0].into_iter(), 1.0);
        for value in [0, 10, 11, 100, 101, 5_000] {
            distribution.observe(value);
        }
        let mut registry = Registry::default();
        registry.register("d", "numbers", distribution);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE d histogram",
            "d_sum 5222.0",
            "d_count 6",
            "d_bucket{le=\"10.0\"} 2",
            "d_bucket{le=\"100.0\"} 4",
            "d_bucket{le=\"+Inf\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let distribution = Distribution::seconds();
        distribution.observe_time(Duration::from_millis(1_500));
        let mut registry = Registry::default();
        registry.register("t", "time", distribution);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("t_sum 1.5\n") && text.contains("t_bucket{le=\"0.00001\"} 0\n"), "{text}");
    }
}
