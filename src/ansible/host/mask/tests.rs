use proptest::prelude::*;

use super::*;

fn secrets<S: AsRef<[u8]>>(all: &[S]) -> BTreeSet<Vec<u8>> {
    all.iter().map(|secret| secret.as_ref().to_vec()).collect()
}

fn masked<'a>(secrets: &BTreeSet<Vec<u8>>, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut mask = Mask::new(secrets).unwrap().unwrap();
    let mut out = Vec::new();
    for chunk in chunks {
        mask.push(chunk, &mut out);
    }
    mask.finish(&mut out);
    assert!(mask.held.is_empty() && mask.hidden.is_empty() && !mask.is_begun);
    out
}

fn text_of(all: &[&str], text: &str) -> String {
    String::from_utf8(masked(&secrets(all), [text.as_bytes()])).unwrap()
}

/// The whole text at once, in the slowest way there is.
fn reference(secrets: &BTreeSet<Vec<u8>>, text: &[u8]) -> Vec<u8> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in 0..text.len() {
        let longest = secrets.iter().filter(|secret| text[start..].starts_with(secret));
        let Some(length) = longest.map(Vec::len).max() else {
            continue;
        };
        match found.last_mut() {
            Some(last) if start < last.end => last.end = last.end.max(start + length),
            _ => found.push(start..start + length),
        }
    }
    let mut out = Vec::new();
    let mut position = 0;
    for range in found {
        out.extend_from_slice(&text[position..range.start]);
        out.extend_from_slice(MASK);
        position = range.end;
    }
    out.extend_from_slice(&text[position..]);
    out
}

fn chunks<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn overlapping_secrets_leave_no_rest_of_one() {
    assert_eq!(text_of(&["abcd", "cdef"], "xabcdefx"), "x******x");
    assert_eq!(text_of(&["bc", "abcd"], "abcdbcabc"), "************a******");
    assert_eq!(text_of(&["aa"], "aaaaab"), "******b");
    assert_eq!(text_of(&["hunter2"], "hunter hunter2 hunte"), "hunter ****** hunte");
}

#[test]
fn without_secrets_there_is_nothing_to_do() {
    assert!(Mask::new(&secrets::<&str>(&[])).unwrap().is_none());
    assert!(Mask::new(&secrets(&[""])).unwrap().is_none());
}

#[test]
fn only_what_may_become_a_secret_is_held_back() {
    let mut mask = Mask::new(&secrets(&["hunter2", "other"])).unwrap().unwrap();
    let mut out = Vec::new();
    mask.push(b"password: hunt", &mut out);
    assert_eq!(out, b"password: ");
    mask.push(b"ing season\n", &mut out);
    assert_eq!(out, b"password: hunting season\n");
}

#[test]
fn a_secret_in_single_bytes_is_masked() {
    let mut mask = Mask::new(&secrets(&["hunter2"])).unwrap().unwrap();
    let mut out = Vec::new();
    for byte in b"<hunter2>" {
        mask.push(&[*byte], &mut out);
    }
    assert_eq!(out, b"<******>");
}

#[test]
fn many_and_long_secrets_are_masked_too() {
    // Too much for the dense automaton.
    let all: Vec<String> = (0..400).map(|n| format!("{n:0>64}")).collect();
    let text = all.join("-");
    let out = masked(&secrets(&all), chunks(text.as_bytes(), &[17, 64, 65, 1000, 20_001]));
    assert_eq!(out, ["******"; 400].join("-").as_bytes());
}

proptest! {
    #[test]
    fn no_chunk_border_and_no_overlap_saves_a_secret(
        all in prop::collection::btree_set(prop::collection::vec(prop::sample::select(b"ab\n\xff".to_vec()), 1..6), 1..6),
        text in prop::collection::vec(prop::sample::select(b"aaabb\n\xff".to_vec()), 0..80),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let out = masked(&all, chunks(&text, &cuts));
        prop_assert_eq!(&out, &reference(&all, &text));
        for secret in &all {
            prop_assert!(!contains(&out, secret));
        }
    }

    /// Long texts, in which the search leaps from one secret to the next.
    #[test]
    fn leaps_pass_over_no_secret(
        all in prop::collection::btree_set("[ -)+-~é]{1,40}", 1..8),
        pieces in prop::collection::vec((any::<prop::sample::Index>(), "[ -)+-~é\n]{0,200}", 0..41_usize), 0..30),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let list: Vec<&String> = all.iter().collect();
        let mut text = Vec::new();
        for (which, other, length) in &pieces {
            let secret = which.get(&list).as_bytes();
            // Whole, or only its beginning.
            text.extend_from_slice(&secret[..secret.len().min(*length)]);
            text.extend_from_slice(other.as_bytes());
        }
        let all = secrets(&list);
        let out = masked(&all, chunks(&text, &cuts));
        prop_assert_eq!(&out, &reference(&all, &text));
        for secret in &all {
            prop_assert!(!contains(&out, secret));
        }
    }
}
