//! Each limit, from both sides.

use super::super::parse::{parse, parse_bytes};
use super::super::tree::{Kind, Node, Origin};
use super::super::{Diagnostics, MAX_ALIASES, MAX_DEPTH, MAX_KEY_CHARACTERS, MAX_NODES, MAX_TEXT_BYTES};

fn read(text: &str) -> Result<Node, String> {
    let mut problems = Diagnostics::default();
    let read = parse(&Origin::document("t"), text, &mut problems).and_then(|root| problems.finish().map(|()| root));
    read.map_err(|problems| problems.to_string())
}

fn refused(text: &str, message: &str) {
    let problems = read(text).expect_err("over the limit");
    assert!(problems.starts_with("t:") && problems.contains(message), "{problems}");
}

#[test]
fn text_has_a_longest_length() {
    let filled = |length: usize| format!("a: {}", "x".repeat(length - 3));
    assert!(read(&filled(MAX_TEXT_BYTES)).is_ok());
    refused(&filled(MAX_TEXT_BYTES + 1), "longer than the limit of 1048576 bytes");
    let endless = vec![b'x'; MAX_TEXT_BYTES + 1];
    assert!(
        parse_bytes(&Origin::document("t"), &endless, &mut Diagnostics::default())
            .unwrap_err()
            .to_string()
            .contains("longer than the limit")
    );
}

#[test]
fn lists_and_maps_have_a_greatest_depth() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&lists(MAX_DEPTH)).is_ok());
    refused(&lists(MAX_DEPTH + 1), "nest deeper than 32");
    refused(&lists(200), "nest deeper than 32");
    let maps = |depth: usize| (0..depth).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n");
    assert!(read(&maps(MAX_DEPTH)).is_ok());
    refused(&maps(MAX_DEPTH + 1), "nest deeper than 32");
    // An alias brings the depth of its target along.
    let aliased = |depth: usize| format!("a: &a {}\nb: {}*a{}", lists(16), "[".repeat(depth), "]".repeat(depth));
    assert!(read(&aliased(MAX_DEPTH - 17)).is_ok());
    refused(&aliased(MAX_DEPTH - 16), "nest deeper than 32");
}

#[test]
fn values_have_a_greatest_number_with_aliases_expanded() {
    let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
    assert!(read(&list(MAX_NODES - 1)).is_ok());
    refused(&list(MAX_NODES), "more than 50000 keys and values");
    // Ten nodes, then ten times ten, and so on: a hundred thousand from six lines.
    let laughs = (1..5).fold("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{aliases}]\n")
    });
    refused(&laughs, "more than 50000 keys and values, aliases expanded");
}

#[test]
fn text_is_counted_with_aliases_expanded() {
    let text = format!("a: &a {}\nb: [{}]", "x".repeat(MAX_TEXT_BYTES / 2), ["*a"; 3].join(", "));
    refused(&text, "more than 1048576 bytes of text, aliases expanded");
}

#[test]
fn aliases_have_a_greatest_number() {
    let aliases = |number: usize| format!("a: &a 1\nb: [{}]", vec!["*a"; number].join(", "));
    assert!(read(&aliases(MAX_ALIASES)).is_ok());
    refused(&aliases(MAX_ALIASES + 1), "more than 1000 aliases");
    refused("a: &a [*a]", "an alias is inside the value that it names");
    refused("a: *b", "this is not YAML: while parsing node, found unknown anchor");
}

#[test]
fn keys_have_a_longest_length() {
    let key = |length: usize| format!("? {}\n: 1\n", "k".repeat(length));
    assert!(read(&key(MAX_KEY_CHARACTERS)).is_ok());
    refused(&key(MAX_KEY_CHARACTERS + 1), "is longer than the limit of 256 characters");
}

#[test]
fn hostile_text_is_refused_in_a_moment() {
    let start = std::time::Instant::now();
    for unit in [
        "[", "{", "- ", "? ", "a: ", "&a ", "*a ", "!a ", "'", "\"", "|\n ", "# x\n", "\t", "-\n", "{a: ", "[a,", "%A\n", "---\n",
        "a:\n- ", "\u{feff}",
    ] {
        let _ = read(&unit.repeat(MAX_TEXT_BYTES / unit.len()));
    }
    assert!(start.elapsed().as_secs() < 20, "took {:?}", start.elapsed());
}

/// What takes time is not the text but the suggestions, so a document that is wrong everywhere is the worst.
#[test]
fn a_document_that_is_wrong_everywhere_is_refused_in_a_moment() {
    let start = std::time::Instant::now();
    let lines = |line: fn(usize) -> String| (0..12_000).map(line).collect::<String>();
    let unknown = lines(|number| format!("userz{number}: 1\n"));
    let removed = lines(|number| format!("  lark{number}:\n"));
    let untyped = lines(|number| format!("  lark{number}: {number}\n"));
    for document in
        [unknown, format!("personas:\n{removed}"), format!("personas:\n{untyped}profiles: {{x: {{personas: {{lark0: null}}}}}}\n")]
    {
        let problems = super::resolve_text(&format!("extends: shop\n{document}")).unwrap_err();
        assert_eq!(problems.problems.len(), Diagnostics::KEPT);
        assert_eq!(problems.problems.len() + problems.omitted, 12_000);
        assert!(problems.to_string().ends_with("… and 11800 more\n12000 problems"));
    }
    assert!(start.elapsed().as_secs() < 20, "took {:?}", start.elapsed());
}

#[test]
fn scalars_are_read_by_the_core_schema() {
    let kinds = |text: &str| match read(text).unwrap().kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => format!("bool {value}"),
        Kind::Number(number, _) => format!("{number:?}"),
        Kind::Text(text) => format!("text {text}"),
        Kind::List(_) | Kind::Map(_) => "collection".to_owned(),
    };
    for (text, expected) in [
        ("", "null"),
        ("~", "null"),
        ("Null", "null"),
        ("nULL", "text nULL"),
        ("True", "bool true"),
        ("yes", "text yes"),
        ("5", "Integer(5)"),
        ("-5", "Integer(-5)"),
        ("+5", "Integer(5)"),
        ("0o17", "Integer(15)"),
        ("017", "Integer(17)"),
        ("0xfF", "Integer(255)"),
        ("-0xff", "text -0xff"),
        ("0x", "text 0x"),
        (".5", "Float(0.5)"),
        ("-.5", "Float(-0.5)"),
        ("5.", "Float(5.0)"),
        ("1e-3", "Float(0.001)"),
        ("1E+3", "Float(1000.0)"),
        (".", "text ."),
        ("e3", "text e3"),
        ("1_000", "text 1_000"),
        ("1,000", "text 1,000"),
        ("12:30", "text 12:30"),
        ("2025-10-01", "text 2025-10-01"),
        ("inf", "text inf"),
        ("infinity", "text infinity"),
        ("nan", "text nan"),
        ("'5'", "text 5"),
        ("\"5\"", "text 5"),
        ("!!str 5", "text 5"),
        ("!!int 5", "Integer(5)"),
        ("!!float 5", "Integer(5)"),
        ("\u{feff}5", "Integer(5)"),
        ("340282366920938463463374607431768211456", "Float(3.402823669209385e38)"),
    ] {
        assert_eq!(kinds(text), expected, "{text}");
    }
}
