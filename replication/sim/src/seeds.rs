//! Seeds that have found something. They are run first, for ever.

const KNOWN: &str = include_str!("../seeds.txt");

/// All known seeds, in the order of the file.
pub(crate) fn known() -> Vec<u64> {
    parse(KNOWN)
}

/// A seed per line, then what it found; `#` begins a remark.
fn parse(text: &str) -> Vec<u64> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn every_line_of_the_file_is_a_seed_and_what_it_found() {
    assert_eq!(parse("# a remark\n\n 7 something\n12 more\n"), [7, 12]);
    let lines = KNOWN
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines.clone() {
        assert!(
            line.split_whitespace().count() > 1,
            "what did it find? {line}"
        );
    }
    assert_eq!(known().len(), lines.count());
}
