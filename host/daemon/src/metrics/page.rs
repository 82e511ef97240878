//! The text that Prometheus reads. Made anew for every scrape from plain numbers, so that nothing on a
//! reading's way knows of it.

use std::collections::BTreeMap;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric as Series, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::table::{ALL, Kind, Metric};

/// Of one metric; what is beyond is left out, since an unbounded metric brings a Prometheus down.
const SERIES_MAX: usize = 2_000;

#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, Vec<Series>>,
}

impl Page {
    /// One value. `labels` are the values of `metric.labels`, in their order.
    pub fn add(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let family = self.families.entry(metric.name).or_default();
        if family.len() >= SERIES_MAX {
            return;
        }
        let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut series = Series::from_label(pairs.collect());
        match metric.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
        }
        family.push(series);
    }

    /// In the table's order; metrics without a value are left out.
    pub fn text(mut self) -> String {
        let families: Vec<MetricFamily> = ALL
            .iter()
            .filter_map(|metric| {
                let series = self.families.remove(metric.name)?;
                let mut family = MetricFamily::default();
                family.set_name(metric.name.to_owned());
                family.set_help(metric.help.to_owned());
                family.set_field_type(match metric.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                });
                family.set_metric(series);
                Some(family)
            })
            .collect();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "cannot write the metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
