//! Columns for people.

/// Cells are not padded beyond this many characters; the standard library panics at 65,536.
const WIDTH_MAX: usize = 1000;

/// Lines of cells, as wide as their widest; the first line is the heading.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDTH_MAX)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A JSON value as a cell.
pub(super) fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.3}"),
            _ => number.to_string(),
        },
        serde_json::Value::Bool(true) => "yes".to_owned(),
        serde_json::Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// A stranger chose parts of the text: it must not steer the terminal.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Headings and the fields of JSON objects below them.
pub(super) fn of_objects(columns: &[(&str, &str)], objects: &serde_json::Value) -> String {
    let mut rows = vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect()];
    for object in objects.as_array().into_iter().flatten() {
        rows.push(columns.iter().map(|(_, key)| cell(&object[*key])).collect());
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_values_readable() {
        let objects = serde_json::json!([
            {"node": "cas1", "lag": 0.25, "link": true},
            {"node": "a", "lag": null, "link": false, "more": 1},
        ]);
        assert_eq!(
            of_objects(
                &[("NODE", "node"), ("LAG", "lag"), ("LINK", "link")],
                &objects
            ),
            "NODE  LAG    LINK\ncas1  0.250  yes\na     -      no\n"
        );
    }
}
