//! YAML text into a positioned tree, within fixed budgets. The text is not trusted.

use super::diagnostic::Diagnostics;
use super::tree::{Entry, Kind, Map, Node, Number, Origin, Position, quote};
use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The longest text, in bytes; also of the scalars together once aliases are expanded.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// How deep lists and maps may nest.
pub const MAX_DEPTH: usize = 32;
/// How many keys and values a document may have, aliases expanded.
pub const MAX_NODES: usize = 50_000;
/// How many aliases a document may have.
pub const MAX_ALIASES: usize = 1_000;
/// The longest key, in characters: a quarter of what YAML allows of a key without `?`.
pub const MAX_KEY_CHARACTERS: usize = 256;

const CORE_TAGS: &str = "tag:yaml.org,2002:";

/// As [`parse`], of bytes, which must be UTF-8.
pub(super) fn parse_bytes(origin: &Arc<Origin>, bytes: &[u8], problems: &mut Diagnostics) -> Result<Node, Diagnostics> {
    check_size(origin, bytes.len())?;
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(origin, text, problems),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let position = Position { origin: Arc::clone(origin), line, column };
            let message = format!("the text is not UTF-8: byte {} is not allowed here", bytes[error.valid_up_to()]);
            Err(Diagnostics::one(Some(&position), "", message, "save the file as UTF-8"))
        }
    }
}

fn check_size(origin: &Arc<Origin>, bytes: usize) -> Result<(), Diagnostics> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let message = format!("the text is longer than the limit of {MAX_TEXT_BYTES} bytes");
    Err(Diagnostics::one(Some(&Position::start(origin)), "", message, "a scenario document holds parameters, not data"))
}

/// Parses text within the budgets: one document, whose top level may be anything. Empty text is a null. A number may be infinite or no
/// number, which [`check`](super::check) refuses where it is used. What is wrong with single keys goes into `problems`.
///
/// # Errors
/// What makes all of the text unreadable.
pub(super) fn parse(origin: &Arc<Origin>, text: &str, problems: &mut Diagnostics) -> Result<Node, Diagnostics> {
    check_size(origin, text.len())?;
    let mut builder = Builder::new(origin);
    // Only what an alias names is worth a copy, so the events are read to their end before a tree is built.
    let events = builder.read(text)?;
    let mut events = events.into_iter();
    let mut root = None;
    while let Some((event, span)) = events.next() {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(builder.fatal(
                    &span,
                    "there is more than one document",
                    "a file holds one document: remove all from the second `---` on",
                ));
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => root = Some(builder.node(event, &span, &mut events, 1)?.node),
        }
    }
    let root = root.unwrap_or_else(|| Node { kind: Kind::Null, position: Position::start(origin) });
    problems.append(builder.problems);
    Ok(root)
}

type Events<'a> = std::vec::IntoIter<(Event<'a>, Span)>;

struct Built {
    node: Node,
    /// How many keys and values, itself included.
    nodes: usize,
    /// How many levels of lists and maps, 0 for a scalar.
    height: usize,
    /// Bytes of scalars and keys.
    bytes: usize,
    /// Begins on a line of its own, below its key.
    block: bool,
}

struct Builder {
    origin: Arc<Origin>,
    aliased: HashSet<usize>,
    anchors: HashMap<usize, Built>,
    nodes: usize,
    bytes: usize,
    problems: Diagnostics,
}

impl Builder {
    fn new(origin: &Arc<Origin>) -> Self {
        Self {
            origin: Arc::clone(origin),
            aliased: HashSet::new(),
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
            problems: Diagnostics::default(),
        }
    }

