//! What is printed, and how: nothing that was read can do more to a terminal than be seen on it.

use std::borrow::Cow;
use std::io::{self, Write as _};

/// A text as it can be shown: control characters, and what is invisible or reorders its surroundings, stand there as escapes.
///
/// A record that somebody tampered with may hold anything.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().flat_map(|character| {
        let (as_is, escaped) = if is_plain(character) {
            (Some(character), None)
        } else {
            (None, Some(character.escape_debug()))
        };
        as_is.into_iter().chain(escaped.into_iter().flatten())
    });
    Cow::Owned(shown.collect())
}

fn is_plain(character: char) -> bool {
    // The standard library escapes what cannot be printed, and besides it these three.
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

/// Prints to the standard output at once.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells something that is not the result: on the standard error, and whether anybody hears it does not matter.
pub fn tell(text: &str) {
    let lines = text.lines().map(plain);
    let text = lines.collect::<Vec<_>>().join("\n");
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether the reader of the output went away.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Rows under a head, each column as wide as it must be.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let mut text = line(head);
    for row in rows {
        text.push_str(&line(std::array::from_fn(|column| row[column].as_str())));
    }
    text
}

/// A number with one noun: `1 entry`, `2 entries`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_cannot_steer_a_terminal() {
        assert_eq!(
            plain("Ärger mit \"C:\\x\" — 100 %"),
            "Ärger mit \"C:\\x\" — 100 %"
        );
        assert_eq!(
            plain("\u{1b}[2Jall is well\r\n"),
            "\\u{1b}[2Jall is well\\r\\n"
        );
        assert_eq!(plain("user\u{202e}nimda"), "user\\u{202e}nimda");
        assert_eq!(plain("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["longer".to_owned(), String::new()],
        ];
        let expect = "NAME    N\na       1\nlonger\n";
        assert_eq!(table(["NAME", "N"], &rows), expect);
    }
}
