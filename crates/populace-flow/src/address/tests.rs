use super::*;

#[path = "../../tests/flow/disguises.rs"]
mod disguises;

#[test]
fn an_address_is_found_under_every_disguise() {
    let mut draws = disguises::Draws(5);
    let mut missed = Vec::new();
    let count = if std::env::var_os("POPULACE_FAULT_ROUNDS").is_some() { 10_000 } else { 2_000 };
    for number in 0..count {
        let (_, text, layers) = disguises::disguise(&mut draws, number);
        let within = match number % 4 {
            0 => text,
            1 if !text.contains('&') => format!("https://shop.example/a?e={text}&b=1"),
            2 => format!("Dear {text}, welcome"),
            _ => format!("{{\"to\":\"{text}\"}}"),
        };
        if !holds_address(&within) {
            missed.push(format!("{layers}: {within}"));
        }
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn single_disguises() {
    for text in [
        "ada@lovelace.org",
        "ada%2540lovelace%252Eorg",
        "ada&commat;lovelace&period;org",
        "ada&#x40;lovelace&#46;org",
        "ada\u{ff20}lovelace\u{3002}org",
        "a\u{200b}da@\u{200b}lovelace.org",
        "\"ada byron\"@lovelace.org",
        "ada(at home)@lovelace.org",
        "ada@(work)lovelace.org",
        "ada@[192.0.2.1]",
        "ada@[IPv6:2001:db8::1]",
        "ada@ lovelace.org",
        "=?utf-8?Q?ada=40lovelace.org?=",
        "=?utf-8?B?YWRhQGxvdmVsYWNlLm9yZw==?=",
        "https://x.example/?e=YWRhQGxvdmVsYWNlLm9yZw",
        "61646140 6164614061646140",
        "616461406c6f76656c6163652e6f7267",
        "ada [at] lovelace [dot] org",
        "ada (at) lovelace dot org",
        "ada+AEA-lovelace.org",
        "ada%u0040lovelace.org",
        "ada\\u0040lovelace.org",
        "ada\\\\u0040lovelace.org",
        "ada\\100lovelace.org",
        "ada\\40 lovelace.org",
        "ada%C0%80@lovelace.org",
        "ada%25C1%80lovelace.org",
        "ada%C1%80lovelace.org",
        "ada<b>@</b>lovelace.org",
        "<a href=\"mailto:ada%40lovelace.org\">",
        "ada@b\u{fc}cher.example",
        "ada@xn--bcher-kva.example",
        "gro.ecalevol@ada\u{202e}",
        "ada\0@lovelace.org",
        "/avatars/ada@lovelace.org.png",
        "ada&amp;#64;lovelace.org",
        "ada@localhost",
        &format!("ada%{}40lovelace.org", "25".repeat(50)),
    ] {
        assert_eq!(holds_address(text), text != "61646140 6164614061646140", "{text}");
    }
    let utf16: Vec<u8> = "ada@lovelace.org".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(bytes_hold_address(&utf16));
}

#[test]
fn ordinary_text_and_urls_hold_none() {
    for text in [
        "",
        "50% off + free shipping = happy you & me (today only)",
        "Meet us @ the fair, 9 @ night",
        "Follow @example.com",
        "follow \"@example.com\" and (@shop.example)",
        "@media screen and (max-width: 40em)",
        "a@b",
        "react@18.3.1",
        "https://cdn.example/npm/lodash@4.17.21/lodash.min.js",
        "https://cdn.example/img/logo@2x.png?v=40",
        "https://shop.example/sale?utm_source=mail&utm_campaign=sommer%20sale&amp;x=%C3%A4&size=40cm.de&ref=a%26b%3Dc",
        "https://shop.example/@ada/posts",
        "https://bsky.example/@ada.example.com",
        "/work at home. org charts (at last) for you",
        "look-at-me.com, at dot com",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "018cc251-f400-7cde-8f00-0123456789ab",
        "sf_zibadpwptzraqjc5y2s24jmkdn",
        "65cde7384a64328f348e60ee1922b56d85cace6aa35efda7c879307c9cf862a3",
        "C:\\Users\\new\\table.txt",
        "caf\u{e9} \u{1f389} \u{65e5}\u{672c}\u{8a9e}\u{3002}\u{7d42}\u{308f}\u{308a}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "dGhpcyBpcyBubyBhZGRyZXNzIGF0IGFsbA==",
        "?width=40px&height=2e3",
        "5 < 6 > 4, {at least} [atlas]",
        "xn--bcher-kva.example",
        "a=\r\nb",
    ] {
        assert!(!holds_address(text), "{text}");
    }
}

#[test]
fn whatever_is_read_ends() {
    let mut draws = disguises::Draws(9);
    let parts = [
        "%", "%25", "&", "&#", "&#x", ";", "\\", "\\u", "=", "<", "<!--", "(", ")", "[at]", "@", ".", "xn--", "a", "9", "\u{202e}", "YWRh",
        "\u{ff20}", "\0",
    ];
    for _ in 0..20_000 {
        let text: String = (0..draws.below(40)).map(|_| *draws.pick(&parts)).collect();
        // The same again: nothing of it depends on anything else.
        assert_eq!(holds_address(&text), holds_address(&text));
    }
}

#[test]
fn no_text_takes_long() {
    // Each layer of these opens others, in as many orders as there are.
    let nested = data_encoding::BASE64.encode("%2525&amp;#37;\\u0025=3D".repeat(40).as_bytes());
    for text in [
        format!("{nested} ").repeat(12),
        "%25&#37;=25\\x25(".repeat(1_000),
        "<(".repeat(8_000),
        "xn--".repeat(4_000),
        "&#".repeat(8_000),
        "<!--".repeat(50_000),
        "\"@".repeat(50_000),
        "xn--a-".repeat(30_000),
        format!("xn--{}", "a9".repeat(50_000)),
    ] {
        let start = std::time::Instant::now();
        let _ = holds_address(&text);
        let longest = std::time::Duration::from_secs(20);
        assert!(start.elapsed() < longest, "{} bytes took {:?}", text.len(), start.elapsed());
    }
}
