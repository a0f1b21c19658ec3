//! `populace check`.

use crate::args::CheckArgs;
use crate::failure::Failure;
use populace_io::catalogue;
use populace_io::document::Source;

pub(crate) fn run(arguments: &CheckArgs) -> Result<(), Failure> {
    let source = Source::File(&arguments.file);
    let component = catalogue::component(source)?;
    let resolved = match component {
        Some((family, component)) => catalogue::resolve_component(family, component, "the file", source)?,
        None => catalogue::resolve(&populace_io::document::Request::new(source))?,
    };
    let generator = catalogue::generator(&resolved)?;
    let shown = arguments.file.display();
    for warning in resolved.locate(generator.warnings()).problems {
        note!("warning: {warning}");
    }
    let warnings = generator.warnings().len();
    let kind = component.map_or("scenario", |(_, component)| component.name);
    let found = if warnings == 0 { "no problem".to_owned() } else { format!("{warnings} warning{}", if warnings == 1 { "" } else { "s" }) };
    note!("{shown}: a valid {kind}, {found}");
    Ok(())
}
