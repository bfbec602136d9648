//! Pages of lists: where one begins, and what names the next.

use std::str::FromStr;

use crate::store::StoreError;
use crate::store::read::PageRequest;

/// The page's last key if there is more; asks for one row more than the page takes.
pub(super) fn cut<T>(items: &mut Vec<T>, page: &PageRequest, key: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more).map(key)
}

/// The key that the page begins after; an id or a number.
pub(super) fn after<T: FromStr>(page: &PageRequest) -> Result<Option<T>, StoreError> {
    page.after
        .as_deref()
        .map(|after| after.parse().map_err(|_| StoreError::BadCursor(after.to_owned())))
        .transpose()
}
