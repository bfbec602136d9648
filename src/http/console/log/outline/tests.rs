use proptest::prelude::{any, prop, proptest};
use serde_json::{Value, json};

use super::*;

fn outline(bytes: &[u8]) -> Outline {
    let mut outline = Outline::default();
    outline.add(bytes);
    outline
}

fn view(outline: &Outline, complete: bool) -> Value {
    serde_json::to_value(outline.view(complete)).unwrap()
}

#[test]
fn plays_and_tasks_are_known_by_their_headers_and_failed_ones_by_their_results() {
    let log = "\nPLAY [Mend it] ****\n\nTASK [web : Look] *********\n\x1b[0;32mok: [web1]\x1b[0m\n\
               TASK [Try] ***\n\x1b[0;31mfatal: [web1]: FAILED! => {}\x1b[0m\n\x1b[0;36m...ignoring\x1b[0m\n\
               RUNNING HANDLER [Restart] ***\nfailed: [web1] (item=1) => {}\nok: [web2]\n\
               PLAY ****\nPLAY RECAP *****\nweb1 : ok=1\n";
    assert_eq!(
        view(&outline(log.as_bytes()), true)["sections"],
        json!([
            [2, "play", false, "Mend it"],
            [4, "task", false, "web : Look"],
            [6, "task", false, "Try"],
            [9, "task", true, "Restart"],
            [12, "play", false, ""],
            [13, "recap", false, ""],
        ])
    );
}

#[test]
fn what_only_looks_like_a_header_is_text() {
    let log =
        "  TASK [a] ***\nTASK [a]\nTASK [a] **\nTASK ***\nPLAYBOOK: a ***\nPLAY [a ***\nmsg: TASK [a] ***\nfatal: no\n";
    assert_eq!(view(&outline(log.as_bytes()), true)["sections"], json!([]));
}

#[test]
fn names_are_cut_and_so_is_their_number() {
    let long = format!("TASK [{}] ***\n", "ä".repeat(NAME + 9));
    assert_eq!(outline(long.as_bytes()).sections[0].name.chars().count(), NAME);
    let many = outline("TASK [a] ***\n".repeat(MOST_SECTIONS + 1).as_bytes());
    assert_eq!(many.sections.len(), MOST_SECTIONS);
    assert_eq!(many.lines, MOST_SECTIONS as u64 + 1);
}

#[test]
fn lines_are_counted_in_the_part_that_they_end_in() {
    let part = usize::try_from(PART).unwrap();
    let log = [
        "a\nb\n".to_owned(),
        "x".repeat(part),
        "\nc\n".to_owned(),
        "d".to_owned(),
    ]
    .concat();
    let said = view(&outline(log.as_bytes()), true);
    assert_eq!(said["breaks"], json!([2, 2]));
    assert_eq!((&said["bytes"], &said["open"]), (&json!(log.len()), &json!(true)));
}

#[test]
fn a_log_that_grows_is_shown_to_the_end_of_a_line_or_a_code_point() {
    let said = view(&outline("eins\nzw€".as_bytes()), false);
    assert_eq!((&said["bytes"], &said["open"]), (&json!(5), &json!(false)));
    assert_eq!(said["breaks"], json!([1]));
    let long = [
        &b"x\n"[..],
        &vec![b'y'; usize::try_from(PART).unwrap()],
        &"€".as_bytes()[..2],
    ]
    .concat();
    let said = view(&outline(&long), false);
    assert_eq!((&said["bytes"], &said["open"]), (&json!(PART + 2), &json!(true)));
    let said = view(&outline(b""), false);
    assert_eq!(
        (&said["bytes"], &said["open"], &said["breaks"]),
        (&json!(0), &json!(false), &json!([]))
    );
}

proptest! {
    #[test]
    fn how_a_log_is_cut_into_pieces_does_not_matter(
        lines in prop::collection::vec("(TASK \\[a\\] \\*{2,4}|fatal: \\[b\\]|[\\x1b\\[0-9m]{0,9}|€x{0,3}){0,2}", 0..30),
        long in 0..200_000_usize, size in 1..70_000_usize, complete in any::<bool>(),
    ) {
        let mut log = lines.join("\n").into_bytes();
        log.extend(std::iter::repeat_n(b'z', long));
        log.extend(lines.join("\n").into_bytes());
        let mut pieces = Outline::default();
        log.chunks(size).for_each(|piece| pieces.add(piece));
        assert_eq!(view(&pieces, complete), view(&outline(&log), complete));
        let breaks: u32 = pieces.breaks.iter().sum();
        assert_eq!(breaks as usize, log.iter().filter(|byte| **byte == b'\n').count());
    }
}
