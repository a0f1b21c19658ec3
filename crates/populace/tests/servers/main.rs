//! The flow against real servers: Apache Kafka, Apicurio's schema registry and ClickHouse's engine. They are fetched, started and ended by
//! `tests/servers/*.py`, which need Java 17, Maven and Python 3.10; without them these tests fail and say so. Run them with
//! `cargo test --workspace --features populace/kafka --test servers`.

#![expect(unreachable_pub, reason = "the modules of a test are its own")]

#[cfg(feature = "kafka")]
mod brokers;
#[cfg(feature = "kafka")]
mod case;
#[cfg(feature = "kafka")]
mod faults;
mod features;
#[cfg(feature = "kafka")]
mod flow;
mod identities;
#[cfg(feature = "kafka")]
mod login;
#[cfg(feature = "kafka")]
mod once;
#[cfg(feature = "kafka")]
mod partitions;
#[cfg(feature = "kafka")]
mod readme;
mod refusals;
mod seeds;
mod straight;
mod support;
#[cfg(feature = "kafka")]
mod topics;
