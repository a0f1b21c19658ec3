//! How brokers are reached, and what they say when they are not.

use crate::sinks::{FIRST_REACH, SinkError, Target};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Options of a URL that say how brokers are reached: what every client of them takes.
pub const CONNECTION: [&str; 3] = ["ca", "mechanism", "tls"];
/// How long one question to a broker may take: between two, what else was heard is looked at.
const QUESTION: Duration = Duration::from_secs(1);
/// The most partitions that a broker creates at once.
const MOST_PARTITIONS: u32 = 10_000;

/// What all clients of a broker need: brokers, log-in, encryption, and no log on standard error.
///
/// # Errors
/// The URL asks for something that there is not.
pub fn client_config(target: &Target) -> Result<ClientConfig, SinkError> {
    let refused = |what: &str| SinkError::Refused(format!("{}: {what}", target.shown()));
    let built = |feature: &str, what: &str| {
        let missing = format!("this program was built without {what} for Kafka; build it with RUSTFLAGS='--cfg kafka_tls'");
        if built_in(feature) { Ok(()) } else { Err(refused(&missing)) }
    };
    let option = |name: &str| target.options.get(name).map(String::as_str);
    let hosts: Vec<String> =
        target.hosts.split(',').map(|host| if has_port(host) { host.to_owned() } else { format!("{host}:9092") }).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", hosts.join(",")).set("client.id", "populace").set("log.connection.close", "false");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let tls = match option("tls") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(refused("tls must be true or false")),
    };
    if tls {
        built("ssl", "TLS")?;
    }
    if let Some(ca) = option("ca") {
        if !tls {
            return Err(refused("ca=FILE needs tls=true"));
        }
        File::open(ca).map_err(|error| refused(&format!("ca: {ca}: {error}")))?;
        config.set("ssl.ca.location", ca);
    }
    let mechanism = match option("mechanism") {
        None | Some("PLAIN") => "PLAIN",
        Some(scram @ ("SCRAM-SHA-256" | "SCRAM-SHA-512")) => {
            built("sasl_scram", "SCRAM")?;
            scram
        }
        Some(_) => return Err(refused("mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")),
    };
    match (&target.user, &target.password) {
        (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
            config.set("security.protocol", if tls { "SASL_SSL" } else { "SASL_PLAINTEXT" });
            config.set("sasl.mechanism", mechanism).set("sasl.username", user).set("sasl.password", password);
        }
        (Some(_), _) => return Err(refused("a user needs a password: kafka://USER:PASSWORD@HOST:PORT/TOPIC")),
        (None, _) if option("mechanism").is_some() => {
            return Err(refused("mechanism needs a user: kafka://USER:PASSWORD@HOST:PORT/TOPIC"));
        }
        (None, _) => drop(config.set("security.protocol", if tls { "SSL" } else { "PLAINTEXT" })),
    }
    Ok(config)
}

/// Whether librdkafka was built with something.
fn built_in(feature: &str) -> bool {
    let features = ClientConfig::new().create_native_config().and_then(|config| config.get("builtin.features"));
    features.is_ok_and(|features| features.split(',').any(|built| built.trim_matches('\0') == feature))
}

fn has_port(host: &str) -> bool {
    !host.ends_with(']') && host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// What a producer needs besides: idempotent, acknowledged by all replicas that are in step, lz4; `timeout` for a record on its way.
pub fn producer_config(config: &mut ClientConfig, compression: &str, timeout: Duration) {
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", compression)
        // The partition of a key is that of the Java and .NET clients.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("reconnect.backoff.max.ms", "1000")
        .set("message.timeout.ms", timeout.as_millis().to_string());
}

/// The last thing a client heard of its brokers: what a time-out does not say.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>);

impl LastError {
    /// Keeps an error.
    pub fn keep(&self, error: &KafkaError, reason: &str) {
        // `all brokers down` says less than what came before it.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
        }
    }

    /// What was kept last.
    pub fn told(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What will not go away by waiting, of what was heard.
    fn refusal(&self, shown: &str) -> Option<SinkError> {
        let (code, reason) = self.told()?;
        match code {
            RDKafkaErrorCode::Authentication => {
                Some(SinkError::Refused(format!("{shown}: the broker refuses the user or the password: {reason}")))
            }
            RDKafkaErrorCode::SSL => Some(SinkError::Refused(format!(
                "{shown}: no encrypted connection: {reason}; if the broker's certificate is signed by an authority of its own, give that \
                 with ca=FILE"
            ))),
            _ => None,
        }
    }

    /// Why something failed, as well as it is known.
    pub fn explain(&self, shown: &str, error: &KafkaError) -> SinkError {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                return SinkError::Refused(format!("{shown}: the broker does not allow it to this user: {error}"));
            }
            Some(Code::MessageSizeTooLarge) => {
                return SinkError::Refused(format!("{shown}: a record is larger than the broker takes: {error}"));
            }
            Some(Code::InvalidRecord | Code::PolicyViolation | Code::InvalidTopic) => {
                return SinkError::Refused(format!("{shown}: the broker refuses it: {error}"));
            }
            _ => {}
        }
        self.refusal(shown).unwrap_or_else(|| match self.told() {
            Some((_, reason)) => SinkError::Unavailable(format!("{shown}: {error}; last error: {reason}")),
            None => SinkError::Unavailable(format!("{shown}: {error}")),
        })
    }
}

