//! `populace scenarios`.

use crate::args::{ScenariosArgs, ScenariosCommand};
use crate::failure::Failure;
use crate::show;
use populace_io::catalogue::{self, LIBRARY};
use populace_io::document::{Request, Source, suggest};
use populace_io::family::{FAMILIES, Family, components};
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
            for (family, component) in components() {
                let names: Vec<&str> = component.builtins.iter().map(|(name, _)| *name).collect();
                let (kind, names) = (component.name, names.join(", "));
                let title = kind[..1].to_uppercase() + &kind[1..];
                writeln!(out, "\n{title}s of {}, for --{kind}: {names}", family.name).map_err(|error| Failure::output(&error))?;
            }
            Ok(())
        }
        ScenariosCommand::Show { name } => {
            let Some(text) = LIBRARY.text(name).or_else(|| components().find_map(|(_, component)| component.text(name))) else {
                let parts = components().flat_map(|(_, component)| component.builtins).map(|(name, _)| *name);
                let known: Vec<&str> = LIBRARY.names().chain(parts).collect();
                let hint = suggest(name, &known, "built-in scenarios and parts");
                return Err(Failure::input(format!("there is no built-in scenario `{name}`\nhint: {hint}")));
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
            if let Some(unknown) = family.as_ref().filter(|family| Family::named(family).is_none()) {
                let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
                return Err(Failure::input(format!("there is no family `{unknown}`\nhint: {}", suggest(unknown, &known, "families"))));
            }
            let schema = catalogue::document_schema(family.as_deref());
            writeln!(out, "{schema:#}").map_err(|error| Failure::output(&error))
        }
    }
}
