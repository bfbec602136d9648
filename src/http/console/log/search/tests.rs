use proptest::prelude::{prop, proptest};

use super::*;

fn found(text: &str, pieces: &[&[u8]]) -> Vec<u64> {
    let (mut finder, mut found) = (Finder::new(text).unwrap(), Vec::new());
    for piece in pieces {
        finder.add(piece, &mut found);
    }
    finder.end(&mut found);
    found
}

#[test]
fn lines_are_found_in_any_case_and_without_escapes() {
    let log = "Error: a\nno\n\x1b[31mer\x1b[0mror\n\nerror error\nÄRGER\n\x1b]0;error\nlast ERROR";
    assert_eq!(found("error", &[log.as_bytes()]), [1, 3, 5, 8]);
    assert_eq!(found("ärger", &[log.as_bytes()]), [6]);
    assert_eq!(found("nowhere", &[log.as_bytes()]), [] as [u64; 0]);
}

#[test]
fn a_text_is_no_pattern() {
    assert_eq!(found("a.*(b", &[b"axxb\nA.*(B\n"]), [2]);
    for wrong in [String::new(), "x".repeat(LONGEST + 1)] {
        assert!(Finder::new(&wrong).is_err());
    }
}

#[test]
fn a_line_longer_than_what_is_held_is_found_once_wherever_the_text_lies() {
    for before in [0, MOST - 4, MOST - 2, MOST, 3 * MOST + 1] {
        let line = [
            vec![b'x'; before],
            b"needle".to_vec(),
            vec![b'x'; MOST],
            b"needle\n".to_vec(),
        ]
        .concat();
        let mut finder = Finder::new("needle").unwrap();
        let mut lines = Vec::new();
        for piece in line.chunks(MOST / 3 + 1) {
            finder.add(piece, &mut lines);
            assert!(finder.held.len() <= 2 * MOST);
        }
        finder.add(b"needle", &mut lines);
        finder.end(&mut lines);
        assert_eq!(lines, [1, 2], "after {before}");
    }
}

proptest! {
    #[test]
    fn how_a_log_is_cut_into_pieces_does_not_matter(
        lines in prop::collection::vec("[aAbB\\x1b\\[m\\]\\\\€]{0,12}", 0..20), size in 1..9_usize,
    ) {
        let log = lines.join("\n").into_bytes();
        let pieces: Vec<&[u8]> = log.chunks(size).collect();
        let expected: Vec<u64> = lines.iter().zip(1..)
            .filter(|(line, _)| {
                let plain = String::from_utf8(Stripper::default().strip(line.as_bytes())).unwrap();
                plain.to_lowercase().contains("ab")
            })
            .map(|(_, number)| number)
            .collect();
        assert_eq!(found("aB", &pieces), expected);
    }
}