    fn position(&self, span: &Span) -> Position {
        Position { origin: Arc::clone(&self.origin), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn fatal(&self, span: &Span, message: impl Into<String>, hint: &str) -> Diagnostics {
        let mut problems = self.problems.clone();
        problems.push(Some(&self.position(span)), "", message, hint);
        problems
    }

    fn read<'a>(&mut self, text: &'a str) -> Result<Vec<(Event<'a>, Span)>, Diagnostics> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut events = Vec::new();
        let (mut aliases, mut nodes) = (0, 0);
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| {
                let mark = error.marker();
                let position = Position { origin: Arc::clone(&self.origin), line: mark.line(), column: mark.col() + 1 };
                Diagnostics::one(Some(&position), "", format!("this is not YAML: {}", error.info()), "")
            })?;
            match event {
                Event::Alias(anchor) => {
                    aliases += 1;
                    if aliases > MAX_ALIASES {
                        return Err(self.fatal(&span, format!("there are more than {MAX_ALIASES} aliases"), ""));
                    }
                    self.aliased.insert(anchor);
                }
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                    nodes += 1;
                    if nodes > MAX_NODES {
                        return Err(self.too_many_nodes(&span));
                    }
                }
                _ => {}
            }
            events.push((event, span));
        }
        Ok(events)
    }

    fn too_many_nodes(&self, span: &Span) -> Diagnostics {
        self.fatal(span, format!("there are more than {MAX_NODES} keys and values, aliases expanded"), "")
    }

    fn spend(&mut self, span: &Span, nodes: usize, bytes: usize) -> Result<(), Diagnostics> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MAX_NODES {
            return Err(self.too_many_nodes(span));
        }
        if self.bytes > MAX_TEXT_BYTES {
            return Err(self.fatal(span, format!("there are more than {MAX_TEXT_BYTES} bytes of text, aliases expanded"), ""));
        }
        Ok(())
    }

    fn check_depth(&self, span: &Span, depth: usize) -> Result<(), Diagnostics> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(self.fatal(span, format!("lists and maps nest deeper than {MAX_DEPTH}"), ""))
    }

    /// Builds the node that `event` begins; `depth` counts the lists and maps around it and itself.
    fn node(&mut self, event: Event<'_>, span: &Span, events: &mut Events<'_>, depth: usize) -> Result<Built, Diagnostics> {
        let (built, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(span, 1, text.len())?;
                let bytes = text.len();
                let kind = self.scalar(text, style, tag.as_deref(), span);
                (Built { node: Node { kind, position: self.position(span) }, nodes: 1, height: 0, bytes, block: false }, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.check_depth(span, depth)?;
                self.spend(span, 1, 0)?;
                self.collection_tag(tag.as_deref(), &["seq"], span);
                (self.list(span, style, events, depth)?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_depth(span, depth)?;
                self.spend(span, 1, 0)?;
                let tag = self.collection_tag(tag.as_deref(), &["map", "set"], span);
                let mut built = self.map(span, style, events, depth)?;
                if tag.as_deref() == Some("set") {
                    built.node.kind = self.set(built.node.kind);
                }
                (built, anchor)
            }
            // The parser balances its events; were it wrong, the document would be refused rather than misread.
            _ => return Err(self.fatal(span, "this is not YAML: a value is missing", "")),
        };
        if self.aliased.contains(&anchor) {
            let copy = Built { node: built.node.clone(), ..built };
            self.anchors.insert(anchor, copy);
        }
        Ok(built)
    }

    fn alias(&mut self, anchor: usize, span: &Span, depth: usize) -> Result<Built, Diagnostics> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(self.fatal(span, "an alias is inside the value that it names", ""));
        };
        let (nodes, height, bytes) = (target.nodes, target.height, target.bytes);
        self.check_depth(span, depth - 1 + height)?;
        self.spend(span, nodes, bytes)?;
        // A copy keeps the positions of what it copies: that is where a wrong value has to be mended.
        Ok(Built { node: self.anchors[&anchor].node.clone(), nodes, height, bytes, block: false })
    }

    fn list(&mut self, span: &Span, style: StructureStyle, events: &mut Events<'_>, depth: usize) -> Result<Built, Diagnostics> {
        let position = self.position(span);
        let mut items = Vec::new();
        let (mut nodes, mut height, mut bytes) = (1, 0, 0);
        while let Some((event, span)) = events.next() {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let item = self.node(event, &span, events, depth + 1)?;
            nodes += item.nodes;
            height = height.max(item.height);
            bytes += item.bytes;
            items.push(item.node);
        }
        let block = style == StructureStyle::Block;
        Ok(Built { node: Node { kind: Kind::List(items), position }, nodes, height: height + 1, bytes, block })
    }

    fn map(&mut self, span: &Span, style: StructureStyle, events: &mut Events<'_>, depth: usize) -> Result<Built, Diagnostics> {
        let position = self.position(span);
        let mut map = Map::new();
        let (mut nodes, mut height, mut bytes) = (1, 0, 0);
        while let Some((event, span)) = events.next() {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let written =
                if let Event::Scalar(text, ScalarStyle::Plain, _, None) = &event { Some(text.clone().into_owned()) } else { None };
            let key = self.node(event, &span, events, depth + 1)?;
            let key_position = self.position(&span);
            nodes += key.nodes;
            bytes += key.bytes;
            let Some((event, span)) = events.next() else { break };
            let value = self.node(event, &span, events, depth + 1)?;
            nodes += value.nodes;
            height = height.max(value.height);
            bytes += value.bytes;
            let Some(name) = self.key(written, key.node, &key_position) else { continue };
            if let Some(first) = map.get(&name) {
                let line = first.key.line;
                let message = format!("the key {} is given twice: first on line {line}, again on line {}", quote(&name), key_position.line);
                self.problems.push(Some(&key_position), "", message, "keep one of the two");
                continue;
            }
            let mut value_node = value.node;
            if value.block {
                value_node.position = key_position.clone();
            }
            map.insert(name, Entry { key: key_position, value: value_node });
        }
        let block = style == StructureStyle::Block;
        Ok(Built { node: Node { kind: Kind::Map(map), position }, nodes, height: height + 1, bytes, block })
    }

    /// A key's text: as written if it is plain, so that `7: .5` has the key `7` and `no: 1` the key `no`.
    fn key(&mut self, written: Option<String>, key: Node, position: &Position) -> Option<String> {
        let name = match (written, key.kind) {
            (Some(written), _) => written,
            (None, Kind::Text(text)) => text,
            (None, Kind::Number(_, spelling)) => spelling,
            (None, Kind::Bool(value)) => value.to_string(),
            (None, Kind::Null | Kind::List(_) | Kind::Map(_)) => {
                self.problems.push(Some(position), "", "a key must be text", "");
                return None;
            }
        };
        if name == "<<" {
            let hint = "write an alias for a whole value, or build on another document with `extends`";
            self.problems.push(Some(position), "", "the merge key `<<` is not part of YAML 1.2", hint);
            return None;
        }
        if name.chars().count() > MAX_KEY_CHARACTERS {
            let message = format!("the key {} is longer than the limit of {MAX_KEY_CHARACTERS} characters", quote(&name));
            self.problems.push(Some(position), "", message, "");
            return None;
        }
        Some(name)
    }

    /// The suffix of a collection's tag, if it is one of `allowed`.
    fn collection_tag(&mut self, tag: Option<&Tag>, allowed: &[&str], span: &Span) -> Option<String> {
        let tag = tag?;
        let suffix = tag.suffix_in_namespace(CORE_TAGS).map(Cow::into_owned);
        if suffix.as_deref().is_some_and(|suffix| allowed.contains(&suffix)) {
            return suffix;
        }
        self.refuse_tag(tag, span);
        None
    }

    fn refuse_tag(&mut self, tag: &Tag, span: &Span) {
        let message = format!("the tag {} cannot be used here", quote(&tag.original()));
        let hint = "of tags, only !!str, !!int, !!float, !!bool, !!null, !!seq, !!map and !!set are supported, each on a value of its type";
        let start = span.tag_start.unwrap_or(span.start);
        let position = Position { origin: Arc::clone(&self.origin), line: start.line(), column: start.col() + 1 };
        self.problems.push(Some(&position), "", message, hint);
    }

    /// A set is a list to all that read it.
    fn set(&mut self, kind: Kind) -> Kind {
        let Kind::Map(map) = kind else { return kind };
        let mut items = Vec::with_capacity(map.len());
        for (key, entry) in map {
            if !matches!(entry.value.kind, Kind::Null) {
                self.problems.push(Some(&entry.value.position), "", "an item of a `!!set` has no value", "");
            }
            items.push(Node { kind: Kind::Text(key), position: entry.key });
        }
        Kind::List(items)
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Kind {
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain { plain(text) } else { Kind::Text(text.into_owned()) };
        };
        let suffix = tag.suffix_in_namespace(CORE_TAGS);
        let kind = match suffix.as_deref() {
            Some("str") => return Kind::Text(text.into_owned()),
            Some("int" | "float" | "bool" | "null") => plain(text),
            _ => Kind::Text(text.into_owned()),
        };
        let fits = match (suffix.as_deref(), &kind) {
            (Some("int"), Kind::Number(number, _)) => matches!(number, Number::Integer(_)),
            (Some("float"), Kind::Number(..)) | (Some("bool"), Kind::Bool(_)) | (Some("null"), Kind::Null) => true,
            _ => false,
        };
        if !fits {
            self.refuse_tag(tag, span);
        }
        kind
    }
}

fn plain(text: Cow<'_, str>) -> Kind {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => match read_number(&text) {
            Some(number) => Kind::Number(number, text.into_owned()),
            None => Kind::Text(text.into_owned()),
        },
    }
}

/// A number of the YAML 1.2 core schema; an overflowing float is infinite, an integer beyond 128 bits a float.
pub(super) fn read_number(text: &str) -> Option<Number> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Number::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Number::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Number::Float(f64::NAN)),
        _ => {}
    }
    let radix = |digits: &str, radix| i128::from_str_radix(digits, radix).ok().map(Number::Integer);
    let all = |digits: &str, test: fn(&u8) -> bool| !digits.is_empty() && digits.bytes().all(|byte| test(&byte));
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| all(digits, u8::is_ascii_hexdigit)) {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| all(digits, |byte| (b'0'..=b'7').contains(byte))) {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if all(unsigned, u8::is_ascii_digit) {
        return text.parse().map_or_else(|_| text.parse().ok().map(Number::Float), |integer| Some(Number::Integer(integer)));
    }
    // Rust reads `inf` and `infinity` too; in YAML these are words.
    let begins = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if begins && unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return text.parse().ok().map(Number::Float);
    }
    None
}
