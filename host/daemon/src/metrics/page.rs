//! The text that Prometheus reads. Made anew for every scrape from plain numbers, so that nothing on a
//! reading's way knows of it.

use std::collections::BTreeMap;

use gridwatch_core::durations::{BOUNDS_NS, Durations};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Series, MetricFamily, MetricType,
};
use prometheus::{Encoder, TextEncoder};

use super::process;
use super::table::{ALL, Kind, Metric, SERIES_LEFT_OUT};

/// Of one metric; what is beyond is left out, since an unbounded metric brings a Prometheus down.
const SERIES_MAX: usize = 2_000;

#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, Vec<Series>>,
    left_out: u64,
}

impl Page {
    /// One value. `labels` are the values of `metric.labels`, in their order.
    pub fn add(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.put(metric, labels, |series| match metric.kind {
            Kind::Counter | Kind::Histogram => {
                let mut counter = Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
        });
    }

    /// All durations of a metric of kind `Histogram`.
    pub fn add_durations(&mut self, metric: &'static Metric, labels: &[&str], durations: &Durations) {
        self.put(metric, labels, |series| {
            let buckets = durations.cumulative().map(|(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(durations.count());
            histogram.set_sample_sum(durations.sum_seconds());
            series.set_histogram(histogram);
        });
    }

    fn put(&mut self, metric: &'static Metric, labels: &[&str], fill: impl FnOnce(&mut Series)) {
        let family = self.families.entry(metric.name).or_default();
        let weight = if metric.kind == Kind::Histogram { BOUNDS_NS.len() } else { 1 };
        if family.len() * weight >= SERIES_MAX {
            self.left_out += weight as u64;
            return;
        }
        let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut series = Series::from_label(pairs.collect());
        fill(&mut series);
        family.push(series);
    }

    /// In the table's order; metrics without a value are left out. At the end, what is told of every process.
    pub fn text(mut self) -> String {
        self.add(&SERIES_LEFT_OUT, &[], self.left_out as f64);
        let mut families: Vec<MetricFamily> = ALL
            .iter()
            .filter_map(|metric| {
                let series = self.families.remove(metric.name)?;
                let mut family = MetricFamily::default();
                family.set_name(metric.name.to_owned());
                family.set_help(metric.help.to_owned());
                family.set_field_type(match metric.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                    Kind::Histogram => MetricType::HISTOGRAM,
                });
                family.set_metric(series);
                Some(family)
            })
            .collect();
        families.extend(process::families());
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "cannot write the metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
