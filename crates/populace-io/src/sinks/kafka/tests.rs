use super::*;
use crate::catalogue::{self, Options};
use crate::document::{Request, Setting, Source};
use crate::generator::{Generator, TableSet};
use crate::run::{Job, NoProgress, Order};
use crate::sinks::feed;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

fn email(users: &str) -> Box<dyn Generator> {
    let settings = [Setting { option: "--users", path: "population.users", value: users }];
    let request = Request { source: Source::Named("email"), profile: None, grafts: &[], settings: &settings };
    catalogue::generator(&catalogue::resolve(&request).unwrap(), Options::default()).unwrap()
}

fn job<'a>(generator: &'a dyn Generator, stop: &'a AtomicBool) -> Job<'a> {
    let tables = TableSet::EMPTY.with(generator.main_table());
    let actors = 0..generator.population().actors;
    Job { generator, seed: 7, threads: 2, tables, actors, trim: 0, order: Order::Actor, stop }
}

/// Values of a topic by key, in their order, once it has so many.
fn read(brokers: &str, topic: &str, count: u64) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "readers").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (mut found, mut rows) = (BTreeMap::<_, Vec<_>>::new(), 0);
    let until = Instant::now() + Duration::from_mins(2);
    while rows < count && Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.entry(message.key().unwrap().to_vec()).or_default().push(message.payload().unwrap().to_vec());
            rows += 1;
        }
    }
    found
}

#[test]
fn through_errors_of_brokers_every_row_arrives_once_and_in_order() {
    use RDKafkaRespErr::*;
    let cluster = MockCluster::new(3).unwrap();
    let errors = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ];
    let generator = email("30");
    let stop = AtomicBool::new(false);
    let job = job(generator.as_ref(), &stop);
    let url = format!("kafka://{}/events", cluster.bootstrap_servers());
    let context = Context { generator: generator.as_ref(), timeout: Duration::from_mins(1) };
    let sink = KafkaSink::open(&Target::parse(&url).unwrap(), context).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &errors.repeat(4));
    let fed = feed(&job, vec![Box::new(sink)], &NoProgress).unwrap();

    let mut expected: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    job.for_each_batch(&NoProgress, &mut |_, batch| {
        let mut lines = Vec::new();
        TextFormat::Jsonl.append(context.main(), &batch, &mut lines);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let value: serde_json::Value = serde_json::from_slice(line).unwrap();
            expected.entry(value["universal_id"].as_str().unwrap().into()).or_default().push(line.to_vec());
        }
        Ok(())
    })
    .unwrap();
    let rows: usize = expected.values().map(Vec::len).sum();
    assert_eq!((fed.rows[0], expected.len()), (rows as u64, 30));
    let found = read(&cluster.bootstrap_servers(), "events", fed.rows[0]);
    assert!(found.into_iter().collect::<HashMap<_, _>>() == expected, "rows, or their order, differ");
}

#[test]
fn a_broker_that_never_acknowledges_is_told_after_the_time_given() {
    let cluster = MockCluster::new(1).unwrap();
    let generator = email("3");
    let stop = AtomicBool::new(false);
    let url = format!("kafka://{}/events", cluster.bootstrap_servers());
    let context = Context { generator: generator.as_ref(), timeout: Duration::from_secs(2) };
    let sink = KafkaSink::open(&Target::parse(&url).unwrap(), context).unwrap();
    cluster.broker_down(1).unwrap();
    let start = Instant::now();
    let told = feed(&job(generator.as_ref(), &stop), vec![Box::new(sink)], &NoProgress).unwrap_err().to_string();
    assert!(told.contains("a record was not acknowledged"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
