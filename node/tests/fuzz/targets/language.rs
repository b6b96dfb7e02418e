//! The language a request wants: `locale` of a query, and `Accept-Language`.

use castor_node::web::language::{Tag, Wanted, locale_of};

/// The first line is a query, the rest a header.
pub fn language(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (query, header) = text.split_once('\n').unwrap_or((&text, ""));
    let tags = super::within(64 * 1024, || {
        let locale = locale_of(query);
        let wanted = Wanted {
            locale: locale.as_ref(),
            accept_language: Some(header),
        };
        let tags = wanted.tags();
        assert!(locale.is_none_or(|locale| tags.first() == Some(&locale)));
        tags
    });
    assert!(tags.len() <= 33, "{} languages", tags.len());
    for tag in tags {
        let text = tag.as_str();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        // It stands unescaped in the queries of our own links.
        assert!(text.len() <= 35 && text.bytes().all(plain), "{text}");
        assert_eq!(Tag::parse(text).as_ref(), Some(&tag));
        assert!(
            tag.wider()
                .is_none_or(|wider| text.starts_with(wider.as_str()))
        );
    }
}
