//! Options in messages: those of the command line, or arguments of Python.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

static PYTHON: AtomicBool = AtomicBool::new(false);

/// From now on messages of this process name options as Python's arguments, or as those of the command line; gives what was before.
pub fn speak_python(python: bool) -> bool {
    PYTHON.swap(python, Ordering::Relaxed)
}

/// An option by its name without dashes: `--overwrite`, in Python `overwrite=True`.
pub fn option(name: &str) -> String {
    if PYTHON.load(Ordering::Relaxed) { argument(name) } else { format!("--{name}") }
}

/// A part of a message, whose options are written as on the command line. It is never a user's value, which stays as it is.
pub fn own(text: &'static str) -> Cow<'static, str> {
    if PYTHON.load(Ordering::Relaxed) { Cow::Owned(in_python(text)) } else { Cow::Borrowed(text) }
}

fn argument(name: &str) -> String {
    match name {
        "from" => "start".into(),
        "to" => "end".into(),
        "ngram" => "ngrams".into(),
        "template" => "templates".into(),
        "session-gap" => "session_gap_minutes".into(),
        "overwrite" | "resume" | "ranks" | "subset" | "keep-latent" | "include-suspected" | "verify" => {
            format!("{}=True", name.replace('-', "_"))
        }
        name => match name.strip_prefix("no-") {
            Some(name) => format!("{}=False", name.replace('-', "_")),
            None => name.replace('-', "_"),
        },
    }
}

fn in_python(text: &str) -> String {
    // Minutes are a number there.
    let text = text.replace(" with -o", "").replace("--session-gap 30m", "session_gap_minutes=30");
    let mut parts = text.split("--");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let length = part.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(part.len());
        let (name, rest) = part.split_at(length);
        told.push_str(&argument(name));
        told.push_str(rest);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::in_python;

    #[test]
    fn options_are_arguments_in_python() {
        assert_eq!(
            in_python("use --overwrite or --no-latent; --from DAY, --time-unit s"),
            "use overwrite=True or latent=False; start DAY, time_unit s"
        );
        assert_eq!(in_python("choose another directory with -o"), "choose another directory");
        assert_eq!(in_python("that of the user, with --session-gap 30m"), "that of the user, with session_gap_minutes=30");
    }
}
