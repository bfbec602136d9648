//! Pages of lists that change between two requests.

use super::*;

fn page(limit: u32, after: Option<&str>) -> PageRequest {
    PageRequest {
        limit,
        after: after.map(str::to_owned),
    }
}

fn sorted(names: &[&'static str], after: Option<&str>) -> Vec<&'static str> {
    List::slice("names", names.to_vec(), &page(2, after), |name| (*name).to_owned()).items
}

fn in_file_order(names: &[&'static str], after: Option<&str>) -> Vec<&'static str> {
    List::in_file_order("names", names.to_vec(), &page(2, after), |name| name).items
}

#[test]
fn a_sorted_list_goes_on_where_it_was_also_when_that_item_is_gone() {
    assert_eq!(sorted(&["a", "b", "c", "d"], None), ["a", "b"]);
    assert_eq!(sorted(&["a", "b", "c", "d"], Some("b")), ["c", "d"]);
    assert_eq!(sorted(&["c", "d"], Some("b")), ["c", "d"]);
    assert_eq!(sorted(&["a", "b"], Some("b")), [""; 0]);
}

#[test]
fn a_list_in_the_order_of_a_file_does_too() {
    assert_eq!(in_file_order(&["z", "y", "x", "w"], Some("1 y")), ["x", "w"]);
    // One before it was taken out, it was taken out itself, and everything was.
    assert_eq!(in_file_order(&["y", "x", "w"], Some("1 y")), ["x", "w"]);
    assert_eq!(in_file_order(&["z", "x", "w"], Some("1 y")), ["x", "w"]);
    assert_eq!(in_file_order(&[], Some("1 y")), [""; 0]);
    // A name may have spaces.
    assert_eq!(in_file_order(&["a b", "c"], Some("0 a b")), ["c"]);
}
