//! What librdkafka says of itself every few seconds, as far as it tells a user whether Kafka is the trouble.

use std::sync::{Arc, Mutex};

use rdkafka::statistics::{Broker, Statistics};

use crate::locked;

/// Of one client, as of its last statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClientFigures {
    pub brokers_up: u64,
    /// Mean of the last interval, of the slowest broker.
    pub round_trip_seconds: f64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Requests that got no answer in time, or could not be sent or read.
    pub failed_requests: u64,
    /// Fetched and not read yet, or sent and not acknowledged yet.
    pub queued_messages: u64,
    pub rebalances: u64,
}

impl ClientFigures {
    fn of(statistics: &Statistics) -> ClientFigures {
        // Those without a node are addresses to begin with, which lead to the others.
        let brokers = || statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        let round_trip_us = |broker: &Broker| broker.rtt.as_ref().map_or(0, |window| window.avg);
        let failed = |broker: &Broker| broker.req_timeouts + broker.txerrs + broker.rxerrs;
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let fetched: i64 = partitions.map(|partition| partition.fetchq_cnt).sum();
        ClientFigures {
            brokers_up: brokers().filter(|broker| broker.state == "UP").count() as u64,
            round_trip_seconds: brokers().map(round_trip_us).max().unwrap_or(0) as f64 / 1e6,
            received_bytes: statistics.rx_bytes.max(0) as u64,
            sent_bytes: statistics.tx_bytes.max(0) as u64,
            failed_requests: statistics.brokers.values().map(failed).sum(),
            queued_messages: statistics.msg_cnt + fetched.max(0) as u64,
            rebalances: statistics.cgrp.as_ref().map_or(0, |group| group.rebalance_cnt.max(0) as u64),
        }
    }
}

/// Kept by the client's context, read by whoever shows them.
#[derive(Clone, Default)]
pub struct Figures(Arc<Mutex<ClientFigures>>);

impl Figures {
    pub fn set(&self, statistics: &Statistics) {
        *locked(&self.0) = ClientFigures::of(statistics);
    }

    pub fn get(&self) -> ClientFigures {
        *locked(&self.0)
    }
}
