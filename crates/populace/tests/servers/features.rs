//! Features of what is in ClickHouse.

use crate::support::{clickhouse, command, scratch, succeed};
use populace_flow::client::{post, send};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// A feature service, killed when it is dropped.
struct Service(Child, SocketAddr);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(data: &str, from: &str) -> Service {
    let addresses = ["--listen", "127.0.0.1:0", "--features-listen", "127.0.0.1:0"];
    let arguments = [&["serve", "--embedded", "--data", data, "--features-from", from], &addresses[..]].concat();
    let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("features")).unwrap().unwrap();
    // Somebody must read on, or the program would wait.
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.split_whitespace().nth(1).unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    Service(child, address)
}

#[test]
fn features_of_the_table_are_those_of_the_files() {
    let directory = scratch("features");
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let scenario = ["generate", "email", "--seed", "7", "-n", "150", "-d", "40", "-q"];
    let url = format!("{}/features", clickhouse().url);
    succeed(&[&scenario[..], &["--to", &url]].concat());
    let files = path("files");
    succeed(&[&scenario[..], &["-o", &files]].concat());
    let services = [serve(&path("one"), &url), serve(&path("other"), &files)];
    // Of a run, features are as of the end of its window; a table knows no window.
    let computed = services.each_ref().map(|service| post(service.1, "/compute-features?as_of=2025-11-10T00:00:00Z", "").unwrap());
    assert!(computed.iter().all(|answer| answer.status == 200), "{computed:?}");
    assert_eq!(computed[0].json(), computed[1].json());
    assert!(computed[0].json()["events"].as_u64().unwrap() > 10_000, "one page of the table: {computed:?}");
    for id in clickhouse().rows("SELECT DISTINCT universal_id FROM features.email_events LIMIT 10") {
        let found = services.each_ref().map(|service| send(service.1, "GET", &format!("/features/{}", id[0]), &[], b"").unwrap());
        assert!(found[0].status == 200 && found[0].json() == found[1].json(), "{found:?}");
    }
}
