//! What the README and `compose.yaml` say of real servers is what is run: every line, with the addresses of these servers.

use crate::case::{Program, answers, free, wait_for};
use crate::support::{Server, assert_holds, reference, scratch};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line of a shell, in a directory, with this program as `populace`.
fn shell(line: &str, directory: &Path, environment: &[(&str, &str)]) -> Program {
    let program = Path::new(env!("CARGO_BIN_EXE_populace")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}")]).current_dir(directory).env("PATH", path).envs(environment.iter().copied());
    Program::spawn(shell)
}

#[test]
fn the_flow_of_the_readme_runs_on_real_servers_and_so_do_the_services_of_compose() {
    let (kafka, clickhouse) = (Server::kafka(), Server::clickhouse());
    readme(&kafka, &clickhouse);
    compose(&kafka, &clickhouse);
}

fn readme(kafka: &Server, clickhouse: &Server) {
    let (directory, connector) = (scratch("readme"), free());
    let readme = document("README.md");
    let block =
        readme.split("```").find(|block| block.contains("populace serve --log")).expect("the README shows the flow on real servers");
    let lines: Vec<&str> = block.lines().filter(|line| line.starts_with("populace ")).collect();
    assert_eq!(lines.len(), 3, "{block}");
    let mut running = Vec::new();
    for line in lines {
        let line = line
            .replace("kafka://localhost:9092", &kafka.url)
            .replace("clickhouse://sendflowr:$PASSWORD@localhost:8123", &clickhouse.url)
            .replace("127.0.0.1:5215", &connector.to_string())
            .replace("serve ", &format!("serve --listen {connector} "));
        if let Some(service) = line.strip_suffix(" &") {
            running.push(shell(service, &directory, &[]));
        } else {
            wait_for("the connector is ready", || answers(connector, "/ready"));
            shell(&line, &directory, &[]).succeed();
        }
    }
    let file = reference("readme-file", &["email", "--seed", "42"]);
    let events = clickhouse.number(&format!("SELECT count() FROM file('{}', 'Parquet')", file.display()));
    wait_for("every event is in the table", || clickhouse.number("SELECT count() FROM sendflowr.email_events") == events);
    assert_holds(clickhouse, "sendflowr", &file);
}

/// The images are not to be had here; the commands of the two services that are ours, and how their health is asked, are.
fn compose(kafka: &Server, clickhouse: &Server) {
    let compose = document("compose.yaml");
    let mut running = Vec::new();
    for (service, port) in [("consumer", "9464"), ("connector", "5215")] {
        let (directory, at, features) = (scratch(service), free().to_string(), free());
        let part = compose.split_once(&format!("\n  {service}:\n")).expect("the service is there").1;
        let command = part.split_once("command:").unwrap().1;
        let command = &command[..command.find("\n    environment:").into_iter().chain(command.find("\n    depends_on:")).min().unwrap()];
        // One line in brackets, or one a line behind a dash.
        let words = command.split([',', '\n']).map(|word| word.trim().trim_start_matches("- ").trim_matches(['[', ']', '"', ' ']));
        let line: Vec<String> = words.filter(|word| !word.is_empty()).map(|word| format!("'{word}'")).collect();
        let line = format!("populace {}", line.join(" "))
            .replace("kafka://kafka:19092", &kafka.url)
            .replace("clickhouse://sendflowr:${CLICKHOUSE_PASSWORD:?set CLICKHOUSE_PASSWORD}@clickhouse:8123", &clickhouse.url)
            .replace(&format!("127.0.0.1:{port}"), &at)
            .replace(&format!("0.0.0.0:{port}"), &at)
            .replace("0.0.0.0:8001", &features.to_string())
            .replace("/home/populace", directory.to_str().unwrap());
        let database = format!("{}/sendflowr", clickhouse.url);
        let environment = [("POPULACE_TOKEN", TOKEN), ("POPULACE_IDENTITIES", &database), ("POPULACE_TABLE", &database)];
        for (name, _) in environment {
            assert!(service == "consumer" || part.contains(&format!("      {name}: ")), "{name}");
        }
        running.push(shell(&line, &directory, &environment));
        let test = part.lines().find_map(|line| line.trim().strip_prefix("test: ")).expect("the service has a health check");
        let test: Vec<String> = serde_json::from_str(test).expect("a list of words");
        let script = test[3].replace(&format!("/127.0.0.1/{port}"), &format!("/{}", at.replace(':', "/")));
        wait_for("the service is healthy", || {
            Command::new(&test[1]).args([&test[2], &script]).stderr(Stdio::null()).status().unwrap().success()
        });
        if service == "connector" {
            assert!(part.contains(r#""127.0.0.1:8001:8001""#) && line.contains(&features.to_string()), "{line}");
            wait_for("the feature service answers", || answers(features, "/health"));
        }
    }
}
