//! `populace check`.

use crate::args::CheckArgs;
use crate::failure::Failure;
use populace_io::catalogue;
use populace_io::document::{Graft, Request, Source};

pub(crate) fn run(arguments: &CheckArgs) -> Result<(), Failure> {
    let source = Source::File(&arguments.file);
    let workflow = catalogue::is_workflow(source)?;
    let graft = [Graft { option: "the file", path: "workflow", source }];
    let request = if workflow { Request { grafts: &graft, ..Request::new(Source::Named("traces")) } } else { Request::new(source) };
    let resolved = catalogue::resolve(&request)?;
    let generator = catalogue::generator(&resolved)?;
    let shown = arguments.file.display();
    for warning in resolved.locate(generator.warnings()).problems {
        note!("warning: {warning}");
    }
    let warnings = generator.warnings().len();
    let kind = if workflow { "workflow" } else { "scenario" };
    let found = if warnings == 0 { "no problem".to_owned() } else { format!("{warnings} warning{}", if warnings == 1 { "" } else { "s" }) };
    note!("{shown}: a sound {kind}, {found}");
    Ok(())
}
