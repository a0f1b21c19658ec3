//! Laying one document over another, and finding one's way by dotted paths.

use super::diagnostic::{Diagnostics, suggest};
use super::hint;
use super::parse::MAX_DEPTH;
use super::schema::{Schema, switches_variant};
use super::tree::{Entry, Kind, Map, Node, Path, Position, Step};
use std::collections::HashSet;

/// Lays `overlay` over `base`: maps merge deep, all else replaces. A null removes an entry of a map of named entries. A map that
/// speaks of another variant of a union than the base replaces it, since the keys of the two have nothing to do with each other.
pub(super) fn merge(base: &mut Node, overlay: Node, schema: Schema<'_>, path: &mut Path, problems: &mut Diagnostics) {
    let Kind::Map(over) = overlay.kind else {
        *base = overlay;
        return;
    };
    match &mut base.kind {
        Kind::Map(under) if !switches_variant(schema, under, &over) => {
            // What a map lacks is blamed on the document that spoke of it last; an option adds one value and is not to blame.
            if overlay.position.origin.positioned {
                base.position = overlay.position;
            }
            merge_maps(under, over, schema, path, problems);
        }
        _ => *base = Node { kind: Kind::Map(over), position: overlay.position },
    }
}

fn merge_maps(under: &mut Map, over: Map, schema: Schema<'_>, path: &mut Path, problems: &mut Diagnostics) {
    // Taken out at the end and together: each removal alone would move all that follows.
    let mut removed = HashSet::new();
    for (key, entry) in over {
        let child = schema.child_of_any(&key);
        let removes =
            matches!(entry.value.kind, Kind::Null) && child.as_ref().is_some_and(|child| child.named && !child.schema.permits_null());
        if removes {
            if under.contains_key(&key) {
                removed.insert(key);
            } else if problems.is_full() {
                problems.omitted += 1;
            } else {
                let names: Vec<&str> = under.keys().map(String::as_str).collect();
                let message = "there is no such entry to remove";
                problems.push(Some(&entry.key), path.join(&key), message, suggest(&key, &names, "entries"));
            }
        } else if let Some(existing) = under.get_mut(&key) {
            path.push_key(&key);
            match child {
                Some(child) => merge(&mut existing.value, entry.value, child.schema, path, problems),
                // An unknown key: the check says so, at the place that spoke last.
                None => *existing = entry,
            }
            path.pop();
        } else {
            under.insert(key, entry);
        }
    }
    if !removed.is_empty() {
        under.retain(|key, _| !removed.contains(key));
    }
}

/// Wraps `value` in maps so that it stands at `steps`; a list on the way is repeated whole, with the one item changed.
pub(super) fn wrap(base: Option<&Node>, steps: &[Step], value: Node) -> Node {
    let Some((step, rest)) = steps.split_first() else { return value };
    let position = value.position.clone();
    let kind = match (step, base.map(|node| &node.kind)) {
        (Step::Index(index), Some(Kind::List(items))) => {
            let mut items = items.clone();
            items[*index] = wrap(Some(&items[*index]), rest, value);
            Kind::List(items)
        }
        (Step::Key(key), below) => {
            let below = if let Some(Kind::Map(map)) = below { map.get(key).map(|entry| &entry.value) } else { None };
            let value = wrap(below, rest, value);
            Kind::Map(Map::from_iter([(key.clone(), Entry { key: position.clone(), value })]))
        }
        (Step::Index(_), _) => unreachable!("a path was resolved to an index of what is not a list"),
    };
    Node { kind, position }
}

/// The value at `steps`.
pub(super) fn find_mut<'a>(node: &'a mut Node, steps: &[Step]) -> Option<&'a mut Node> {
    steps.iter().try_fold(node, |node, step| match (step, &mut node.kind) {
        (Step::Key(key), Kind::Map(map)) => map.get_mut(key).map(|entry| &mut entry.value),
        (Step::Index(index), Kind::List(items)) => items.get_mut(*index),
        _ => None,
    })
}

