//! Guesses which word was meant.

/// `(did you mean X?)` for the nearest of the words, if one is near.
pub(crate) fn did_you_mean(word: &str, words: &[&str]) -> String {
    let near = words
        .iter()
        .map(|other| (distance(word, other), other))
        .min()
        .filter(|(distance, other)| *distance <= 2 && *distance < other.chars().count());
    near.map_or_else(String::new, |(_, other)| format!(" (did you mean `{other}`?)"))
}

/// How many characters must be inserted, removed or replaced to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
