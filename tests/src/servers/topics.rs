//! What an administrator does with topics, and where they end.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// An administrator's client of one broker. Every call returns once its effect is to be seen, and panics with
/// the broker's words otherwise.
pub struct Topics {
    admin: AdminClient<DefaultClientContext>,
    consumer: BaseConsumer,
}

impl Topics {
    pub fn of(bootstrap: &str) -> Topics {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "200");
        // Metadata is asked for, not remembered: topics are deleted and made again under the same name.
        config.set("topic.metadata.propagation.max.ms", "0").set("allow.auto.create.topics", "false");
        Topics { admin: config.create().unwrap(), consumer: config.create().unwrap() }
    }

    /// A topic that keeps everything, also readings that say they are from long ago.
    pub fn create(&self, name: &str, partitions: usize) {
        self.create_with(name, partitions, &[("retention.ms", "-1")]);
    }

    /// A topic with the broker's defaults but for these.
    pub fn create_with(&self, name: &str, partitions: usize, config: &[(&str, &str)]) {
        let partitions_i32 = i32::try_from(partitions).unwrap();
        let mut topic = NewTopic::new(name, partitions_i32, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        done(name, wait(self.admin.create_topics([&topic], &options())));
        self.until(name, partitions);
    }

    /// Without waiting for more than that nobody is told of it any longer.
    pub fn delete(&self, name: &str) {
        done(name, wait(self.admin.delete_topics(&[name], &options())));
        self.until(name, 0);
    }

    /// More partitions than there were, so many in all.
    pub fn grow(&self, name: &str, partitions: usize) {
        done(name, wait(self.admin.create_partitions([&NewPartitions::new(name, partitions)], &options())));
        self.until(name, partitions);
    }

    /// How many partitions it has; none if it does not exist.
    pub fn partitions(&self, name: &str) -> usize {
        self.led(name).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    /// For each partition the first offset and the one after the last, markers of transactions counted.
    pub fn offsets(&self, name: &str) -> Vec<(i64, i64)> {
        let partitions = i32::try_from(self.partitions(name)).unwrap();
        let of = |partition| {
            let marks = self.consumer.fetch_watermarks(name, partition, PATIENCE);
            marks.unwrap_or_else(|error| panic!("{name}-{partition}: {error}"))
        };
        (0..partitions).map(of).collect()
    }

    /// Partitions that have a leader.
    fn led(&self, name: &str) -> Result<usize, String> {
        let metadata =
            self.consumer.fetch_metadata(Some(name), PATIENCE).map_err(|error| error.to_string())?;
        let topic = metadata.topics().first().ok_or("no such topic in the metadata")?;
        Ok(topic.partitions().iter().filter(|partition| partition.leader() >= 0).count())
    }

    fn until(&self, name: &str, partitions: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.led(name) {
                Ok(led) if led == partitions => return,
                seen if Instant::now() > deadline => panic!("{name}: not {partitions} partitions: {seen:?}"),
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

fn done(name: &str, results: KafkaResult<Vec<TopicResult>>) {
    for result in results.unwrap_or_else(|error| panic!("{name}: {error}")) {
        result.unwrap_or_else(|(topic, code)| panic!("{topic}: {code}"));
    }
}

/// Waits for one future on this thread: rdkafka's own threads do the work.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
