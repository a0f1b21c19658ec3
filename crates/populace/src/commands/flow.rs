//! `populace flow`.

use crate::args::{FlowArgs, FlowCommand, FlowDemoArgs};
use crate::failure::Failure;
use crate::show::{self, thousands};
use populace_flow::client::{Answer, post};
use populace_flow::connector::mock::MAX_COUNT;
use populace_flow::http::{Access, Bound, Limits, Running};
use populace_flow::identity::KeyRing;
use populace_flow::service::{Background, Embedded};
use populace_flow::table::{DeadLetters, EventTable};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A webhook of an address that nobody has.
const WEBHOOK: &str =
    r#"[{"email":"user1000@example.com","timestamp":1769850900,"event":"open","sg_event_id":"demo","sg_message_id":"demo"}]"#;

pub(crate) fn run(arguments: &FlowArgs) -> Result<(), Failure> {
    match &arguments.command {
        FlowCommand::Demo(arguments) => demo(arguments),
    }
}

/// What Ctrl-C leaves.
fn interrupted(arguments: &FlowDemoArgs) -> Failure {
    Failure::Interrupted(match &arguments.data {
        Some(directory) => format!("what was taken is in {}", directory.display()),
        None => "nothing is left behind".to_owned(),
    })
}

/// Everything in one process: events are generated, taken by the connector, resolved, logged, consumed and stored; a webhook comes twice
/// and a message that is not an event once.
fn demo(arguments: &FlowDemoArgs) -> Result<(), Failure> {
    // First, so that Ctrl-C never leaves a directory behind.
    let stop = super::progress::stop_flag()?;
    let scratch;
    let directory = if let Some(directory) = &arguments.data {
        directory.as_path()
    } else {
        scratch = tempfile::tempdir().map_err(|error| Failure::input(format!("making a directory: {error}")))?;
        scratch.path()
    };
    let start = Instant::now();
    let flow = Arc::new(Embedded::open(directory)?);
    let before = (flow.log.published()?, EventTable::count(flow.table.as_ref())?, DeadLetters::count(flow.table.as_ref())?);
    let ring = KeyRing::synthetic();
    super::serve::check_keys(flow.identities.as_ref(), &ring, &directory.display().to_string())?;
    let access = Access::open();
    let bound = Bound::new(&access, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)?;
    let running = Running::start(flow.services(ring, access, Limits::default(), None)?, bound)?;
    let background = Background::start(&flow);
    let ask = |path: &str, body: &str| -> Result<Answer, Failure> {
        let answer =
            post(running.connector, path, body).map_err(|error| Failure::input(format!("http://{}: {error}", running.connector)))?;
        if (200..300).contains(&answer.status) {
            Ok(answer)
        } else {
            Err(Failure::check(format!("{path}: status {}: {}", answer.status, answer.body)))
        }
    };
    let seed = |turn: u64| arguments.seed.map_or_else(String::new, |seed| format!("&seed={}", seed.wrapping_add(turn)));
    let (mut left, mut turn) = (arguments.count, 0);
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let count = left.min(MAX_COUNT);
        ask(&format!("/api/mock/events/generate?count={count}{}", seed(turn)), "")?;
        left -= count;
        turn += 1;
    }
    if stop.load(Ordering::Relaxed) {
        running.stop();
        background.stop()?;
        return Err(interrupted(arguments));
    }
    ask(&format!("/api/mock/events/pattern?userId=synth_user_01000{}", seed(0)), "")?;
    ask("/api/webhooks/sendgrid", WEBHOOK)?;
    let again = ask("/api/webhooks/sendgrid", WEBHOOK)?;
    flow.publish_raw(b"poison", b"no event")?;
    running.stop();
    // What it has stored by now, and what is left.
    let known = background.stop()?.known + flow.consume(true, &stop)?.known;
    if stop.load(Ordering::Relaxed) {
        return Err(interrupted(arguments));
    }
    let seconds = start.elapsed().as_secs_f64();

    let [persons, identifiers, resolutions] = flow.identities.counts()?;
    let published = flow.log.published()? - before.0;
    let stored = EventTable::count(flow.table.as_ref())? - before.1;
    let dead = DeadLetters::count(flow.table.as_ref())? - before.2;
    let mut out = show::stdout();
    let mut print = || -> io::Result<()> {
        writeln!(
            out,
            "in the log     {:>9}  (a webhook that came twice is there once: {} duplicate)",
            thousands(published),
            again.json()["duplicates"]
        )?;
        writeln!(out, "in the table   {:>9}", thousands(stored))?;
        writeln!(out, "known          {:>9}", thousands(known))?;
        writeln!(out, "dead letters   {:>9}", thousands(dead))?;
        writeln!(out, "in = stored + known + dead: {}", if published == stored + known + dead { "holds" } else { "DOES NOT HOLD" })
    };
    print().map_err(|error| Failure::output(&error))?;
    note!("{} persons by {} identifiers in {} resolutions", thousands(persons), thousands(identifiers), thousands(resolutions));
    note!(
        "{seconds:.2} s, {} events/s{}",
        thousands((stored as f64 / seconds) as u64),
        arguments.data.as_ref().map_or_else(String::new, |path| format!(", in {}", path.display()))
    );
    if published == stored + known + dead {
        return Ok(());
    }
    Err(Failure::check(format!("{published} messages in the log, {stored} stored, {known} known, {dead} dead letters")))
}
