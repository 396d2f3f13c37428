//! How the demo speaks: aligned lines on standard output.

use std::time::Duration;

use super::Chapter;

/// The column at which details begin.
const COLUMN: usize = 58;

/// The headline of a chapter.
pub(super) fn chapter(name: &str) {
    println!("\n── {name}");
}

/// One plain line.
pub(super) fn line(text: &str) {
    println!("   {text}");
}

/// Something that went as it must, how long it took, and what there is to say about it.
pub(super) fn done(what: &str, took: Duration, more: &str) {
    println!("   ✓ {what:<COLUMN$} {:>8}  {more}", duration(took));
}

/// Something that went wrong.
pub(super) fn failed(what: &str, why: &str) {
    println!("   ✗ {what:<COLUMN$} {why}");
}

/// The end of a chapter.
pub(super) fn end(chapter: &Chapter, error: Option<&anyhow::Error>) {
    match error {
        None => println!("   {:.1} s", chapter.seconds),
        Some(error) => println!("   ✗ after {:.1} s: {error:#}", chapter.seconds),
    }
}

/// All chapters at a glance.
pub(super) fn summary(chapters: &[Chapter]) {
    println!();
    for chapter in chapters {
        let tick = if chapter.ok { '✓' } else { '✗' };
        println!("{tick} {:<18} {:>6.1} s", chapter.chapter, chapter.seconds);
    }
}

/// Milliseconds below two seconds, else seconds.
pub(super) fn duration(took: Duration) -> String {
    if took < Duration::from_secs(2) {
        format!("{} ms", took.as_millis().max(1))
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// The text up to the end of its first sentence, or as much of it as a line can take.
pub(super) fn first_sentence(text: &str) -> String {
    const LONGEST: usize = 150;
    let first = text.split_once(". ").map_or(text, |(first, _)| first);
    match first.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &first[..end]),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn a_message_is_cut_at_its_first_sentence_or_where_the_line_ends() {
        assert_eq!(first_sentence("No. Do that."), "No");
        let long = "é".repeat(200);
        assert_eq!(first_sentence(&long), format!("{} …", "é".repeat(150)));
    }
}
