//! Searching in names.

/// Whether `text` is somewhere in `whole`, whatever the case of ASCII letters.
pub fn contains(whole: &str, text: &str) -> bool {
    let (whole, text) = (whole.as_bytes(), text.as_bytes());
    text.is_empty() || whole.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_in_any_case() {
        for (whole, text, found) in
            [("Feeder-07", "eDER", true), ("a", "", true), ("a", "ab", false), ("Zürich", "zür", true)]
        {
            assert_eq!(contains(whole, text), found, "{text} in {whole}");
        }
    }
}