/// A dotted path that leads nowhere.
pub(super) struct Lost {
    /// As far as it led, and the step that failed.
    pub(super) path: Path,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Reads a dotted path from outside, such as `personas.night_owl.open_rate`. A key may itself hold dots: the longest key that the
/// document or the schema knows is taken, and `"…"` holds a key as it stands. `also` lists further keys of the top level.
pub(super) fn resolve(text: &str, root: &Node, schema: Schema<'_>, also: &[&str]) -> Result<Path, Lost> {
    let mut walk = Some((Some(root), schema));
    let mut path = Path::default();
    let mut rest = Some(text);
    while let Some(remaining) = rest {
        let lost = |step: &str, message: &str, hint: String| Lost { path: path.join(step), message: message.to_owned(), hint };
        if path.steps().len() >= MAX_DEPTH {
            return Err(lost("…", &format!("the path is longer than {MAX_DEPTH} steps"), String::new()));
        }
        let (node, schema) = walk.take().unwrap_or((None, schema));
        if let Some(Kind::List(items)) = node.map(|node| &node.kind) {
            let (step, after) = remaining.split_once('.').map_or((remaining, None), |(step, after)| (step, Some(after)));
            let item = step.parse::<usize>().ok().and_then(|index| Some((index, items.get(index)?, schema.item(index)?)));
            let Some((index, item, schema)) = item else {
                let message = format!("there is no such item: the list has {}", super::tree::count(items.len(), "item"));
                return Err(lost(step, &message, "items count from 0".to_owned()));
            };
            path.push_index(index);
            walk = Some((Some(item), schema));
            rest = after;
            continue;
        }
        let map = node.and_then(Node::map);
        let mut known = schema.known_keys();
        let named = map.into_iter().flat_map(Map::keys).filter(|key| schema.child_of_any(key).is_some_and(|child| child.named));
        known.extend(named.map(String::as_str));
        let (key, after) = split_step(remaining, &known);
        let Some(child) = schema.child_of_any(&key) else {
            if path.steps().is_empty() {
                known.extend(also);
            }
            let message = if known.is_empty() { "there are no keys in here" } else { "unknown key" };
            return Err(lost(
                &key,
                message,
                if known.is_empty() { String::new() } else { hint::of_unknown_key(&key, &known, &path, schema) },
            ));
        };
        walk = Some((map.and_then(|map| Some(&map.get(&key)?.value)), child.schema));
        path.push_key(&key);
        rest = after;
    }
    Ok(path)
}

/// The first key of a dotted path and what follows its dot.
fn split_step<'t>(text: &'t str, known: &[&str]) -> (String, Option<&'t str>) {
    if let Some(quoted) = text.strip_prefix('"')
        && let Some((key, after)) = split_quoted(quoted)
    {
        return (key, after);
    }
    match longest_key(text, known.iter().copied()) {
        Some(key) => (key.to_owned(), text[key.len()..].strip_prefix('.')),
        None => text.split_once('.').map_or((text.to_owned(), None), |(key, after)| (key.to_owned(), Some(after))),
    }
}

/// A key up to its closing quote, `\"` standing for a quote, and what follows the dot after it.
fn split_quoted(text: &str) -> Option<(String, Option<&str>)> {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => {
                let after = &text[index + 1..];
                return if after.is_empty() { Some((key, None)) } else { after.strip_prefix('.').map(|after| (key, Some(after))) };
            }
            '\\' => key.push(characters.next()?.1),
            _ => key.push(character),
        }
    }
    None
}

/// The longest of `keys` that begins `text` and ends there or before a dot.
fn longest_key<'k>(text: &str, keys: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    keys.filter(|key| text.strip_prefix(key).is_some_and(|after| after.is_empty() || after.starts_with('.'))).max_by_key(|key| key.len())
}

/// The place of the value that a dotted path names, or of the nearest thing around it that the document holds.
pub(super) fn locate<'a>(root: &'a Node, path: &str) -> &'a Position {
    let mut place = &root.position;
    let mut node = root;
    let mut rest = path;
    loop {
        let after = match &node.kind {
            Kind::Map(map) => longest_key(rest, map.keys().map(String::as_str)).map(|key| (&map[key].value, &rest[key.len()..])),
            Kind::List(items) => {
                let step = rest.split('.').next().unwrap_or_default();
                step.parse::<usize>().ok().and_then(|index| Some((items.get(index)?, &rest[step.len()..])))
            }
            _ => None,
        };
        let Some((inner, after)) = after else { return place };
        node = inner;
        place = &inner.position;
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return place,
        }
    }
}
