//! `populace scenarios`.

use crate::args::{ScenariosArgs, ScenariosCommand};
use crate::failure::Failure;
use crate::show;
use populace_core::traces::WORKFLOWS;
use populace_io::catalogue::{self, FAMILIES, LIBRARY};
use populace_io::document::{Request, Source};
use std::io::Write;

pub(crate) fn run(arguments: &ScenariosArgs) -> Result<(), Failure> {
    let mut out = show::stdout();
    match &arguments.command {
        ScenariosCommand::List => {
            for name in LIBRARY.names() {
                let resolved = catalogue::resolve(&Request::new(Source::Named(name)))?;
                let profiles = match resolved.profiles.as_slice() {
                    [] => String::new(),
                    profiles => format!(" (profiles: {})", profiles.join(", ")),
                };
                writeln!(out, "{name:<14} {}{profiles}", resolved.description.unwrap_or_default())
                    .map_err(|error| Failure::output(&error))?;
            }
            let workflows: Vec<&str> = WORKFLOWS.iter().map(|(name, _)| *name).collect();
            writeln!(out, "\nWorkflows of traces, for --workflow: {}", workflows.join(", ")).map_err(|error| Failure::output(&error))
        }
        ScenariosCommand::Show { name } => {
            let workflow = || WORKFLOWS.iter().find(|(workflow, _)| workflow == name).map(|(_, text)| *text);
            let Some(text) = LIBRARY.text(name).or_else(workflow) else {
                let known: Vec<&str> = LIBRARY.names().chain(WORKFLOWS.iter().map(|(name, _)| *name)).collect();
                return Err(Failure::input(format!("there is no built-in scenario `{name}`; there are {}", known.join(", "))));
            };
            out.write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
        }
        ScenariosCommand::Tables => {
            let mut print = |page: &str| out.write_all(page.as_bytes()).map_err(|error| Failure::output(&error));
            print("# Tables\n\nEvery table and column. `populace scenarios tables` prints this page.\n")?;
            for name in LIBRARY.names() {
                let resolved = catalogue::resolve(&Request::new(Source::Named(name)))?;
                let generator = catalogue::generator(&resolved)?;
                print(&format!("\n## {name}\n"))?;
                generator.tables().iter().try_for_each(|table| print(&table.markdown()))?;
            }
            Ok(())
        }
        ScenariosCommand::Schema { family } => {
            if let Some(unknown) = family.as_ref().filter(|family| !FAMILIES.contains(&family.as_str())) {
                return Err(Failure::input(format!("there is no family `{unknown}`; there are {}", FAMILIES.join(", "))));
            }
            let schema = catalogue::document_schema(family.as_deref());
            writeln!(out, "{schema:#}").map_err(|error| Failure::output(&error))
        }
    }
}
