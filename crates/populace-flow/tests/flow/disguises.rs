//! Addresses as those write them who want them past a filter.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// The longest disguise, bytes.
const LONGEST: usize = 1_200;

/// Drawn numbers (`SplitMix64`).
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A character as one of several forms: its form, or `None` if it stays.
type Form = fn(&mut Draws, char) -> String;

fn bytes(character: char, form: impl Fn(u8) -> String) -> String {
    character.to_string().bytes().map(form).collect()
}

fn percent(draws: &mut Draws, character: char) -> String {
    let upper = draws.below(2) == 0;
    bytes(character, |byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") })
}

/// The forms of single characters.
const FORMS: [(&str, Form); 14] = [
    ("percent", percent),
    ("percent, overlong", |draws, character| match character {
        ' '..='~' if draws.below(2) == 0 => format!("%{:02X}%{:02X}", 0xc0 | (character as u8 >> 6), 0x80 | (character as u8 & 0x3f)),
        ' '..='~' => format!("%E0%{:02X}%{:02x}", 0x80 | (character as u8 >> 6), 0x80 | (character as u8 & 0x3f)),
        _ => percent(draws, character),
    }),
    (
        "percent, unicode",
        |_, character| if (character as u32) < 0x10000 { format!("%u{:04x}", character as u32) } else { character.into() },
    ),
    ("decimal entity", |draws, character| format!("&#{}{};", "0".repeat(draws.below(4)), character as u32)),
    ("hexadecimal entity", |draws, character| format!("&#{}{:04x};", ['x', 'X'][draws.below(2)], character as u32)),
    ("named entity", |_, character| match character {
        '@' => "&commat;".into(),
        '.' => "&period;".into(),
        _ => format!("&#{};", character as u32),
    }),
    ("escape", |_, character| if (character as u32) < 0x10000 { format!("\\u{:04x}", character as u32) } else { character.into() }),
    ("escape in braces", |_, character| format!("\\u{{{:x}}}", character as u32)),
    ("escaped byte", |_, character| if character.is_ascii() { format!("\\x{:02x}", character as u32) } else { character.into() }),
    ("octal", |_, character| if character.is_ascii() { format!("\\{:03o}", character as u32) } else { character.into() }),
    ("full width", |_, character| match character {
        '!'..='~' => char::from_u32(character as u32 + 0xfee0).unwrap().into(),
        _ => character.into(),
    }),
    ("small and other stops", |draws, character| match character {
        '@' => "\u{fe6b}".into(),
        '.' => (*draws.pick(&["\u{fe52}", "\u{3002}", "\u{ff61}", "\u{2024}", "\u{ff0e}"])).into(),
        _ => character.into(),
    }),
    ("tag", |_, character| match character {
        '!'..='~' => char::from_u32(character as u32 + 0xe0000).unwrap().into(),
        _ => character.into(),
    }),
    ("quoted-printable", |_, character| if character.is_ascii() { format!("={:02X}", character as u32) } else { character.into() }),
];

/// What is put between characters and is not seen.
const UNSEEN: [&str; 12] = [
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{34f}",
    "\u{fe0f}",
    "\u{200e}",
    "&shy;",
    "&#8203;",
    "%E2%80%8B",
];
/// Comments and tags.
const COMMENTS: [&str; 6] = ["(home)", "(a (nested) one)", "<!-- no robots -->", "<b>", "</span>", "<!---->"];
const AT: [&str; 6] = ["[at]", "(at)", " [at] ", "{AT}", " (At) ", "<at>"];
const DOT: [&str; 5] = ["[dot]", "(dot)", " [dot] ", "{DOT}", " (Dot) "];

fn each(draws: &mut Draws, text: &str, form: Form) -> String {
    // The sign alone, the sign and the stops, or everything; sometimes only some of them.
    let (which, sometimes) = (draws.below(3), draws.below(3) == 0);
    let is_meant = |character: char| match which {
        0 => character == '@',
        1 => matches!(character, '@' | '.'),
        _ => true,
    };
    text.chars()
        .map(|character| {
            let left = sometimes && character != '@' && draws.below(2) == 0;
            if is_meant(character) && !left { form(draws, character) } else { character.to_string() }
        })
        .collect()
}

/// An address that nobody else has, and the same under some layers of disguise, with their names.
pub(crate) fn disguise(draws: &mut Draws, number: usize) -> (String, String, String) {
    let domain = *draws.pick(&[
        "example.com",
        "mail.example.org",
        "lovelace.org",
        "b\u{fc}cher.example",
        "xn--bcher-kva.example",
        "mx.lovelace.co.uk",
    ]);
    let name = *draws.pick(&["ada", "ada.byron", "a", "ada+news", "o'ada"]);
    let address = format!("vq{number}x{name}@{domain}");
    let (mut text, mut layers) = (address.clone(), Vec::new());
    match draws.below(8) {
        0 => {
            layers.push("spelled");
            text = text.replace('@', draws.pick::<&str>(&AT));
            if draws.below(2) == 0 {
                text = text.replace('.', draws.pick::<&str>(&DOT));
            }
        }
        1 => {
            layers.push("comment");
            let comment = draws.pick::<&str>(&COMMENTS);
            text = text.replace('@', &[format!("{comment}@"), format!("@{comment}")][draws.below(2)]);
        }
        2 => {
            layers.push("unseen");
            text = text.replace('@', &format!("{}@{}", draws.pick(&UNSEEN), draws.pick(&UNSEEN)));
        }
        _ => {}
    }
    for _ in 0..draws.below(4) + usize::from(layers.is_empty()) {
        // Three packings are opened.
        let packed = layers.iter().filter(|layer| **layer == "packed").count();
        let kind = draws.below(FORMS.len() + if packed < 3 { 4 } else { 0 });
        if let Some((name, form)) = FORMS.get(kind) {
            let formed = each(draws, &text, *form);
            // What is wrapped again and again is longer than any field.
            if formed.len() < LONGEST {
                layers.push(name);
                text = formed;
            }
            continue;
        }
        let encoded = match kind - FORMS.len() {
            0 => BASE64.encode(text.as_bytes()),
            1 => BASE64URL_NOPAD.encode(text.as_bytes()),
            2 => BASE64_NOPAD.encode(text.as_bytes()),
            _ if draws.below(2) == 0 => HEXLOWER.encode(text.as_bytes()),
            _ => HEXUPPER.encode(text.as_bytes()),
        };
        if encoded.len() < LONGEST {
            layers.push("packed");
            text = encoded;
        }
    }
    (address, text, layers.join(", "))
}