/// The number of partitions of a topic, none if there is no such topic; 0 if there is nobody yet who leads them.
fn partitions_of(metadata: &Metadata, topic: &str, shown: &str) -> Result<Option<usize>, SinkError> {
    use RDKafkaErrorCode as Code;
    let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else { return Ok(None) };
    match known.error().map(Code::from) {
        None => Ok(Some(known.partitions().len())),
        Some(Code::UnknownTopicOrPartition) => Ok(None),
        Some(Code::TopicAuthorizationFailed) => {
            Err(SinkError::Refused(format!("{shown}: the broker does not allow topic `{topic}` to this user; ask for the right to it")))
        }
        Some(Code::InvalidTopic) => Err(SinkError::Refused(format!("{shown}: `{topic}` is not a valid topic name"))),
        Some(_) => Ok(Some(0)),
    }
}

/// Makes sure that a topic is there: creates it with so many partitions if that is asked for. While it waits it calls `poll`, which lets
/// the client hear errors. Returns how many partitions there are.
///
/// # Errors
/// No broker is reached within seconds, it refuses the user, or there is no such topic.
pub fn ensure_topic<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    poll: &dyn Fn(),
    last: &LastError,
    target: &Target,
    topic: &str,
) -> Result<usize, SinkError> {
    let shown = target.shown();
    let create = target.number("partitions")?;
    if create.is_some_and(|partitions| partitions > MOST_PARTITIONS) {
        return Err(SinkError::Refused(format!("{shown}: partitions must be at most {MOST_PARTITIONS}")));
    }
    let mut created = false;
    let until = Instant::now() + FIRST_REACH;
    loop {
        let asked = client.fetch_metadata(Some(topic), QUESTION);
        poll();
        match asked {
            Ok(metadata) => match (partitions_of(&metadata, topic, &shown)?, create) {
                (Some(partitions), _) if partitions > 0 => return Ok(partitions),
                (None, None) => {
                    return Err(SinkError::Refused(format!(
                        "{shown}: there is no topic `{topic}`; create it, or add ?partitions=N to the URL and it will be created"
                    )));
                }
                (None, Some(partitions)) if !created => {
                    create_topic(target, topic, partitions)?;
                    created = true;
                }
                // A broker may know of it a moment later.
                _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
                _ => return Err(SinkError::Unavailable(format!("{shown}: nobody leads the partitions of topic `{topic}`; try again"))),
            },
            Err(error) => {
                if let Some(refusal) = last.refusal(&shown) {
                    return Err(refusal);
                }
                if Instant::now() >= until {
                    let heard = last.told().map_or_else(|| error.to_string(), |(_, reason)| reason);
                    return Err(SinkError::Unavailable(format!("{shown}: no broker answers ({heard}); is Kafka running there?")));
                }
            }
        }
    }
}

fn create_topic(target: &Target, topic: &str, partitions: u32) -> Result<(), SinkError> {
    let shown = target.shown();
    let admin: AdminClient<DefaultClientContext> =
        client_config(target)?.create().map_err(|error| SinkError::Refused(format!("{shown}: {error}")))?;
    let new = [NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1))];
    let options = AdminOptions::new().operation_timeout(Some(FIRST_REACH));
    let made = block_on(admin.create_topics(&new, &options))
        .map_err(|error| SinkError::Unavailable(format!("{shown}: creating topic `{topic}`: {error}")))?;
    match made.first() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, error))) => Err(SinkError::Refused(format!("{shown}: creating topic `{topic}`: {error}"))),
        None => Err(SinkError::Unavailable(format!("{shown}: creating topic `{topic}`: no answer"))),
    }
}

/// Waits for a future in this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
